"""The page Lab: tokens and their alternatives, the sampler, columns that agree, branches."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from house import CHAT, House
from playwright.sync_api import Page, expect
from test_accessible import violations
from visiting import Visitor

from ondol.engine.scripted import ScriptedEngine
from ondol.lab.exploring.sampler import Shape, spread
from ondol.lab.exploring.watching import WATCHED
from ondol.types import Alternative, GenerateOptions, Message, Token, Usage


class LoadedDice(ScriptedEngine):
    """Says "Warm floors." token by token, each with three alternatives; keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__([""], model=CHAT)
        self.asked: list[tuple[str, GenerateOptions]] = []

    def generate(self, messages, options):  # type: ignore[no-untyped-def]
        said = messages[-1].content if messages[-1].role == "assistant" else ""
        self.asked.append((said, options))
        words = ["Warm", " floors", "."] if not said else [" tiles", "!"]
        for word in words:
            top = tuple(
                Alternative(text, math.log(share))
                for text, share in ((word, 0.6), (" cold", 0.3), ("<b>", 0.02))
            )
            yield Token(word, logprob=math.log(0.6), top=top)
        yield Token("", finish_reason="stop", usage=Usage(3, len(words)))

    def complete(self, prompt: str, options: GenerateOptions):  # type: ignore[no-untyped-def]
        return self.generate([Message("assistant", prompt)], options)


@pytest.fixture
def dice(house: House) -> LoadedDice:
    house.pool.engines[CHAT] = engine = LoadedDice()
    return engine


def run(page: Page) -> None:
    page.get_by_label("Prompt", exact=True).fill("What is warm?")
    page.get_by_role("button", name="Run").click()


def set_slider(page: Page, name: str, value: float) -> None:
    page.get_by_role("slider", name=name).evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})) }",
        str(value),
    )


def test_tokens_are_shown_with_what_might_have_come(
    house: House, laptop: Visitor, dice: LoadedDice, look: Callable[[Page, str], None]
) -> None:
    page = laptop.visit(house, "lab")
    run(page)
    expect(page.get_by_role("button", name="·floors, 60%")).to_be_visible()
    expect(page.get_by_text("3 tokens")).to_be_visible()
    page.get_by_role("button", name="·floors, 60%").click()
    rows = page.locator(".alternatives li")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("·floors")
    expect(page.get_by_text("After “…Warm”")).to_be_visible()
    # What a model says is text, never markup.
    expect(rows.nth(2)).to_contain_text("<b>")
    assert dice.asked[0][1].logprobs == WATCHED
    look(page, "lab")


def test_sliders_change_the_chances_while_they_move(
    house: House, laptop: Visitor, dice: LoadedDice
) -> None:
    page = laptop.visit(house, "lab")
    run(page)
    numbers = page.locator(".alternative-number")
    page.get_by_text("Greedy").click()
    expect(numbers.first).to_have_text("100%")
    expect(numbers.nth(1)).to_have_text("0%")
    page.get_by_text("Wild").click()
    set_slider(page, "Temperature", 1)
    set_slider(page, "Min-p", 0)
    # 0.6, 0.3 and 0.02 of 0.92, as nothing is cut.
    expect(numbers.first).to_have_text("65%")
    expect(numbers.nth(2)).to_have_text("2.2%")
    set_slider(page, "Min-p", 0.1)
    expect(numbers.nth(2)).to_have_text("min-p")
    expect(numbers.first).to_have_text("67%")
    set_slider(page, "Top-k", 1)
    expect(numbers.nth(1)).to_have_text("top-k")
    set_slider(page, "Top-k", 0)
    set_slider(page, "Top-p", 0.5)
    expect(numbers.nth(1)).to_have_text("top-p")
    expect(page.get_by_role("slider", name="Temperature")).to_have_value("1")
    assert len(dice.asked) == 1


def test_tokens_that_the_sampler_would_cut_are_struck_out(
    house: House, laptop: Visitor, dice: LoadedDice
) -> None:
    page = laptop.visit(house, "lab")
    run(page)
    page.get_by_role("button", name="·floors, 60%").click()
    page.get_by_role("button", name="Go on with ·cold").click()
    expect(page.locator(".token")).to_have_count(4)
    expect(page.locator(".token.cut")).to_have_count(0)
    page.get_by_text("Greedy").click()
    struck = page.get_by_role("button", name="·cold, 30%, could not come with these settings")
    expect(struck).to_be_visible()
    expect(page.get_by_text("1 of these tokens could not have come")).to_be_visible()


def test_arrow_keys_go_from_token_to_token(house: House, laptop: Visitor, dice: LoadedDice) -> None:
    page = laptop.visit(house, "lab")
    run(page)
    expect(page.locator(".token")).to_have_count(3)
    page.locator(".token").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="·floors, 60%")).to_be_focused()
    expect(page.get_by_text("After “…Warm”")).to_be_visible()
    page.keyboard.press("End")
    expect(page.locator(".token.selected")).to_have_text(".")
    page.keyboard.press("Home")
    expect(page.locator(".token.selected")).to_have_text("Warm")


def test_browser_cuts_what_the_engine_cuts(house: House, laptop: Visitor) -> None:
    dice = random.Random(11)
    cases = []
    for _ in range(200):
        weights = [dice.expovariate(1) ** 3 + 1e-6 for _ in range(dice.randint(1, 30))]
        share = dice.choice([1.0, 0.8]) / sum(weights)
        shape = Shape(
            dice.choice([0.0, 0.5, 1.7]),
            dice.choice([0, 1, 5, 40]),
            dice.choice([0.3, 0.95, 1.0]),
            dice.choice([0.0, 0.05, 0.5]),
        )
        cases.append(([math.log(weight * share) for weight in weights], shape))
    page = laptop.visit(house, "lab")
    found = page.evaluate(
        """async (cases) => {
          const { spread } = await import("/web/js/lab/distribution.js");
          return cases.map(([logprobs, [temperature, topK, topP, minP]]) => {
            const shape = { temperature, topK, topP, minP };
            return spread(logprobs.map((logprob) => ({ token: "x", logprob })), shape);
          });
        }""",
        [
            [logprobs, [shape.temperature, shape.top_k, shape.top_p, shape.min_p]]
            for logprobs, shape in cases
        ],
    )
    for (logprobs, shape), told in zip(cases, found, strict=True):
        here = spread([Alternative("x", logprob) for logprob in logprobs], shape)
        assert [row["cut"] for row in told["rows"]] == [row.cut for row in here.rows], shape
        assert [row["after"] for row in told["rows"]] == pytest.approx(
            [row.after for row in here.rows]
        )
        assert (told["kept"], told["isWhole"]) == (here.kept, here.is_whole), shape


def test_sampler_is_what_the_next_run_uses(house: House, laptop: Visitor, dice: LoadedDice) -> None:
    page = laptop.visit(house, "lab")
    set_slider(page, "Temperature", 1.5)
    set_slider(page, "Top-k", 7)
    page.get_by_label("Seed", exact=True).fill("42")
    page.get_by_label("Tokens at most").fill("9")
    page.get_by_label("Tokens at most").press("Tab")
    run(page)
    expect(page.locator(".token")).to_have_count(3)
    (_, options), *_ = dice.asked
    assert (options.temperature, options.top_k, options.seed, options.max_tokens) == (1.5, 7, 42, 9)


def test_text_goes_on_from_another_token(house: House, laptop: Visitor, dice: LoadedDice) -> None:
    page = laptop.visit(house, "lab")
    run(page)
    page.get_by_role("button", name="·floors, 60%").click()
    page.get_by_role("button", name="Go on with ·cold").click()
    expect(page.locator(".lab-text")).to_have_text("Warm cold tiles!")
    expect(page.locator(".token.chosen")).to_have_text(" cold")
    assert dice.asked[-1][0] == "Warm cold"


def test_same_prompt_stands_side_by_side_with_seeds_of_its_own(
    house: House, laptop: Visitor, dice: LoadedDice
) -> None:
    page = laptop.visit(house, "lab")
    page.get_by_role("group", name="Side by side").get_by_role("radio", name="4").check()
    run(page)
    for seed in (1, 2, 3, 4):
        expect(page.get_by_role("heading", name=f"Seed {seed}")).to_be_visible()
    expect(page.locator(".token")).to_have_count(12)
    assert sorted(options.seed or 0 for _, options in dice.asked) == [1, 2, 3, 4]
    agreement = page.get_by_role("region", name="Do they agree?")
    expect(agreement).to_contain_text("4 of 4 say the same")
    expect(agreement).to_contain_text("1 · 0 bits")
    page.get_by_text("Greedy").click()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert violations(page) == []


def test_plain_text_is_gone_on_with(house: House, laptop: Visitor, dice: LoadedDice) -> None:
    page = laptop.visit(house, "lab")
    page.get_by_text("Plain text").click()
    page.get_by_label("Beginning of a text").fill("Once")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".token")).to_have_count(2)
    assert dice.asked[0][0] == "Once"


def test_error_of_the_server_is_told_where_the_text_would_be(
    house: House, laptop: Visitor, dice: LoadedDice
) -> None:
    laptop.allowed.append("422")
    laptop.allowed.append("400")
    page = laptop.visit(house, "lab")
    expect(page.get_by_role("button", name="Run")).to_be_disabled()
    page.route(
        "**/ondol/v1/explore",
        lambda route: route.fulfill(
            status=400, json={"error": {"message": "The prompt is too long.", "code": "x"}}
        ),
    )
    run(page)
    expect(page.get_by_role("alert")).to_contain_text("The prompt is too long.")


def test_explorer_fits_a_phone(house: House, phone: Visitor, dice: LoadedDice) -> None:
    page = phone.visit(house, "lab")
    run(page)
    expect(page.locator(".token")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.model
def test_real_model_shows_its_alternatives(real: House, laptop: Visitor) -> None:
    page = laptop.visit(real, "lab")
    page.get_by_label("Tokens at most").fill("8")
    page.get_by_label("Prompt", exact=True).fill("Name one colour.")
    page.get_by_role("button", name="Run").click()
    page.locator(".token").nth(2).click(timeout=60_000)
    expect(page.locator(".alternatives li")).to_have_count(20)

"""Trust: how sure an answer is, who gave it and why, what it cost, and what left for it."""

from __future__ import annotations

import re
import threading
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
from app_pages import STATIC
from chatting import ask, finished, say, told
from house import House, scripted_house
from playwright.sync_api import Page, expect
from test_accessible import violations
from test_web_i18n import catalogue
from trusting import Judge, add, answer, overseen
from visiting import Visitor

from ondol.confidence.calibration import Calibrator, Weighted
from ondol.confidence.scaling import Platt
from ondol.engine.scripted import ScriptedEngine
from ondol.errors import HomeUnreachableError
from ondol.types import GenerateOptions, Label, Message, Token
from tests.test_escalation import FixedHome

Look = Callable[[Page, str], None]
QUESTION = "When was the boiler serviced?"
SENTENCES = Path(__file__).parents[2] / "src" / "ondol" / "i18n"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose documents a home may see."""
    folder = tmp_path_factory.mktemp("trust")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONDOL_HOME", str(folder))
        with scripted_house(folder) as house:
            add(
                house,
                tmp_path_factory.mktemp("shelf"),
                collection="shared",
                sensitivity="trusted",
            )
            yield house


@dataclass
class SlowHome(FixedHome):
    """A home that thinks until it is told to speak."""

    gate: threading.Event = field(default_factory=threading.Event)

    def generate(
        self, messages: Sequence[Message], options: GenerateOptions, *, label: Label
    ) -> Iterator[Token]:
        self.gate.wait(30)
        yield from FixedHome.generate(self, messages, options, label=label)


def fixed_calibrator() -> Calibrator:
    """The one that ``Named`` names: its answers at 0.95 are right, at 0.88 most are wrong."""
    held_out = tuple((0.95, True) for _ in range(400))
    held_out += tuple((0.88, n % 4 == 0) for n in range(400))
    return Calibrator(
        model="fixed",
        digest="sha256:fixed",
        task="grounded",
        signals=(Weighted("mean_logprob", 0.0, 1.0, 1.0),),
        intercept=0.0,
        scaling=Platt(1.0, 0.0),
        n=800,
        ece=0.021,
        auroc=0.8,
        brier=0.1,
        date=date(2026, 11, 1),
        held_out=held_out,
    )


@pytest.fixture
def calibrated(library: House) -> Iterator[Calibrator]:
    known = library.parts.oversight.judge.calibrators
    made = fixed_calibrator()
    known.keep(made)
    yield made
    known.forget(made.digest, made.task)


class Named(Judge):
    """A judge who names the calibrator above."""

    def judge(self, *args: object, **how: object):  # type: ignore[no-untyped-def, override]
        found = super().judge(*args, **how)  # type: ignore[arg-type]
        signals = {"mean_logprob": -0.1, "cited_coverage": 0.75, "verbatim": 1.0}
        return type(found)(found.probability, signals, fixed_calibrator().name)


def test_sure_answer_says_how_sure_what_it_means_and_how_well_it_held(
    library: House, laptop: Visitor, calibrated: Calibrator, look: Look
) -> None:
    told(library, "In March [1].")
    judge = Named(0.88)
    with overseen(library, judge):
        page = laptop.visit(library)
        ask(page, QUESTION, "In March")
        badge = answer(page).get_by_role("button", name="How sure: Very likely right · 88%")
        badge.click()
        panel = page.get_by_role("dialog", name=re.compile("How sure"))
        expect(panel).to_contain_text("Of 100 answers with this number, about 88 are right.")
        expect(panel).to_contain_text("Checked on 800 answers")
        expect(panel).to_contain_text("off by 2.1 points")
        expect(panel).to_contain_text("they are kept from")
        expect(panel).to_contain_text("It stands word for word in the quote")
        expect(panel).to_contain_text("75%")
        look(page, "trust-badge")
        page.keyboard.press("Escape")
        expect(panel).to_have_count(0)
        expect(badge).to_be_focused()


def test_answer_of_a_model_that_nobody_calibrated_says_so(library: House, laptop: Visitor) -> None:
    told(library, "In March [1].")
    with overseen(library, Judge(None)):
        page = laptop.visit(library)
        ask(page, QUESTION, "In March")
        badge = answer(page).get_by_role("button", name="How sure: not calibrated")
        expect(badge).not_to_contain_text("%")
        badge.click()
        panel = page.get_by_role("dialog", name=re.compile("How sure"))
        expect(panel).to_contain_text("Nobody has measured yet when smollm2:135m is right")
        expect(panel).not_to_contain_text("Of 100 answers")


def test_line_says_who_answered_and_behind_it_why_and_what_left(
    library: House, laptop: Visitor, look: Look
) -> None:
    told(library, "In March [1].")
    with overseen(library, Judge(0.9)):
        page = laptop.visit(library)
        ask(page, QUESTION, "In March")
        line = answer(page).get_by_role("button", name=re.compile("Answered on this device"))
        line.click()
        panel = page.get_by_role("dialog", name=re.compile("Answered on this device"))
        expect(panel).to_contain_text("It was sure enough.")
        expect(panel).to_contain_text("What went into it is trusted")
        expect(panel).to_contain_text("Nothing left this device for it.")
        expect(panel).to_contain_text("smollm2:135m")
        look(page, "trust-route")
        panel.get_by_role("link", name="This answer in the ledger").click()
        expect(page.get_by_role("dialog", name="Ledger entry")).to_contain_text(
            "This device answered"
        )


def test_draft_is_there_at_once_and_homes_answer_takes_its_place(
    library: House, laptop: Visitor, look: Look
) -> None:
    told(library, "Perhaps in May [1].")
    home = SlowHome(words=("In March", " by Ms Kim [1]."))
    with overseen(library, Judge(0.3), home):
        page = laptop.visit(library)
        say(page, QUESTION)
        draft = answer(page).locator(".draft")
        expect(draft).to_contain_text("30% was not sure enough.")
        expect(draft).to_contain_text("Asking attic for a better answer")
        expect(draft).to_contain_text("Perhaps in May")
        look(page, "trust-asking")
        home.gate.set()
        finished(page, "In March by Ms Kim")
        words = answer(page).locator(":scope > .prose")
        expect(words).to_contain_text("In March by Ms Kim")
        expect(answer(page)).not_to_contain_text("Perhaps in May")
        look(page, "trust-better")
        answer(page).get_by_text("This device's draft", exact=True).click()
        expect(words).to_be_hidden()
        expect(draft).to_contain_text("Perhaps in May")
        answer(page).get_by_text("Home's answer", exact=True).click()
        expect(words).to_be_visible()
        expect(draft).not_to_contain_text("Perhaps in May")
        line = answer(page).get_by_role("button", name=re.compile("Answered by your home"))
        line.click()
        panel = page.get_by_role("dialog", name=re.compile("Answered by your home"))
        expect(panel).to_contain_text("30% is under the 80% from which answers are kept here.")
        page.keyboard.press("Escape")
        page.reload()
        expect(words).to_contain_text("In March by Ms Kim")
        answer(page).get_by_text("This device's draft", exact=True).click()
        expect(draft).to_contain_text("Perhaps in May")


def test_likely_draft_that_is_not_kept_says_what_the_target_asks_for(
    library: House, laptop: Visitor, calibrated: Calibrator
) -> None:
    """ "Very likely right" never stands beside "not sure enough" without a reason."""
    told(library, "Perhaps in May [1].")
    judge = Named(0.86)
    least = library.parts.oversight.judge.choice(
        calibrated, library.parts.config["routing.target_error"]
    )
    assert least and least.threshold and least.threshold > 0.86
    home = SlowHome(words=("In March [1].",))
    with overseen(library, judge, home, least=least.threshold):
        page = laptop.visit(library)
        say(page, QUESTION)
        draft = answer(page).locator(".draft")
        percent = round(least.threshold * 100)
        expect(draft).to_contain_text(f"86% is under the {percent}% that your target")
        expect(draft).not_to_contain_text("not sure enough")
        home.gate.set()
        finished(page, "In March")


def test_home_that_fails_leaves_the_draft_and_says_so(library: House, laptop: Visitor) -> None:
    told(library, "Perhaps in May [1].")
    home = FixedHome(words=(), failure=HomeUnreachableError("The attic is dark."))
    with overseen(library, Judge(0.3), home):
        page = laptop.visit(library)
        ask(page, QUESTION, "Perhaps in May")
        expect(answer(page)).to_contain_text("Home was asked and could not answer.")
        line = answer(page).get_by_role("button", name=re.compile("Answered on this device"))
        line.click()
        expect(page.get_by_role("dialog")).to_contain_text("Home could not be reached.")


def test_sentence_that_no_quote_says_is_underlined_and_the_others_lead_to_theirs(
    library: House, laptop: Visitor, look: Look
) -> None:
    told(
        library, "It was serviced in **March**. Ms Kim is a *fine* engineer. It cost 120 euro [2]."
    )
    with overseen(library, Judge(0.9, wild=("engineer",))):
        page = laptop.visit(library)
        ask(page, QUESTION, "fine engineer")
        marked = answer(page).locator("mark.unsupported")
        assert "".join(marked.all_inner_texts()).strip() == "Ms Kim is a fine engineer"
        expect(marked.first).to_have_attribute(
            "title", "No quote says this: it is the model's own."
        )
        note = answer(page).locator(".support-note")
        expect(note).to_contain_text("No quote says the underlined sentence")
        described = page.locator(f"[id='{marked.first.get_attribute('aria-describedby')}']")
        expect(described).to_have_class("support-note")
        # What cites nothing leads to its quote; what cites one has its number already.
        expect(answer(page).locator(".prose .cite")).to_have_count(2)
        look(page, "trust-support")
        answer(page).locator(".prose .cite").first.click()
        expect(page.locator("dialog.evidence mark")).to_be_visible()


@pytest.mark.parametrize(("probability", "is_doubtful"), [(0.2, True), (0.6, False)])
def test_documents_own_words_claim_no_support_and_say_when_they_may_not_answer(
    library: House, laptop: Visitor, probability: float, is_doubtful: bool
) -> None:
    told(library, "[1]")
    with overseen(library, Judge(probability), least=0.0):
        page = laptop.visit(library)
        ask(page, QUESTION, "serviced")
        expect(answer(page).get_by_text("Every sentence is supported")).to_have_count(0)
        nearest = answer(page).get_by_text("They may not answer the question.")
        expect(nearest).to_have_count(1 if is_doubtful else 0)


def test_language_that_the_model_cannot_read_leads_to_models_that_can(
    library: House, laptop: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedEngine, "count_tokens", lambda engine, text: 9 * len(text))
    page = laptop.visit(library)
    ask(page, "보일러 점검은 언제 했나요? The boiler was serviced?", "serviced")
    answer(page).get_by_role("link", name="Get a model that does").click()
    expect(page.get_by_role("tab", name="Get more")).to_have_attribute("aria-selected", "true")


def test_answer_that_nothing_was_found_for_says_why_and_not_how_sure(
    house: House, laptop: Visitor
) -> None:
    """The other house has no documents."""
    page = laptop.visit(house)
    ask(page, QUESTION, "found nothing")
    expect(answer(page)).to_contain_text("Nothing in the library is about it.")
    expect(answer(page).get_by_role("button", name=re.compile("No answer given"))).to_be_visible()
    expect(answer(page).get_by_role("button", name=re.compile("How sure"))).to_have_count(0)


def test_strip_counts_what_stayed_and_opens_the_ledger(library: House, laptop: Visitor) -> None:
    page = laptop.visit(library)
    strip = page.locator("a.privacy-strip")
    expect(strip).to_contain_text(re.compile(r"answers? this month"))
    before = strip.inner_text()
    told(library, "In March [1].")
    with overseen(library, Judge(0.9)):
        ask(page, QUESTION, "In March")
    expect(strip).not_to_have_text(before)
    strip.click()
    expect(page.get_by_role("heading", name="Privacy ledger")).to_be_visible()


def test_korean_owner_reads_it_all_in_korean(library: House, korean: Visitor, look: Look) -> None:
    told(library, "In March [1]. Ms Kim is a fine engineer.")
    with overseen(library, Judge(0.7, wild=("engineer",))):
        page = korean.visit(library)
        page.get_by_role("textbox").last.fill(QUESTION)
        page.get_by_role("textbox").last.press("Enter")
        finished(page, "engineer")
        expect(answer(page)).to_contain_text("아마 맞음 · 70%")
        expect(answer(page)).to_contain_text("밑줄 친 문장은 뒷받침하는 인용이 없습니다")
        line = answer(page).get_by_role("button", name=re.compile("집 서버|이 기기에서 답함"))
        line.last.click()
        expect(page.get_by_role("dialog")).to_contain_text("들어간 내용은 신뢰 등급입니다")
        look(page, "trust-ko")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_what_opens(library: House, laptop: Visitor, scheme: str) -> None:
    laptop.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    told(library, "It was serviced in March [1]. Ms Kim is a fine engineer.")
    with overseen(library, Judge(0.5, wild=("engineer",))):
        page = laptop.visit(library)
        ask(page, QUESTION, "fine engineer")
        opening = (
            answer(page).locator(".trust-chip").first,
            answer(page).locator(".trust-chip").last,
            answer(page).locator(".quote").first,
            page.get_by_role("button", name="Show all matches"),
        )
        for number, button in enumerate(opening):
            if number < 3:  # the last stands in what the one before opened
                page.keyboard.press("Escape")
            button.click()
            page.wait_for_timeout(300)
            assert not (found := violations(page)), "\n".join(found)
        page.keyboard.press("Escape")
        ask(page, "What is the rent of the mill?", "fine engineer")
        answer(page).locator(".quote", has_text="900 euro").first.click()
        expect(page.locator(".page-sheet img")).to_be_visible(timeout=30_000)
        assert not (found := violations(page)), "\n".join(found)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_reasons_are_told_in_the_words_of_the_ledger(language: str) -> None:
    ledger = tomllib.loads((SENTENCES / language / "ledger.toml").read_text("utf-8"))
    trust = catalogue(language, "trust")
    shown = {key: text for key, text in trust.items() if key.startswith("reason_")}
    assert {key: ledger.get(key) for key in shown if key != "reason_not_in_ledger"} == {
        key: text for key, text in shown.items() if key != "reason_not_in_ledger"
    }


@pytest.mark.parametrize("language", ["en", "ko"])
def test_bands_of_probability_are_those_of_the_command_line(language: str) -> None:
    from ondol.cli.verdict import BANDS

    words = tomllib.loads((SENTENCES / language / "trust.toml").read_text("utf-8"))
    source = (STATIC / "js" / "trust" / "reading.js").read_text("utf-8")
    for least, name in BANDS:
        assert f'[{least}, "{name}"]' in source
        bare = re.sub(r"\s*\(\{percent\}\s*%\)", "", words[name])
        assert catalogue(language, "trust")[f"band_{name}"].lower() == bare.lower()

"""The Personal page: what there is to learn from, a training under way, what came of it, and the
way back. The trainings are folders on disk, as a process that trains writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from house import CHAT, House, scripted_house
from lora_gguf import lora_bytes
from playwright.sync_api import Page, expect
from test_accessible import violations
from visiting import Visitor

from ondol import trainable
from ondol.personal import standing
from ondol.personal.standing import Standing, Training
from ondol.samples.records import Draft
from ondol.types import Message

Look = Callable[[Page, str], None]

ID = "personal-0123456789ab"
ROWS = [
    ("reply_loss", 3.21, 1.42, (-1.79, -2.1, -1.5), "nats", True),
    ("preferred", 0.41, 0.83, (0.42, 0.2, 0.6), "share", True),
    ("facts", 15, 11, (-4, None, None), "count", False),
]


def verdict(activates: bool) -> dict[str, Any]:
    rows = [
        {
            "name": name,
            "label": name,
            "before": before,
            "after": after,
            "difference": dict(zip(("value", "low", "high"), change, strict=True)) | {"n": 8},
            "unit": unit,
            "is_ok": is_ok or activates,
        }
        for name, before, after, change, unit, is_ok in ROWS
    ]
    reasons = [] if activates else ["It answers fewer everyday questions soundly: 11 of 15."]
    return {"activates": activates, "reasons": reasons, "notes": [], "rows": rows}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house of the test's own, with nothing to learn from."""
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path))
    with scripted_house(tmp_path) as house:
        yield house


def teach(house: House, count: int) -> None:
    """Samples of two sources that the owner agreed to."""
    samples = house.parts.kept.samples
    for kind, name, share in (
        ("chat_export", "chats", range(0, count, 2)),
        ("writing", "letters", range(1, count, 2)),
    ):
        source = samples.add_source(kind, name)  # type: ignore[arg-type]
        words = "stove boiler roof cellar garden attic bridge meadow river orchard".split()
        samples.add(
            source.id,
            [
                Draft(
                    "preference" if n % 4 == 0 else "sft",
                    f"c{n}",
                    (
                        Message(
                            "user", f"What of the {words[n % 10]} and the {words[n // 10]} in {n}?"
                        ),
                    ),
                    f"Captain, {words[n * 7 % 10]} {n} by {words[n * 3 % 10]}, {words[n // 10]}!",
                    rejected="I do not know." if n % 4 == 0 else None,
                )
                for n in share
            ],
        )


def training(**fields: Any) -> Standing:
    told: dict[str, Any] = {
        "id": ID,
        "training": Training(CHAT, when_idle=True),
        "num_examples": 61,
        "num_held_out": 11,
        "started_at": "2026-11-22T06:00:00+00:00",
        "state": "running",
        "stage": "sft",
        "step": 18,
        "steps": 30,
        "loss": 1.9,
        "seconds": 40.0,
        "eta_seconds": 95.0,
    }
    return Standing(**{**told, **fields})


def on_disk(one: Standing) -> None:
    standing.begin(one)
    (one.folder / "sft").mkdir(exist_ok=True)
    lines = [
        {"step": n, "loss": 4.5 / n**0.4, "seconds": 1.0}
        | ({"held_out_loss": 4.6 / n**0.35} if n % 5 == 0 else {})
        for n in range(1, one.step + 1)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (one.folder / "sft" / "losses.jsonl").write_text(text)
    (one.folder / "sft" / "job.json").write_text("{}")


def test_empty_page_says_how_to_begin(own: House, laptop: Visitor, look: Look) -> None:
    page = laptop.visit(own, "personal")
    expect(page.get_by_role("heading", name="Nothing to learn from yet")).to_be_visible()
    expect(page.get_by_text("Give answers a thumb up or down")).to_be_visible()
    expect(page.get_by_role("link", name="To the chat")).to_be_visible()
    look(page, "personal-empty")


def test_too_little_is_shown_with_how_much_is_missing(
    own: House, laptop: Visitor, look: Look
) -> None:
    teach(own, 12)
    page = laptop.visit(own, "personal")
    expect(page.get_by_role("button", name="Train")).to_be_disabled()
    expect(page.get_by_role("progressbar", name="Enough to train")).to_be_visible()
    expect(page.get_by_text("of 20 · 3 of 5 kept back")).to_be_visible()
    sources = page.locator(".personal-sources li")
    expect(sources).to_have_count(2)
    expect(sources.filter(has_text="letters")).to_contain_text("Your writing · 6 samples · agreed")
    look(page, "personal-few")
    page.get_by_role("button", name="Erase: letters").click()
    page.get_by_role("dialog").get_by_role("button", name="Erase").click()
    expect(sources).to_have_count(1)
    assert len(own.parts.kept.samples.sources()) == 1


def test_button_starts_a_training_with_what_was_chosen(own: House, laptop: Visitor) -> None:
    teach(own, 60)
    page = laptop.visit(own, "personal")
    sent: list[Any] = []

    def answer(route: Any) -> None:
        sent.append(route.request.post_data_json)
        on_disk(training(state="paused"))
        route.fulfill(status=201, json=training().json())

    page.route("**/personal/trainings", answer)
    page.get_by_text("Only while nobody is being answered").click()
    page.get_by_role("button", name="Train").click()
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    assert sent == [{"when_idle": False}]


def test_training_is_followed_and_paused_wherever_it_runs(
    own: House, laptop: Visitor, look: Look
) -> None:
    """As one of `ondol train`: another process is at it."""
    teach(own, 60)
    with ExitStack() as held:
        held.enter_context(trainable.alone(ID))
        on_disk(training())
        page = laptop.visit(own, "personal")
        expect(page.get_by_role("status")).to_contain_text("Learning how you like answers")
        bar = page.get_by_role("progressbar", name="Progress of the training")
        expect(bar).to_have_attribute("aria-valuenow", "60")
        expect(page.get_by_text("18 of 30 · about 2 min left")).to_be_visible()
        curve = page.get_by_role("table", name="Mistakes, step by step (loss)")
        assert curve.get_by_role("row").count() > 5
        look(page, "personal-running")
        assert violations(page) == []
        standing.write(training(step=24).with_())
        expect(bar).to_have_attribute("aria-valuenow", "80")
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_role("button", name="Pause")).to_be_enabled()
        assert standing.requested(ID) == "pause"
        standing.write(training(step=24, state="paused").with_())
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("paused")
    page.get_by_role("button", name="Give up").click()
    page.get_by_role("dialog").get_by_role("button", name="Give up").click()
    expect(page.get_by_role("button", name="Train")).to_be_visible()
    assert standing.listed() == []


def test_refusal_is_explained_in_plain_words(own: House, laptop: Visitor, look: Look) -> None:
    teach(own, 60)
    on_disk(
        training(
            state="refused",
            stage="evaluation",
            step=30,
            adapter=f"{CHAT}:style-candidate",
            verdict=verdict(False),
        )
    )
    page = laptop.visit(own, "personal")
    expect(page.get_by_text(f"{CHAT}:style-candidate was not better")).to_be_visible()
    expect(page.get_by_text("It answers fewer everyday questions soundly")).to_be_visible()
    table = page.get_by_role("table", name="What was measured")
    row = table.get_by_role("row").filter(has_text="Everyday questions answered soundly")
    expect(row).to_contain_text("15")
    expect(row).to_contain_text("not good enough")
    expect(table.get_by_role("row").filter(has_text="likelier")).to_contain_text("41%")
    look(page, "personal-refused")
    page.get_by_text("How it learned").click()
    assert violations(page) == []


ADAPTER = {
    "name": f"{CHAT}:style",
    "adapter": "style",
    "model": CHAT,
    "digest": "sha256:" + "1" * 64,
    "size_bytes": 1_640_000,
    "created_at": "2026-11-22T06:40:00+00:00",
    "languages": ["en"],
    "stale": False,
    "is_candidate": False,
    "trained_on": {"num_examples": 61},
    "evaluation": {},
}


def with_adapters(page: Page) -> list[tuple[str, Any]]:
    """Two adapters, the first of which answers, and what the page asks about them."""
    asked: list[tuple[str, Any]] = []

    def overview(route: Any) -> None:
        found = route.fetch().json()
        older = ADAPTER | {"name": f"{CHAT}:style-2", "adapter": "style-2"}
        found["adapters"] = [ADAPTER | {"is_active": True}, older | {"is_active": False}]
        route.fulfill(json=found)

    def told(value: Any) -> Callable[[Any], None]:
        def answer(route: Any) -> None:
            asked.append((route.request.url.split("/ondol/v1/")[1], route.request.post_data_json))
            route.fulfill(json=value)

        return answer

    at = "2026-11-22T06:45:00+00:00"
    rows = [
        {"number": 2, "model": CHAT, "adapters": {"style": 1.0}, "reason": "activated", "at": at},
        {"number": 1, "model": CHAT, "adapters": {}, "reason": "rolled_back", "at": at},
    ]
    page.route("**/ondol/v1/personal", overview)
    page.route("**/ondol/v1/activations", lambda route: route.fulfill(json={"activations": rows}))
    page.route("**/activations/rollback", told({}))
    page.route("**/activate", told({}))
    said = {
        "sample": "s",
        "adapter": ADAPTER["name"],
        "prompt": "How is the stove?",
        "before": "The stove is a device that is used in order to heat a room.",
        "after": "Captain, it is warm. Stay toasty!",
        "wanted": "Captain, warm as ever. Stay toasty!",
    }
    page.route("**/personal/comparisons", told(said))
    return asked


def test_before_and_after_stand_side_by_side_and_the_way_back_is_one_click(
    own: House, laptop: Visitor, look: Look
) -> None:
    teach(own, 60)
    on_disk(
        training(
            state="done",
            stage="evaluation",
            step=30,
            adapter=str(ADAPTER["name"]),
            verdict=verdict(True),
        )
    )
    page = laptop.page
    asked = with_adapters(page)
    laptop.visit(own, "personal")
    expect(page.get_by_text(f"{CHAT}:style passed and answers now.")).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    sides = page.locator(".personal-side")
    expect(sides).to_have_count(3)
    expect(sides.nth(1)).to_contain_text("Captain, it is warm")
    expect(page.get_by_role("button", name="Another one")).to_be_visible()
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    look(page, "personal-done")
    assert violations(page) == []
    page.get_by_role("button", name="Let it answer").click()
    page.get_by_role("button", name="Take back the last change").click()
    expect(page.get_by_role("button", name="Take back the last change")).to_be_enabled()
    held_out = {one.id for one in own.parts.kept.samples.all(held_out=True)}
    (first, shown), *others = asked
    assert first == "personal/comparisons" and shown["sample"] in held_out
    assert shown["adapter"] == ADAPTER["name"]
    assert others == [
        (f"adapters/{CHAT}:style-2/activate", {}),
        ("activations/rollback", {"model": CHAT}),
    ]
    page.get_by_text("Who answered when").click()
    expect(page.locator(".personal-history li").last).to_contain_text("the model alone")


def test_adapters_are_merged_into_one_that_waits_for_the_gate(
    own: House, laptop: Visitor, tmp_path: Path, look: Look
) -> None:
    random = np.random.default_rng(0)
    for name, count in (("style", 61), ("letters", 24)):
        pair = [random.standard_normal(shape).astype(np.float32) for shape in ((4, 2), (64, 2))]
        file = tmp_path / f"{name}.gguf"
        file.write_bytes(lora_bytes({"token_embd.weight": (pair[0], pair[1])}))
        told = {"task": "style", "num_examples": count}
        own.parts.adapters.add(file, name=name, model=CHAT, trained_on=told)
    laptop.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page = laptop.visit(own, "personal")
    page.get_by_role("button", name="Merge").click()
    dialog = page.get_by_role("dialog", name="Merge adapters")
    dialog.get_by_role("checkbox", name="letters").uncheck()
    expect(dialog.get_by_role("button", name="Merge")).to_be_disabled()
    dialog.get_by_role("checkbox", name="letters").check()
    dialog.get_by_label("Name").fill("both")
    look(page, "personal-merging")
    assert violations(page) == []
    dialog.get_by_role("button", name="Merge").click()
    expect(dialog).to_have_count(0)
    merged = page.get_by_role("listitem").filter(has_text="both-candidate")
    expect(merged).to_contain_text("not measured yet")
    expect(merged).to_contain_text("merged from style + letters")
    expect(merged).to_contain_text(f"ondol adapters activate {CHAT}:both-candidate")
    expect(merged.get_by_role("button", name="Let it answer")).to_have_count(0)
    look(page, "personal-merged")


def test_feedback_is_learned_from_only_after_a_yes(own: House, laptop: Visitor, look: Look) -> None:
    page = laptop.page

    def overview(route: Any) -> None:
        found = route.fetch().json()
        if not found["feedback"]["is_agreed"]:
            found["feedback"]["answers"] = 7
        route.fulfill(json=found)

    page.route("**/ondol/v1/personal", overview)
    laptop.visit(own, "personal")
    expect(page.get_by_text("You judged or edited 7 answers.")).to_be_visible()
    look(page, "personal-consent")
    assert own.parts.kept.samples.sources() == []
    page.get_by_role("button", name="Learn from it").click()
    expect(page.get_by_role("heading", name="What there is to learn from")).to_be_visible()
    assert [one.kind for one in own.parts.kept.samples.sources()] == ["feedback"]


def test_file_is_looked_at_before_it_is_agreed_to(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "personal")
    lines = [{"prompt": f"Question {n}?", "completion": f"Answer {n}, Captain."} for n in range(4)]
    content = "".join(json.dumps(one) + "\n" for one in lines).encode()
    page.locator("input[type=file]").set_input_files(
        {"name": "mine.jsonl", "mimeType": "application/json", "buffer": content}
    )
    dialog = page.get_by_role("dialog", name="Learn from mine.jsonl?")
    expect(dialog).to_contain_text("4")
    assert own.parts.kept.samples.sources() == []
    dialog.get_by_role("button", name="Learn from it").click()
    expect(page.locator(".personal-sources li")).to_contain_text("mine.jsonl")
    assert len(own.parts.kept.samples.all()) == 4


def test_page_fits_a_phone_and_speaks_korean(
    own: House, phone: Visitor, korean: Visitor, look: Look
) -> None:
    teach(own, 60)
    on_disk(training(state="done", step=30, adapter=str(ADAPTER["name"]), verdict=verdict(True)))
    with_adapters(phone.page)
    page = phone.visit(own, "personal")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".personal-side")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    look(page, "personal-phone")
    with_adapters(korean.page)
    page = korean.visit(own, "personal")
    expect(page.get_by_role("heading", name="나만의 모델")).to_be_visible()
    expect(page.get_by_text("평가를 통과해 이제 답합니다")).to_be_visible()
    look(page, "personal-korean")

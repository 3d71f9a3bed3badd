"""The Hub page: adding one by its fingerprint, what it offers, installing, updating, the way back,
and publishing. The hub is real, and so is what is verified of it; its models do not think, so that
trying them out is left out here."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from house import CHAT, House, scripted_house, tiny_gguf
from lora_gguf import lora_bytes
from playwright.sync_api import Page, expect
from test_accessible import violations
from visiting import Visitor

sys.path.append(str(Path(__file__).parents[1] / "hub"))
from offered import MODEL, Offered, offered

from ondol.hub.client import Hubs
from ondol.hub.repository import keys
from ondol.updating import fetching, updater
from ondol.updating.switching import Progress, Tried

# A machine that does much at once takes its time; a page that is wrong stays wrong.
expect.set_options(timeout=20_000)

Look = Callable[[Page, str], None]

WEIGHTS = tiny_gguf()
NEWER = WEIGHTS[:-4] + b"\0\0\0\1"
DIGEST = f"sha256:{hashlib.sha256(WEIGHTS).hexdigest()}"

HOSTILE = replace(
    MODEL,
    title="<b>Bold</b>",
    description="<img src=x onerror=alert(1)>" + "y" * 3000,
    languages=("not a language!", "ko"),
    released_at="yesterday",
    training={"<i>": "<script>alert(1)</script>", "deep": [{}]},
    evaluation={"a": {"before": {}, "after": [1]}, "b": [1, {"name": 2}], "c": {"value": "z"}},
    source="javascript:alert(1)",
)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Offered]:
    with offered(tmp_path / "hub", WEIGHTS, DIGEST) as found:
        yield found


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house of the test's own, without a hub."""
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path / "own"))
    monkeypatch.setattr("ondol.updating.trial.try_model", lambda *_: Tried())
    (tmp_path / "house").mkdir()
    with scripted_house(tmp_path / "house") as house:
        yield house


def add(house: House, hub: Offered, name: str = "clinic") -> None:
    """As the owner adds it."""
    with Hubs.open() as kept:
        row = kept.add(hub.url, hub.fingerprint, name, egress=house.parts.egress)
        kept.hub(row, house.parts.egress).refresh()


def test_hub_is_added_only_with_its_fingerprint(
    own: House, hub: Offered, laptop: Visitor, look: Look
) -> None:
    laptop.allowed += ["502", "422"]
    page = laptop.visit(own, "hub")
    expect(page.get_by_role("heading", name="No hub yet")).to_be_visible()
    look(page, "hub-empty")
    page.locator("main").get_by_role("button", name="Add a hub").click()
    dialog = page.get_by_role("dialog", name="Add a hub")
    dialog.get_by_label("Address").fill(hub.url)
    wrong = hub.fingerprint[:-1] + ("A" if hub.fingerprint[-1] != "A" else "B")
    dialog.get_by_label("Fingerprint").fill(wrong)
    dialog.get_by_label("Name").fill("clinic")
    look(page, "hub-adding")
    assert violations(page) == []
    dialog.get_by_role("button", name="Compare and add").click()
    expect(dialog.get_by_role("alert").last).to_be_visible()
    with Hubs.open() as kept:
        assert kept.list() == []
    dialog.get_by_label("Fingerprint").fill(hub.fingerprint)
    dialog.get_by_role("button", name="Compare and add").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("listitem").filter(has_text="Formal tone")).to_be_visible()
    page.get_by_role("tab", name="Hubs (1)").click()
    expect(page.get_by_text(hub.fingerprint)).to_be_visible()
    expect(page.get_by_text("verified", exact=True)).to_be_visible()
    look(page, "hub-hubs")
    assert violations(page) == []
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_role("heading", name="No hub yet")).to_be_visible()


def test_cards_say_what_is_known_and_what_stands_in_the_way(
    own: House, hub: Offered, laptop: Visitor, look: Look
) -> None:
    hub.publish("hostile", "1.0", HOSTILE, NEWER)
    add(own, hub)
    page = laptop.visit(own, "hub")
    lost = page.get_by_role("listitem").filter(has_text="Lost")
    expect(lost).to_contain_text("It belongs to nowhere:7b, which is not on this machine")
    expect(lost.get_by_role("button", name="Install Lost 2")).to_be_disabled()
    look(page, "hub-offered")
    page.get_by_role("searchbox").fill("office korean")
    expect(page.get_by_text("Nothing fits that search.")).to_be_visible()
    page.get_by_role("searchbox").fill("OFFICE ko")
    expect(page.get_by_role("button", name="Formal tone", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Letters", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Formal tone", exact=True).click()
    drawer = page.get_by_role("dialog", name="Formal tone")
    row = drawer.get_by_role("row").filter(has_text="tone · right answers")
    expect(row).to_contain_text("40%")
    expect(row).to_contain_text("90%")
    expect(drawer).to_contain_text("CC-BY-4.0")
    expect(drawer).to_contain_text("Nothing was found when it was published.")
    (key,) = hub.repository.publishers()["clinic"]
    expect(drawer.get_by_text(key)).to_be_visible()
    look(page, "hub-card")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("searchbox").fill("bold")
    page.get_by_role("button", name="<b>Bold</b>", exact=True).click()
    drawer = page.get_by_role("dialog", name="<b>Bold</b>")
    expect(drawer).to_contain_text("<img src=x onerror=alert(1)>")
    expect(drawer).to_contain_text("<script>alert(1)</script>")
    expect(drawer).to_contain_text("not a language!, Korean")
    expect(drawer.get_by_role("row").filter(has_text="c")).to_contain_text("z")
    expect(drawer.locator("a, img, script")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_model_is_installed_step_by_step(
    own: House, hub: Offered, laptop: Visitor, look: Look
) -> None:
    taken = own.parts.config["models.chat"]
    hub.publish("taken", "1.0", replace(MODEL, name=taken, title="Taken"), NEWER)
    add(own, hub)
    go_on = threading.Event()

    def fetch(*given: Any) -> dict[str, Path]:
        *_, tell, _ = given
        tell(Progress("fetch", 1000, 2500))
        assert go_on.wait(20)
        return real(*given)

    real = fetching.fetch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetching, "fetch", fetch)
        page = laptop.visit(own, "hub")
        page.get_by_role("button", name="Install Letters 1").click()
        bar = page.get_by_role("progressbar", name="clinic/letters")
        expect(bar).to_have_attribute("aria-valuenow", "40")
        expect(page.locator("[aria-current=step]")).to_have_text("Fetch")
        expect(page.get_by_text("1 KB of 2.5 KB")).to_be_visible()
        look(page, "hub-under-way")
        assert violations(page) == []
        go_on.set()
        expect(page.get_by_text("letters:1b is installed, version 1.")).to_be_visible()
    expect(bar).to_have_count(0)
    letters = page.get_by_role("listitem").filter(has=page.get_by_role("button", name="Letters"))
    expect(letters).to_contain_text("version 1 is here")
    assert own.parts.store.get("letters:1b").file("weights").digest == DIGEST
    # What has a name already keeps it until its owner says otherwise.
    page.get_by_role("button", name="Install Taken 1").click()
    page.get_by_role("button", name="Choose…").click()
    dialog = page.get_by_role("dialog", name="Something else has that name")
    look(page, "hub-name")
    dialog.get_by_label("Call it").fill("mine:1b")
    dialog.get_by_role("button", name="Install under this name").click()
    expect(page.get_by_text("mine:1b is installed, version 1.")).to_be_visible()
    assert own.parts.store.get("mine:1b")


def test_model_is_updated_pinned_and_returned_to(
    own: House, hub: Offered, laptop: Visitor, look: Look
) -> None:
    add(own, hub)
    updater.install(own.parts, "clinic/letters")
    hub.publish("letters", "1.1", MODEL, NEWER)
    page = laptop.visit(own, "hub/here")
    page.get_by_role("button", name="Look for updates").click()
    expect(page.get_by_text("Newer versions found: 1.")).to_be_visible()
    expect(page.get_by_role("tab", name="Installed (1)", selected=True)).to_be_visible()
    look(page, "hub-here")
    assert violations(page) == []
    page.get_by_role("button", name="More for letters:1b").click()
    page.get_by_role("menuitem", name="Stay at 1").click()
    expect(page.get_by_text("pinned", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Update to 1.1: letters:1b")).to_have_count(0)
    page.get_by_role("button", name="More for letters:1b").click()
    page.get_by_role("menuitem", name="Update again").click()
    page.get_by_role("button", name="Update to 1.1: letters:1b").click()
    expect(page.get_by_text("letters:1b is now at version 1.1.")).to_be_visible()
    assert own.parts.store.get("letters:1b").file("weights").digest != DIGEST
    page.get_by_role("button", name="More for letters:1b").click()
    page.get_by_role("menuitem", name="Go back…").click()
    page.get_by_role("dialog").get_by_role("button", name="Go back to 1", exact=True).click()
    expect(page.get_by_text("letters:1b is at version 1 again.")).to_be_visible()
    assert own.parts.store.get("letters:1b").file("weights").digest == DIGEST
    page.get_by_role("button", name="More for letters:1b").click()
    page.get_by_role("menuitem", name="History").click()
    history = page.get_by_role("dialog", name="What happened to letters:1b").get_by_role("listitem")
    expect(history).to_have_count(5)
    expect(history.first).to_contain_text("Back from version 1.1 to version 1")
    look(page, "hub-history")


def test_what_fails_or_is_away_is_said_and_what_was_there_stays(
    own: House, hub: Offered, laptop: Visitor, look: Look
) -> None:
    from ondol.errors import UpdateFailedError

    add(own, hub)
    updater.install(own.parts, "clinic/letters")
    hub.publish("letters", "1.1", MODEL, NEWER)

    def refuse(*_: object) -> None:
        raise UpdateFailedError("letters:1b did not pass its test: it says nothing.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ondol.updating.trial.try_model", refuse)
        page = laptop.visit(own, "hub/here")
        page.get_by_role("button", name="Look for updates").click()
        page.get_by_role("button", name="Update to 1.1: letters:1b").click()
        card = page.locator(".hub-update").filter(has_text="did not pass its test")
        expect(card).to_contain_text("What ran before goes on as it was.")
    look(page, "hub-failed")
    assert own.parts.store.get("letters:1b").file("weights").digest == DIGEST
    page.get_by_role("button", name="Show letters:1b no more").click()
    expect(page.get_by_text("What ran before goes on as it was.")).to_have_count(0)
    expect(page.get_by_text("Version 1.1 is not taken by itself")).to_be_visible()
    # Neither does a hub that is away take anything with it.
    with Hubs.open() as kept, kept.place.writing() as connection:
        connection.execute("UPDATE hubs SET url = 'http://127.0.0.1:9'")
    page.get_by_role("button", name="Look for updates").click()
    expect(page.get_by_role("alert")).to_contain_text("clinic")
    page.get_by_role("tab", name="Offered (3)").click()
    expect(page.get_by_role("listitem").filter(has_text="Formal tone")).to_be_visible()
    page.get_by_role("tab", name="Hubs (1)").click()
    expect(page.get_by_text("What it said before stays")).to_be_visible()
    look(page, "hub-away")


def test_own_adapter_is_published_after_a_warning_and_a_yes(
    own: House, hub: Offered, laptop: Visitor, look: Look, tmp_path: Path
) -> None:
    file, key = tmp_path / "style.gguf", tmp_path / "clinic.key"
    factors = np.zeros((4, 2), np.float32), np.zeros((64, 2), np.float32)
    file.write_bytes(lora_bytes({"token_embd.weight": factors}))
    told = {
        "trained_on": {"task": "style", "num_examples": 30},
        "evaluation": {"canary": {"numbers": 9, "tested": 4, "by_heart": 1}},
    }
    own.parts.adapters.add(file, name="style", model=CHAT, **told)
    keys.save(key, hub.key)
    add(own, hub)
    page = laptop.visit(own, "hub")
    page.get_by_role("button", name="Publish an adapter").click()
    dialog = page.get_by_role("dialog", name="Publish an adapter")
    expect(dialog).to_contain_text("learned from what you wrote")
    expect(dialog).to_contain_text(
        "Numbers it learned that were tried: 4. Of these it says by heart: 1."
    )
    sign = dialog.get_by_role("button", name="Sign and publish")
    for label, text in (
        ("Folder of the hub", str(hub.folder)),
        ("Publisher", "clinic"),
        ("Licence", "CC0-1.0"),
        ("File of your key", str(key)),
    ):
        dialog.get_by_label(label, exact=True).fill(text)
    expect(sign).to_be_disabled()
    dialog.get_by_label("Everybody whose words taught it").check()
    look(page, "hub-publishing")
    assert violations(page) == []
    sign.click()
    expect(page.get_by_text("clinic/style 1 is published.")).to_be_visible()
    assert any(one.item == "style" for one in hub.repository.releases())


PACK = {
    "name": "typography",
    "title": "Typography",
    "field": "typography",
    "version": "1.0",
    "publisher": "",
    "item": "",
    "hub": "",
    "description": "Answers about type and paper as a printer would.",
    "not_for": "It knows nothing of prices.",
    "licence": "CC0-1.0",
    "languages": ["en"],
    "model": CHAT,
    "has_adapter": False,
    "prompts": 2,
    "terms": 40,
    "questions": 24,
    "evaluation": {
        "questions": 24,
        "measures": [
            {"name": "choices", "n": 24, "before": 0.25, "after": 0.5, "low": 0.1, "high": 0.4}
        ],
        "is_worse": False,
        "seconds": 61.0,
    },
    "installed_at": "2026-11-22T09:00:00+00:00",
}


def test_pack_shows_what_was_measured_here_and_goes_again(
    own: House, laptop: Visitor, look: Look
) -> None:
    """Its rows are made up: what a pack is and does ``tests/updating`` tries."""
    removed: list[str] = []

    def packs(route: Any) -> None:
        if route.request.method == "DELETE":
            removed.append(route.request.url)
            told = {"removed": "typography", "freed_bytes": 9, "kept_prompts": 0}
            route.fulfill(json=told | {"answers_now": CHAT})
        else:
            route.fulfill(json={"packs": [] if removed else [PACK]})

    row = {
        "name": "typography:latest",
        "kind": "pack",
        "hub": "clinic",
        "fingerprint": "ONDOLHUB1-A",
        "publisher": "clinic",
        "item": "typography",
        "version": "1",
        "channel": "",
        "pin": None,
        "floor": "1",
        "previous": [],
        "installed_at": "2026-11-22T09:00:00+00:00",
        "stale": [],
    }

    def updates(route: Any) -> None:
        route.fulfill(json={"installed": [] if removed else [row], "offers": [], "updates": []})

    laptop.page.route("**/ondol/v1/updates", updates)
    laptop.page.route("**/ondol/v1/packs**", packs)
    laptop.page.route("**/ondol/v1/packs/**", packs)
    page = laptop.visit(own, "hub/here")
    card = page.get_by_role("article").filter(has_text="typography")
    # It is one thing, though it is a model by another name too.
    expect(page.get_by_role("article")).to_have_count(1)
    expect(card).to_contain_text("Measured here with 24 questions: it helps, beyond chance.")
    expect(card.get_by_role("row").filter(has_text="choices")).to_contain_text("25%")
    expect(card).to_contain_text("It knows nothing of prices.")
    look(page, "hub-pack")
    assert violations(page) == []
    card.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(card).to_have_count(0)
    expect(page.get_by_text(f"{CHAT} answers where no model is named.")).to_be_visible()
    assert [one.rpartition("/")[2] for one in removed] == ["typography"]


def test_hub_page_in_korean_in_the_dark_and_on_a_phone(
    own: House, hub: Offered, korean: Visitor, phone: Visitor, laptop: Visitor, look: Look
) -> None:
    add(own, hub)
    updater.install(own.parts, "clinic/letters")
    page = korean.visit(own, "hub")
    expect(page.get_by_role("heading", name="허브")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="Formal tone")).to_contain_text("검사함")
    look(page, "hub-korean")
    page.get_by_role("button", name="Formal tone", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text(
        "다른 누구도 그 이름으로 서명할 수 없습니다."
    )
    look(page, "hub-korean-card")
    laptop.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page = laptop.visit(own, "hub")
    expect(page.get_by_role("listitem").filter(has_text="Formal tone")).to_be_visible()
    look(page, "hub-dark")
    assert violations(page) == []
    page = phone.visit(own, "hub")
    for tab in ("Hubs", "Installed", "Offered"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tabpanel")).to_contain_text("clinic")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        look(page, f"hub-phone-{tab.lower()}")
    assert violations(page) == []
    page.get_by_role("button", name="Formal tone", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("Signed by clinic")
    look(page, "hub-phone-card")

"""Memory in the app: what is remembered is seen, added to, changed, erased and taken along."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from house import House, scripted_house
from playwright.sync_api import Page, expect
from visiting import Visitor

from ondol import paths
from ondol.memory.saying import noticed
from ondol.types import Sensitivity


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A house with three memories."""
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path))
    with scripted_house(tmp_path) as house:
        memories = house.parts.kept.memories
        memories.add("I keep bees.")
        memories.add("Answer in short.", kind="preference")
        memories.add("I live in Daejeon.", sensitivity=Sensitivity.TRUSTED)
        yield house


def texts(page: Page) -> list[str]:
    return page.locator(".memory-text").all_inner_texts()


def test_memories_are_listed_with_how_far_they_may_travel(
    own: House, laptop: Visitor, look: Callable[[Page, str], None]
) -> None:
    page = laptop.visit(own, "memory")
    expect(page.locator(".memory")).to_have_count(3)
    assert texts(page) == ["I live in Daejeon.", "Answer in short.", "I keep bees."]
    expect(page.locator(".memory").first).to_contain_text("Trusted")
    expect(page.locator(".memory").last).to_contain_text("Private")
    look(page, "memory")


def test_memory_is_added_with_enter_and_stays(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "memory")
    field = page.get_by_label("Something to remember")
    field.fill("Use the metric system")
    page.get_by_role("group", name="Kind").get_by_text("Preference").click()
    field.press("Enter")
    expect(page.locator(".memory-text").first).to_have_text("Use the metric system")
    expect(field).to_have_value("")
    page.reload()
    expect(page.locator(".memory")).to_have_count(4)
    assert own.parts.kept.memories.all()[0].kind == "preference"


def test_enter_while_korean_is_composed_adds_nothing(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "memory")
    field = page.get_by_label("Something to remember")
    field.fill("벌을 키운다")
    field.evaluate(
        "e => e.dispatchEvent(new KeyboardEvent('keydown',"
        " {key: 'Enter', isComposing: true, bubbles: true}))"
    )
    field.press("Shift+Enter")
    expect(page.locator(".memory")).to_have_count(3)
    expect(field).to_have_value("벌을 키운다\n")


def test_kinds_and_words_narrow_the_list(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "memory")
    page.get_by_role("tab", name="Preferences · 1").click()
    expect(page.locator(".memory-text")).to_have_text(["Answer in short."])
    page.get_by_role("tab", name="All · 3").click()
    page.get_by_role("searchbox", name="Search memories").fill("BEES")
    expect(page.locator(".memory-text")).to_have_text(["I keep bees."])
    page.get_by_role("searchbox").fill("hens")
    expect(page.get_by_text("Nothing fits")).to_be_visible()


def test_memory_is_changed(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "memory")
    page.get_by_role("button", name="Change: I keep bees.").click()
    dialog = page.get_by_role("dialog", name="Change a memory")
    dialog.get_by_label("Text").fill("I keep hens.")
    dialog.get_by_label("How far it may travel").select_option("public")
    # Times are kept to the second: a change within the first would have the time it was added at.
    page.wait_for_timeout(1_100)
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".memory-text").last).to_have_text("I keep hens.")
    expect(page.locator(".memory").last).to_contain_text("Public")
    expect(page.locator(".memory").last).to_contain_text("changed")


def test_memory_is_erased_after_asking_and_no_byte_is_left(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "memory")
    page.get_by_role("button", name="Erase: I keep bees.").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".memory")).to_have_count(3)
    page.get_by_role("button", name="Erase: I keep bees.").click()
    page.get_by_role("dialog").get_by_role("button", name="Erase").click()
    expect(page.locator(".memory")).to_have_count(2)
    expect(page.get_by_text("Erased: 1. No copy is left.")).to_be_visible()
    file = paths.database_file()
    assert all(b"bees" not in one.read_bytes() for one in file.parent.glob(f"{file.name}*"))


def test_everything_is_erased_from_the_menu(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "memory")
    page.get_by_role("main").get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Erase everything").click()
    page.get_by_role("dialog").get_by_role("button", name="Erase").click()
    expect(page.get_by_text("Nothing is remembered", exact=True)).to_be_visible()
    assert own.parts.kept.memories.all() == []


def test_export_is_a_file_with_all_of_it(own: House, laptop: Visitor, tmp_path: Path) -> None:
    page = laptop.visit(own, "memory")
    page.get_by_role("main").get_by_role("button", name="More").click()
    with page.expect_download() as caught:
        page.get_by_role("menuitem", name="Export as JSON").click()
    file = tmp_path / "exported.json"
    caught.value.save_as(file)
    memories = json.loads(file.read_text("utf-8"))["memories"]
    assert {one["text"] for one in memories} == {
        *("I keep bees.", "Answer in short.", "I live in Daejeon."),
    }


def test_what_the_server_refuses_is_told_and_what_was_typed_stays(
    own: House, laptop: Visitor
) -> None:
    laptop.allowed.append("507")
    page = laptop.visit(own, "memory")
    page.route(
        "**/ondol/v1/memories",
        lambda route: (
            route.fulfill(status=507, json={"error": {"code": "x", "message": "The disk is full."}})
            if route.request.method == "POST"
            else route.continue_()
        ),
    )
    page.get_by_label("Something to remember").fill("I keep hens")
    page.get_by_role("button", name="Remember").click()
    expect(page.get_by_role("alert")).to_contain_text("The disk is full.")
    expect(page.get_by_label("Something to remember")).to_have_value("I keep hens")


def test_what_was_said_before_is_seen_restored_and_erased(
    own: House, laptop: Visitor, look: Callable[[Page, str], None]
) -> None:
    own.parts.kept.memories.learn("I live in Busan.", source="chat:abc")
    page = laptop.visit(own, "memory")
    expect(page.locator(".memory").first).to_contain_text("said in a chat")
    page.get_by_role("button", name="What it said before: I live in Busan.").click()
    dialog = page.get_by_role("dialog", name="What it said before")
    expect(dialog.locator(".memory-version")).to_contain_text("I live in Daejeon.")
    look(page, "memory-history")
    dialog.get_by_role("button", name="Restore").click()
    expect(dialog.locator("blockquote")).to_contain_text("I live in Daejeon.")
    expect(dialog.locator(".memory-version")).to_contain_text("I live in Busan.")
    dialog.get_by_role("button", name="Erase all older texts").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert texts(page)[0] == "I live in Daejeon."
    assert own.parts.kept.memories.all()[0].versions == 0


def test_suggestions_are_said_yes_or_no_to(
    own: House, laptop: Visitor, look: Callable[[Page, str], None]
) -> None:
    said = "I live in Busan. Call me Mo. I am allergic to walnuts."
    own.parts.kept.memories.suggestions.note(noticed(said))
    page = laptop.visit(own, "memory")
    card = page.get_by_role("region", name="Remember this? · 3")
    expect(card).to_contain_text("in the place of: I live in Daejeon.")
    look(page, "memory-suggestions")
    card.get_by_role("button", name="Yes, remember: I live in Busan.").click()
    expect(page.locator(".memory .memory-text").first).to_have_text("I live in Busan.")
    page.get_by_role("button", name="No, do not remember: Call me Mo.").click()
    expect(page.get_by_role("region", name="Remember this? · 1")).to_be_visible()
    assert len(own.parts.kept.memories.all()) == 3


def test_personas_are_kept_chosen_and_erased(own: House, laptop: Visitor) -> None:
    page = laptop.visit(own, "memory")
    region = page.get_by_role("region", name="Personas")
    region.get_by_role("button", name="New persona").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("work")
    dialog.get_by_label("Text").fill("I am a nurse.")
    dialog.get_by_role("button", name="Save").click()
    region.get_by_role("switch", name="In use").click()
    expect(region.get_by_role("switch", name="In use")).to_be_checked()
    (persona,) = own.parts.kept.memories.personas.all()
    assert (persona.name, persona.text, persona.is_chosen) == ("work", "I am a nurse.", True)
    region.get_by_role("button", name="Erase: work").click()
    page.get_by_role("dialog").get_by_role("button", name="Erase").click()
    expect(region.get_by_role("switch")).to_have_count(0)


def test_chat_notes_what_it_remembers_and_asks_what_it_would(
    own: House, laptop: Visitor, look: Callable[[Page, str], None]
) -> None:
    page = laptop.visit(own, "chat")
    field = page.get_by_role("textbox", name="Your message")
    field.fill("Remember that I live in Ulm.")
    field.press("Enter")
    note = page.locator(".noted")
    expect(note).to_contain_text("Remembered, in the place of what you said before.")
    look(page, "chat-remembered")
    note.get_by_role("button", name="Undo").click()
    expect(note).to_contain_text("Taken back.")
    assert "I live in Daejeon." in [one.text for one in own.parts.kept.memories.all()]
    field.fill("I am allergic to walnuts, what may I eat?")
    field.press("Enter")
    page.get_by_role("button", name="Yes, remember: I am allergic to walnuts").click()
    expect(page.get_by_text("Remember this?")).to_have_count(0)
    assert own.parts.kept.memories.all()[0].text == "I am allergic to walnuts"


def test_memory_fits_a_phone(own: House, phone: Visitor) -> None:
    own.parts.kept.memories.suggestions.note(noticed("I live in Busan. Call me Mo."))
    own.parts.kept.memories.personas.put("work", "I am a nurse. " * 30)
    page = phone.visit(own, "memory")
    expect(page.locator(".memory")).to_have_count(3)
    expect(page.locator(".memory-waiting")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

"""Evidence: from an answer to the very words of the document, by mouse, by keyboard, on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chatting import ask, told
from house import House, scripted_house
from playwright.sync_api import Page, expect
from trusting import BOILER, LEASE, NOTE, RENT, add, answer, drawer
from visiting import Visitor

Look = Callable[[Page, str], None]
# A page is drawn by a process of its own, which takes its time on a busy machine.
PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, shelf: Path) -> Iterator[House]:
    """A house whose library is the shelf."""
    folder = tmp_path_factory.mktemp("evidence")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONDOL_HOME", str(folder))
        with scripted_house(folder) as house:
            add(house, shelf)
            yield house


def asked(visitor: Visitor, house: House, question: str, reply: str) -> Page:
    told(house, reply)
    page = visitor.visit(house)
    ask(page, question, reply.partition(" [")[0])
    return page


def drawn(page: Page, width: int) -> None:
    """Wait until the page of the file is there, at least so wide."""
    wide = "(document.querySelector('.page-sheet img') ?? {naturalWidth: 0}).naturalWidth"
    for _ in range(300):
        if page.evaluate(wide) > width:
            return
        page.wait_for_timeout(100)
    raise AssertionError("the page was not drawn")


def test_quote_opens_the_document_with_the_sentence_marked_and_in_sight(
    library: House, laptop: Visitor, look: Look
) -> None:
    page = asked(laptop, library, "When was the boiler serviced?", "In March [1].")
    card = answer(page).locator(".quote").first
    expect(card).to_contain_text(BOILER)
    expect(card).to_contain_text("house.md")
    expect(card.get_by_role("img", name="Private")).to_be_visible()
    look(page, "evidence-quotes")
    card.click()
    box = drawer(page)
    expect(box.get_by_role("heading", name="house.md")).to_be_visible()
    expect(box.locator("mark")).to_have_text(BOILER)
    expect(box.locator("mark")).to_be_in_viewport()
    expect(box.locator(".passage")).to_contain_text("The oak was felled in May.")
    look(page, "evidence-drawer")
    page.keyboard.press("Escape")
    expect(box).to_have_count(0)
    expect(card).to_be_focused()


def test_number_in_the_answer_opens_its_quote_by_keyboard_alone(
    library: House, laptop: Visitor
) -> None:
    page = asked(laptop, library, "When was the boiler serviced?", "In March [1].")
    page.set_viewport_size({"width": 1100, "height": 800})  # too narrow for both side by side
    page.get_by_role("button", name="Open quote 1").focus()
    page.keyboard.press("Enter")
    box = drawer(page)
    expect(box.locator("mark")).to_have_text(BOILER)
    # Focus stays inside, however often one goes on.
    for _ in range(12):
        page.keyboard.press("Tab")
        where = page.evaluate("document.activeElement.closest('dialog, main, nav')?.tagName")
        assert where in ("DIALOG", None)  # None: the browser's own bars
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Open quote 1")).to_be_focused()


def test_document_stands_beside_the_answer_in_a_wide_window(
    library: House, laptop: Visitor, look: Look
) -> None:
    page = asked(laptop, library, "When was the boiler serviced?", "In March [1].")
    answer(page).locator(".quote").first.click()
    box = drawer(page)
    expect(box.locator("mark")).to_have_text(BOILER)
    # Both can be read: neither is behind the other.
    edges = page.evaluate(
        "[document.querySelector('.answer').getBoundingClientRect().right,"
        " document.querySelector('dialog').getBoundingClientRect().left]"
    )
    assert edges[0] <= edges[1]
    # The page goes on being used: the next quote, then a question.
    answer(page).locator(".quote").nth(1).click()
    expect(box).to_have_count(1)
    expect(box.locator("mark")).to_have_text("It cost 120 euro.")
    page.get_by_role("textbox").fill("And who paid?")
    expect(page.get_by_role("textbox")).to_have_value("And who paid?")
    look(page, "evidence-beside")
    page.keyboard.press("Escape")
    expect(box).to_have_count(0)
    expect(page.get_by_role("textbox")).to_be_focused()


def test_sentence_deep_in_a_long_document_is_scrolled_to(library: House, laptop: Visitor) -> None:
    page = asked(laptop, library, "Which ferry sank at noon?", "That one [1].")
    answer(page).locator(".quote", has_text="sank at noon").click()
    box = drawer(page)
    expect(box.locator("mark")).to_contain_text("The ferry sank at noon.")
    expect(box.locator("mark")).to_be_in_viewport()
    expect(box.locator(".passage")).not_to_contain_text("Day 10")
    box.get_by_role("button", name="Show what comes before").click()
    expect(box.locator(".passage")).to_contain_text("## Day 10")
    expect(box.locator("mark")).to_be_in_viewport()


def test_page_of_a_pdf_is_shown_at_the_quote_and_can_be_turned(
    library: House, laptop: Visitor, look: Look
) -> None:
    page = asked(laptop, library, "What is the rent of the mill?", "900 euro [1].")
    card = answer(page).locator(".quote", has_text="900 euro").first
    expect(card).to_contain_text("p. 2")
    card.click()
    box = drawer(page)
    sheet = box.get_by_role("img", name=re.compile("Page 2, with this marked: .*900 euro"))
    drawn(page, 1000)
    expect(sheet).to_be_visible()
    # The marked line is on the screen: it stands in the lower half of the page.
    top = page.evaluate("document.querySelector('.dialog-body').scrollTop")
    assert top > 100
    look(page, "evidence-page")
    box.get_by_role("button", name="Previous page").click()
    expect(box.get_by_role("img", name="Page 1", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    expect(box.get_by_role("button", name="Previous page")).to_be_disabled()
    box.get_by_role("button", name="Back to the quote").click()
    expect(sheet).to_be_visible(timeout=PATIENCE_MS)
    box.get_by_role("button", name="Larger").click()
    drawn(page, 1900)
    box.get_by_text("Text", exact=True).click()
    expect(box.locator("mark")).to_contain_text("900 euro")


def test_arrows_lead_from_quote_to_quote(library: House, laptop: Visitor) -> None:
    page = asked(laptop, library, "What is paid, and what did the boiler cost?", "120 euro [1].")
    quotes = answer(page).locator(".quote")
    expect(quotes.nth(1)).to_be_visible()
    quotes.first.click()
    box = drawer(page)
    expect(box).to_contain_text("Quote 1 of")
    expect(box.locator("mark, img").first).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(box).to_contain_text("Quote 2 of")
    box.get_by_role("button", name="Previous quote").click()
    expect(box).to_contain_text("Quote 1 of")
    page.keyboard.press("ArrowLeft")
    expect(box).not_to_contain_text("Quote 1 of")


def test_all_matches_are_listed_and_lead_to_their_place(
    library: House, laptop: Visitor, look: Look
) -> None:
    page = asked(laptop, library, "When was the boiler serviced?", "In March [1].")
    answer(page).locator(".quote").first.click()
    box = drawer(page)
    box.get_by_role("button", name="Show all matches").click()
    field = box.get_by_role("searchbox", name="Words to look for")
    expect(field).to_have_value("When was the boiler serviced?")
    field.fill("oak felled")
    expect(box.get_by_role("status")).to_have_text("One place.")
    expect(box.locator(".match mark")).to_have_text(["oak", "felled"])
    look(page, "evidence-matches")
    field.fill("noon ferry")
    box.get_by_text("All documents").click()
    expect(box.locator(".match mark", has_text="noon")).to_be_in_viewport()
    box.get_by_text("This document").click()
    field.fill("ferry")
    expect(box.get_by_role("status")).to_have_text("Nothing matches.")
    box.get_by_text("All documents").click()
    expect(box.get_by_role("status")).to_have_text(re.compile(r"\d+ places\."))
    box.locator(".match").first.click()
    expect(box.get_by_role("heading", name="diary.md")).to_be_visible()
    expect(box.locator("mark")).to_be_in_viewport()
    expect(box).to_contain_text("A match")
    box.get_by_role("button", name="Next quote").click()
    expect(box).to_contain_text("Quote 2 of")


def test_file_that_changed_since_is_said_and_its_text_is_shown(
    library: House, laptop: Visitor, shelf: Path
) -> None:
    page = asked(laptop, library, "What is the rent of the mill?", "900 euro [1].")
    (shelf / "lease.pdf").write_bytes(LEASE.replace(b"%PDF-1.7", b"%PDF-1.6"))
    try:
        answer(page).locator(".quote", has_text="900 euro").first.click()
        box = drawer(page)
        notice = box.get_by_role("status").filter(has_text="has changed since")
        expect(notice).to_be_visible(timeout=PATIENCE_MS)
        expect(box.locator("mark")).to_contain_text(RENT)
        expect(box.locator("img")).to_have_count(0)
    finally:
        (shelf / "lease.pdf").write_bytes(LEASE)


def test_sentence_that_moved_is_found_where_it_stands_now(
    library: House, laptop: Visitor, shelf: Path
) -> None:
    page = asked(laptop, library, "When was the boiler serviced?", "In March [1].")
    note = shelf / "house.md"
    body = {"paths": [str(note)], "stream": False}
    try:
        with library.client() as client:
            note.write_text("# House\n\nA new first line that was not there.\n\n" + NOTE[9:])
            client.post("/ondol/v1/documents", json=body)
            answer(page).locator(".quote").first.click()
            expect(drawer(page).locator("mark")).to_have_text(BOILER)
            page.keyboard.press("Escape")
            note.write_text("# House\n\nAll of it is new.\n")
            client.post("/ondol/v1/documents", json=body)
        answer(page).locator(".quote").first.click()
        gone = drawer(page).get_by_role("status").filter(has_text="was read anew")
        expect(gone).to_be_visible()
        expect(drawer(page)).to_contain_text("All of it is new.")
    finally:
        note.write_text(NOTE)
        with library.client() as client:
            client.post("/ondol/v1/documents", json=body)


def test_document_that_was_forgotten_is_said(library: House, laptop: Visitor, shelf: Path) -> None:
    page = asked(laptop, library, "Which ferry sank at noon?", "That one [1].")
    laptop.allowed.append("404")
    page.route(
        "**/documents/view?*",
        lambda route: route.fulfill(
            status=404,
            json={
                "error": {
                    "code": "document_not_found",
                    "message": "It is not in the library.",
                    "hint": "",
                }
            },
        ),
    )
    answer(page).locator(".quote").first.click()
    expect(drawer(page).get_by_role("alert")).to_contain_text("It is not in the library.")
    expect(drawer(page).get_by_role("alert")).to_contain_text("ferry")


def test_listing_says_how_many_and_shows_them_all(library: House, laptop: Visitor) -> None:
    told(library, "unused")
    page = laptop.visit(library)
    ask(page, "List all clauses", "Clause")
    count = answer(page).locator(".quotes-count")
    expect(count).to_contain_text("places, nothing left out")
    shown = answer(page).locator(".quote").count()
    answer(page).get_by_role("button", name=re.compile(r"^\d+ more$")).click()
    assert answer(page).locator(".quote").count() > shown
    answer(page).get_by_role("button", name="Fewer").click()
    expect(answer(page).locator(".quote")).to_have_count(shown)


def test_phone_reads_the_document_on_the_whole_screen(
    library: House, phone: Visitor, look: Look
) -> None:
    page = phone.visit(library)
    told(library, "In March [1].")
    ask(page, "When was the boiler serviced?", "In March")
    answer(page).locator(".quote").first.tap()
    box = drawer(page)
    expect(box.locator("mark")).to_be_in_viewport()
    assert box.bounding_box()["width"] == 390  # type: ignore[index]
    assert page.evaluate("document.querySelector('.dialog-body').scrollWidth") <= 390
    look(page, "evidence-phone")
    box.get_by_role("button", name="Close").tap()
    expect(box).to_have_count(0)

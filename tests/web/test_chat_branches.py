"""Another try, an edited question, and what is thought of an answer."""

from __future__ import annotations

from chatting import answers, ask, finished, kept, plain_chat, slow, told
from house import CHAT, House
from playwright.sync_api import expect
from visiting import Visitor

from ondol.engine.scripted import ScriptedEngine


def test_an_edited_question_makes_a_branch_and_both_can_be_read(
    house: House, laptop: Visitor
) -> None:
    house.pool.engines[CHAT] = ScriptedEngine(
        {"cats": "Cats purr.", "dogs": "Dogs bark."}, model=CHAT
    )
    page = plain_chat(laptop, house)
    ask(page, "About cats", "Cats purr.")
    page.locator(".question").hover()
    page.get_by_role("button", name="Edit", exact=True).click()
    field = page.get_by_role("textbox", name="Edit your message")
    field.fill("About dogs")
    page.get_by_role("button", name="Send again").click()
    finished(page, "Dogs bark.")
    expect(page.locator(".bubble")).to_have_text("About dogs")
    versions = page.get_by_role("group", name="Version 2 of 2")
    expect(versions).to_contain_text("2/2")
    versions.get_by_role("button", name="Version before").click()
    expect(page.locator(".bubble")).to_have_text("About cats")
    expect(answers(page)).to_contain_text("Cats purr.")
    page.reload()
    expect(page.locator(".bubble")).to_have_text("About cats")
    assert len(kept(house, page)["messages"]) == 4


def test_an_edit_in_the_middle_keeps_what_followed_as_another_version(
    house: House, laptop: Visitor
) -> None:
    told(house, "one.", "two.", "three.")
    page = plain_chat(laptop, house)
    ask(page, "first", "one.")
    ask(page, "second", "two.")
    page.locator(".question").first.hover()
    page.get_by_role("button", name="Edit", exact=True).first.click()
    field = page.get_by_role("textbox", name="Edit your message")
    field.fill("another first")
    field.press("Enter")
    finished(page, "three.")
    expect(page.locator(".bubble")).to_have_text(["another first"])
    page.get_by_role("button", name="Version before").click()
    expect(page.locator(".bubble")).to_have_text(["first", "second"])
    expect(answers(page).last).to_contain_text("two.")


def test_escape_leaves_an_edit_as_it_was(house: House, laptop: Visitor) -> None:
    told(house, "Yes.")
    page = plain_chat(laptop, house)
    ask(page, "Right?", "Yes.")
    page.locator(".question").hover()
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_role("textbox", name="Edit your message").press("Escape")
    expect(page.locator(".bubble")).to_have_text("Right?")


def test_answering_again_keeps_every_try(house: House, laptop: Visitor) -> None:
    told(house, "First try.", "Second try.", "Third try.")
    page = plain_chat(laptop, house)
    ask(page, "Try", "First try.")
    for number, reply in ((2, "Second try."), (3, "Third try.")):
        page.get_by_role("button", name="Answer again").click()
        finished(page, reply)
        expect(page.get_by_role("group", name=f"Version {number} of {number}")).to_be_visible()
    page.get_by_role("button", name="Version before").click()
    expect(answers(page)).to_contain_text("Second try.")
    expect(page.get_by_role("button", name="Next version")).to_be_enabled()


def test_while_an_answer_is_given_there_is_no_second_one(house: House, laptop: Visitor) -> None:
    engine = slow(house, words=60)
    page = plain_chat(laptop, house)
    page.get_by_role("textbox", name="Your message", exact=True).fill("Count")
    page.keyboard.press("Enter")
    expect(answers(page)).to_contain_text("word1")
    expect(page.get_by_role("button", name="Send", exact=True)).to_have_count(0)
    page.locator(".question").hover()
    expect(page.get_by_role("button", name="Edit", exact=True)).to_be_disabled()
    page.keyboard.type("Next")
    page.keyboard.press("Enter")
    expect(page.locator(".bubble")).to_have_count(1)
    expect(page.get_by_role("textbox", name="Your message", exact=True)).to_have_value("Next")
    engine.gate.set()
    finished(page, "word59")


def test_a_thumb_and_its_reasons_are_kept_and_can_be_taken_back(
    house: House, laptop: Visitor
) -> None:
    told(house, "The moon is cheese.")
    page = plain_chat(laptop, house)
    ask(page, "The moon?", "cheese")
    page.get_by_role("button", name="Bad answer").click()
    page.get_by_role("button", name="Not true").click()
    expect(page.get_by_role("button", name="Not true")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Too long").click()
    expect(page.get_by_role("button", name="Too long")).to_have_attribute("aria-pressed", "true")
    feedback = kept(house, page)["messages"][1]["feedback"]
    assert (feedback["right"], feedback["reasons"]) == (False, ["wrong", "too_long"])
    page.reload()
    bad = page.get_by_role("button", name="Bad answer")
    expect(bad).to_have_attribute("aria-pressed", "true")
    bad.click()
    expect(page.get_by_role("button", name="Not true")).to_have_count(0)
    assert kept(house, page)["messages"][1]["feedback"] is None


def test_an_answer_is_edited_into_the_one_that_was_wanted(house: House, laptop: Visitor) -> None:
    told(house, "The moon is cheese.")
    page = plain_chat(laptop, house)
    ask(page, "The moon?", "cheese")
    page.get_by_role("button", name="Bad answer").click()
    page.get_by_role("button", name="Edit into the answer I wanted").click()
    dialog = page.get_by_role("dialog", name="The answer you wanted")
    field = dialog.get_by_role("textbox")
    expect(field).to_have_value("The moon is cheese.")
    field.fill("The moon is rock.")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator(".wanted-answer")).to_contain_text("The moon is rock.")
    message = kept(house, page)["messages"][1]
    assert message["feedback"]["edited"] == "The moon is rock."
    assert message["content"] == "The moon is cheese."
    page.get_by_role("button", name="Edit into the answer I wanted").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator(".wanted-answer")).to_have_count(0)

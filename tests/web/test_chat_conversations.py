"""The list of conversations: found, named, pinned, in folders, saved, erased; and a long one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from chatting import ask, conversation, id_of, plain_chat, slow, told
from house import CHAT, House
from lora_gguf import lora_bytes
from playwright.sync_api import Locator, Page, expect
from visiting import Visitor


@pytest.fixture(autouse=True)
def none_yet(house: House) -> None:
    """No conversation is left from the test before."""
    with house.client() as client:
        client.request("DELETE", "/ondol/v1/conversations", json={"all": True})


def chats(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Conversations")


def do(page: Page, title: str, deed: str) -> None:
    """Choose ``deed`` from the menu of the conversation ``title``."""
    chats(page).get_by_role("link", name=title, exact=True).hover()
    chats(page).get_by_role("button", name=f"Actions for “{title}”").click()
    page.get_by_role("menuitem", name=deed, exact=True).click()


def test_the_list_is_searched_in_what_was_said(house: House, laptop: Visitor) -> None:
    told(house, "The stove is warm.", "The ferry is late.")
    page = plain_chat(laptop, house)
    ask(page, "How is the stove?", "warm")
    page = plain_chat(laptop, house)
    ask(page, "And the boat?", "late")
    expect(chats(page).get_by_role("link")).to_have_text(["And the boat?", "How is the stove?"])
    page.get_by_role("searchbox", name="Search conversations").fill("ferry")
    expect(chats(page).get_by_role("link")).to_have_text(["And the boat?"])
    page.get_by_role("searchbox", name="Search conversations").fill("nothing of that")
    expect(chats(page).get_by_text("No conversation holds these words.")).to_be_visible()


def test_a_conversation_is_opened_renamed_pinned_and_put_into_a_folder(
    house: House, laptop: Visitor
) -> None:
    for title in ("Alpha", "Beta", "Gamma"):
        conversation(house, title=title)
    page = laptop.visit(house)
    chats(page).get_by_role("link", name="Beta").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Beta")
    do(page, "Beta", "Rename")
    dialog = page.get_by_role("dialog", name="Rename")
    dialog.get_by_label("Title").fill("Beta two")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Beta two")
    do(page, "Alpha", "Pin")
    expect(chats(page).get_by_role("heading").first).to_have_text("Pinned")
    do(page, "Gamma", "Move to a folder")
    page.get_by_label("Name of the new folder").fill("Letters")
    page.keyboard.press("Enter")
    folder = chats(page).get_by_role("button", name="Letters")
    expect(folder).to_have_attribute("aria-expanded", "true")
    folder.click()
    expect(chats(page).get_by_role("link", name="Gamma")).to_have_count(0)
    page.reload()
    expect(chats(page).get_by_role("link", name="Alpha")).to_be_visible()
    expect(chats(page).get_by_role("link", name="Gamma")).to_have_count(0)
    chats(page).get_by_role("button", name="Letters").click()
    do(page, "Gamma", "Move to a folder")
    page.get_by_role("dialog").get_by_role("button", name="No folder").click()
    expect(chats(page).get_by_role("button", name="Letters")).to_have_count(0)


@pytest.mark.parametrize(("deed", "ending"), [("Markdown", "md"), ("JSON", "json")])
def test_a_conversation_is_saved_as_a_file(
    house: House, laptop: Visitor, tmp_path: Path, deed: str, ending: str
) -> None:
    told(house, "It is **warm**.")
    page = plain_chat(laptop, house)
    ask(page, "How is the floor?", "warm")
    expect(chats(page).get_by_role("link", name="How is the floor?")).to_be_visible()
    with page.expect_download() as saved:
        do(page, "How is the floor?", f"Export as {deed}")
    assert saved.value.suggested_filename == f"How is the floor-.{ending}"
    saved.value.save_as(tmp_path / "saved")
    text = (tmp_path / "saved").read_text("utf-8")
    assert "How is the floor?" in text
    assert "It is **warm**." in text
    if ending == "json":
        json.loads(text)


def test_deleting_asks_first_and_then_erases(house: House, laptop: Visitor) -> None:
    told(house, "Forget me.")
    page = plain_chat(laptop, house)
    ask(page, "A secret", "Forget me.")
    do(page, "A secret", "Delete")
    dialog = page.get_by_role("dialog", name="Delete this conversation?")
    expect(dialog).to_contain_text("Nobody can bring it back.")
    dialog.get_by_role("button", name="Cancel").click()
    expect(chats(page).get_by_role("link", name="A secret")).to_be_visible()
    do(page, "A secret", "Delete")
    dialog.get_by_role("button", name="Delete").click()
    expect(chats(page).get_by_role("link", name="A secret")).to_have_count(0)
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    with house.client() as client:
        assert client.get("/ondol/v1/conversations").json()["conversations"] == []


def test_deleting_says_what_had_been_learned_from_it(
    house: House, laptop: Visitor, tmp_path: Path
) -> None:
    told(house, "The stove is warm.")
    page = plain_chat(laptop, house)
    ask(page, "How is the stove?", "warm")
    id = id_of(page)
    with house.client() as client:
        said = client.get(f"/ondol/v1/conversations/{id}").json()["messages"][-1]["id"]
        client.put(f"/ondol/v1/messages/{said}/feedback", json={"right": True})
        client.post("/ondol/v1/sources", json={"kind": "feedback", "consent": True})
    factors = np.zeros((4, 2), np.float32), np.zeros((64, 2), np.float32)
    (tmp_path / "style.gguf").write_bytes(lora_bytes({"token_embd.weight": factors}))
    parts = house.parts
    adapter = parts.adapters.add(tmp_path / "style.gguf", name="style", model=CHAT)
    (sample,) = parts.kept.samples.all()
    parts.kept.samples.note_learned(adapter.digest, [sample.id])
    do(page, "How is the stove?", "Delete")
    asked = page.get_by_role("dialog", name="Delete this conversation?")
    asked.get_by_role("button", name="Delete").click()
    receipt = page.get_by_role("dialog", name="The conversation is erased.")
    expect(receipt.locator("dl")).to_have_text(
        f"Samples erased1Adapters that do not answer any more{CHAT}:style"
    )
    receipt.get_by_role("link", name="To the trainings").click()
    expect(page.get_by_role("heading", name="Personal", level=1)).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert parts.kept.samples.all() == []
    parts.adapters.remove(CHAT, "style")


def test_a_conversation_that_is_gone_says_so(house: House, laptop: Visitor) -> None:
    laptop.allowed.append("404")
    page = laptop.visit(house, "chat/nobody-knows-this")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()


def test_an_answer_goes_on_behind_another_conversation(house: House, laptop: Visitor) -> None:
    engine = slow(house, words=100)
    page = plain_chat(laptop, house)
    page.get_by_role("textbox", name="Your message", exact=True).fill("Count for me")
    page.keyboard.press("Enter")
    expect(page.locator(".answer")).to_contain_text("word1")
    page.get_by_role("button", name="New chat", exact=True).click()
    expect(page.locator(".answer")).to_have_count(0)
    expect(chats(page).get_by_role("img", name="An answer is being given")).to_be_visible()
    engine.gate.set()
    chats(page).get_by_role("link", name="Count for me").click()
    expect(page.locator(".answer")).to_contain_text("word99")


def test_a_page_left_and_entered_again_is_as_it_was(house: House, laptop: Visitor) -> None:
    told(house, "Here.")
    page = plain_chat(laptop, house)
    ask(page, "Where?", "Here.")
    page.get_by_role("textbox", name="Your message", exact=True).fill("half a thought")
    page.goto(f"{house.url}/#/settings")
    expect(page.locator(".bubble")).to_have_count(0)
    page.get_by_role("link", name="Chat", exact=True).click()
    expect(page.locator(".bubble")).to_have_text("Where?")
    expect(page.get_by_role("textbox", name="Your message", exact=True)).to_have_value(
        "half a thought"
    )


SETTLED = """async (box) => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  for (let still = 0, top = box.scrollTop; still < 20; still += 1) {
    await frame();
    if (box.scrollTop !== top) [still, top] = [0, box.scrollTop];
  }
  return box.scrollTop;
}"""


def long_conversation(house: House, turns: int) -> str:
    """A conversation of twice as many messages, of different heights; its id."""
    id = conversation(house, title="A long one")
    kept = house.parts.kept.conversations.turns
    leaf = None
    for turn in range(turns):
        _, answer = kept.ask(id, f"Question {turn}", leaf)
        text = f"Answer {turn}.\n\n" + "A line of words.\n\n" * (turn % 7)
        kept.save(answer.id, text, status="done")
        leaf = answer.id
    return id


def test_of_three_hundred_messages_only_those_in_sight_are_drawn(
    house: House, laptop: Visitor
) -> None:
    page = laptop.visit(house, f"chat/{long_conversation(house, 150)}")
    thread = page.get_by_role("log", name="Messages")
    last = page.get_by_text("Answer 149.")
    expect(last).to_be_in_viewport()
    assert page.locator(".thread-item").count() < 60
    expect(page.locator(".thread-item").last).to_have_attribute("aria-setsize", "300")
    expect(page.locator(".thread-item").last).to_have_attribute("aria-posinset", "300")
    thread.evaluate("(box) => { box.scrollTop = 0; }")
    expect(page.get_by_text("Question 0", exact=True)).to_be_in_viewport()
    assert page.locator(".thread-item").count() < 60
    page.get_by_role("button", name="To the latest message").click()
    expect(last).to_be_in_viewport()


def test_what_is_read_stays_still_while_messages_above_are_measured(
    house: House, laptop: Visitor
) -> None:
    page = laptop.visit(house, f"chat/{long_conversation(house, 100)}")
    expect(page.get_by_text("Answer 99.")).to_be_in_viewport()
    page.mouse.move(700, 400)
    moved = page.evaluate(
        """async () => {
          const box = document.querySelector(".thread");
          const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
          let worst = 0;
          for (let step = 0; step < 40; step += 1) {
            const seen = [...box.querySelectorAll(".thread-item")].find(
              (one) => one.getBoundingClientRect().top > box.getBoundingClientRect().top);
            const before = seen.getBoundingClientRect().top;
            box.scrollTop -= 150;
            await frame();
            await frame();
            if (!seen.isConnected) continue;
            worst = Math.max(worst, Math.abs(seen.getBoundingClientRect().top - before - 150));
          }
          return worst;
        }"""
    )
    assert moved < 3


def test_scrolling_up_is_not_disturbed_by_a_growing_answer(house: House, laptop: Visitor) -> None:
    id = long_conversation(house, 30)
    engine = slow(house, words=800)
    page = laptop.visit(house, f"chat/{id}")
    page.get_by_role("textbox", name="Your message", exact=True).fill("Count")
    page.keyboard.press("Enter")
    expect(page.locator(".answer").last).to_contain_text("word2")
    page.mouse.move(700, 400)
    page.mouse.wheel(0, -900)
    button = page.get_by_role("button", name="To the latest message")
    expect(button).to_be_visible()
    before = page.locator(".thread").evaluate(SETTLED)
    engine.gate.set()
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    assert abs(page.locator(".thread").evaluate("(box) => box.scrollTop") - before) < 3
    button.click()
    expect(page.locator(".answer-trust").last).to_be_in_viewport()

"""What tests of the chat page do again and again: say something, wait for the answer, begin a chat
without documents."""

from __future__ import annotations

from typing import Any

from house import CHAT, GatedEngine, House
from playwright.sync_api import Locator, Page, expect
from visiting import Visitor

from ondol.engine.scripted import ScriptedEngine

# A machine that does much at once takes its time; a page that is wrong stays wrong.
expect.set_options(timeout=20_000)


def composer(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Your message", exact=True)


def answers(page: Page) -> Locator:
    return page.locator(".answer")


def say(page: Page, text: str) -> None:
    """Type ``text`` and press Enter."""
    composer(page).fill(text)
    composer(page).press("Enter")


def ask(page: Page, text: str, reply: str) -> None:
    """Say ``text`` and wait until an answer with ``reply`` is finished."""
    say(page, text)
    finished(page, reply)


def finished(page: Page, reply: str) -> None:
    expect(answers(page).last).to_contain_text(reply)
    expect(answers(page).last).to_have_attribute("aria-busy", "false")


def told(house: House, *replies: str) -> ScriptedEngine:
    """What the model says from now on, in turn."""
    engine = ScriptedEngine(list(replies), model=CHAT)
    house.pool.engines[CHAT] = engine
    return engine


def slow(house: House, words: int = 1000) -> GatedEngine:
    """A model that says "word0 word1 …", a word each hundredth of a second."""
    engine = GatedEngine(words=words)
    house.pool.engines[CHAT] = engine
    return engine


def conversation(house: House, **fields: Any) -> str:
    """A conversation without documents; its id."""
    with house.client() as client:
        made = client.post("/ondol/v1/conversations", json={"mode": "chat", **fields})
        return str(made.json()["id"])


def plain_chat(visitor: Visitor, house: House, **fields: Any) -> Page:
    """The page of a new conversation with the model alone."""
    page = visitor.visit(house, f"chat/{conversation(house, **fields)}")
    expect(page.get_by_role("button", name="Documents: No documents")).to_be_visible()
    return page


def kept(house: House, page: Page) -> dict[str, Any]:
    """The conversation of the page as the server keeps it."""
    with house.client() as client:
        return dict(client.get(f"/ondol/v1/conversations/{id_of(page)}").json())


def id_of(page: Page) -> str:
    return page.url.partition("#/chat/")[2]

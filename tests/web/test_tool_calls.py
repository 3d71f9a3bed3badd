"""A model that wants to call a tool, on the page: shown, allowed or not, kept with the answer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from chatting import answers, composer, finished, plain_chat
from house import CHAT, House
from playwright.sync_api import Page, expect
from visiting import Visitor

from ondol.connections.servers import ToolServer
from ondol.connections.sessions import Sessions
from ondol.engine.scripted import Said, ScriptedEngine
from ondol.server.conversing import replying
from ondol.types import ToolCall

SCRIPT = str(Path(__file__).parents[1] / "connections" / "tool_server.py")
CALL = Said("", tool_calls=(ToolCall("c", "weather__weather", '{"city": "Seoul <b>"}'),))


@pytest.fixture
def tooled(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    servers = house.parts.kept.tool_servers
    if not servers.all():
        made = servers.add(ToolServer("weather", (sys.executable, SCRIPT)))
        sessions = Sessions(house.parts.egress)
        try:
            servers.approve("weather", {o.name: o.digest for o in sessions.offers(made)[0]})
        finally:
            sessions.close()
    monkeypatch.setattr(replying, "_calls_tools", lambda parts, wish: True)
    house.pool.engines[CHAT] = ScriptedEngine([CALL, "It is warm."], model=CHAT)
    return house


def test_call_is_shown_and_made_when_it_is_allowed(
    tooled: House, laptop: Visitor, look: Callable[[Page, str], None]
) -> None:
    page = plain_chat(laptop, tooled)
    composer(page).fill("How warm is it?")
    composer(page).press("Enter")
    card = page.get_by_role("group", name="The model wants to call weather · weather")
    expect(card).to_contain_text('{"city": "Seoul <b>"}')
    look(page, "tool-call")
    card.get_by_role("button", name="Allow", exact=True).click()
    finished(page, "It is warm.")
    expect(answers(page).last.locator("summary")).to_contain_text("Called weather · weather")
    page.reload()
    shown = answers(page).last.locator("summary")
    shown.click()
    expect(answers(page).last).to_contain_text("It is 21 degrees in Seoul <b>.")


def test_call_that_is_not_allowed_is_not_made(tooled: House, phone: Visitor) -> None:
    page = plain_chat(phone, tooled)
    composer(page).fill("How warm is it?")
    composer(page).press("Enter")
    page.get_by_role("button", name="Do not allow").click()
    finished(page, "It is warm.")
    expect(answers(page).last.locator("summary")).to_contain_text("was not called")

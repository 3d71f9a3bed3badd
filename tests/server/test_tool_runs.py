"""A conversation whose model calls tools: shown as they happen, made when their owner says so."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from conversing import begin, call, read, run
from house import CHAT, House

from ondol.connections.servers import ToolServer
from ondol.connections.sessions import Sessions
from ondol.engine.scripted import Said, ScriptedEngine
from ondol.server.conversing import confirming, replying
from ondol.types import ToolCall

SCRIPT = str(Path(__file__).parents[1] / "connections" / "tool_server.py")


@pytest.fixture
def tooled(chats: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """A house with one MCP server, whose model may call its tools."""
    servers = chats.parts.kept.tool_servers
    made = servers.add(ToolServer("weather", (sys.executable, SCRIPT)))
    sessions = Sessions(chats.parts.egress)
    try:
        servers.approve("weather", {o.name: o.digest for o in sessions.offers(made)[0]})
    finally:
        sessions.close()
    monkeypatch.setattr(replying, "_calls_tools", lambda parts, wish: True)
    say(chats, calling(), "It is 21 degrees.")
    return chats


def say(house: House, *replies: str | Said) -> ScriptedEngine:
    house.pool.engines[CHAT] = engine = ScriptedEngine(replies, model=CHAT)
    return engine


def calling() -> Said:
    call = ToolCall("c1", "weather__weather", '{"city": "Seoul"}')
    return Said("Let me look.", tool_calls=(call,))


def wait_for_call(house: House, run_id: str) -> dict[str, Any]:
    """The call that a run asks for, as soon as it does."""
    for number in range(1, 50):
        _, name, data = read(house, run_id, after=number - 1, most=1)[0]
        if name == "tool_call":
            return data
        assert name != "end", data
    raise AssertionError("no call was asked for")


def test_call_waits_for_its_owner_and_its_result_is_in_the_answer(tooled: House) -> None:
    id = begin(tooled)
    begun = run(tooled, id, "How warm is it in Seoul?")
    waiting = wait_for_call(tooled, begun["run"])
    assert (waiting["server"], waiting["tool"], waiting["leaves"]) == ("weather", "weather", "")
    assert json.loads(waiting["arguments"]) == {"city": "Seoul"}
    path = f"runs/{begun['run']}/calls/{waiting['id']}"
    assert call(tooled, "POST", path, allow=True).json() == {"allowed": True}
    events = read(tooled, begun["run"])
    said = [(d["status"], d["text"]) for _, name, d in events if name == "tool_call"]
    assert said == [("asked", ""), ("done", "It is 21 degrees in Seoul.")]
    (end,) = [d for _, name, d in events if name == "end"]
    assert end["message"]["status"] == "done"
    assert end["message"]["content"] == "Let me look.\n\nIt is 21 degrees."
    (kept,) = end["message"]["answer"]["tool_calls"]
    assert (kept["tool"], kept["status"]) == ("weather", "done")
    assert call(tooled, "POST", path, allow=True).status_code == 404


def test_call_that_is_refused_is_not_made(tooled: House) -> None:
    engine = say(tooled, calling(), "I do not know.")
    begun = run(tooled, begin(tooled), "How warm is it?")
    waiting = wait_for_call(tooled, begun["run"])
    call(tooled, "POST", f"runs/{begun['run']}/calls/{waiting['id']}", allow=False)
    events = read(tooled, begun["run"])
    assert [d["status"] for _, n, d in events if n == "tool_call"] == ["asked", "refused"]
    assert "did not allow" in engine.requests[-1].messages[-1].content
    (entry,) = tooled.parts.ledger.entries(kind="tool")
    assert entry.reasons == ("refused", "owner")


def test_what_is_allowed_for_good_holds_for_this_conversation_only(tooled: House) -> None:
    id = begin(tooled)
    begun = run(tooled, id, "How warm?")
    waiting = wait_for_call(tooled, begun["run"])
    path = f"runs/{begun['run']}/calls/{waiting['id']}"
    call(tooled, "POST", path, allow=True, always=True)
    read(tooled, begun["run"])
    say(tooled, calling(), "Warm again.")
    again = read(tooled, run(tooled, id, "And now?")["run"])
    assert [d["status"] for _, n, d in again if n == "tool_call"] == ["asked", "done"]
    say(tooled, calling(), "Elsewhere.")
    other = run(tooled, begin(tooled), "And here?")
    assert wait_for_call(tooled, other["run"])["status"] == "asked"
    call(tooled, "DELETE", f"runs/{other['run']}")


def test_stopping_the_run_refuses_what_waits(tooled: House) -> None:
    begun = run(tooled, begin(tooled), "How warm?")
    waiting = wait_for_call(tooled, begun["run"])
    stopped = call(tooled, "DELETE", f"runs/{begun['run']}").json()["message"]
    assert stopped["status"] == "stopped"
    late = call(tooled, "POST", f"runs/{begun['run']}/calls/{waiting['id']}", allow=True)
    assert late.status_code == 404
    assert [e.reasons for e in tooled.parts.ledger.entries(kind="tool")] in (
        [("refused", "owner")],
        [],
    )


def test_call_that_nobody_answers_is_refused_in_the_end(
    tooled: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirming, "WAIT_SECONDS", 0.1)
    events = read(tooled, run(tooled, begin(tooled), "How warm?")["run"])
    assert [d["status"] for _, n, d in events if n == "tool_call"] == ["asked", "refused"]


def test_answer_from_documents_is_given_no_tools(tooled: House) -> None:
    engine = say(tooled, calling())
    read(tooled, run(tooled, begin(tooled, mode="documents"), "How warm?")["run"])
    assert all(not request.options.tools for request in engine.requests)


def test_server_that_does_not_work_is_told_and_spoils_no_answer(tooled: House) -> None:
    servers = tooled.parts.kept.tool_servers
    servers.add(ToolServer("broken", ("/no/such/program",)))
    servers.approve("broken", {"x": "0" * 64})
    say(tooled, "Hello.")
    events = read(tooled, run(tooled, begin(tooled), "Hi")["run"])
    (problem,) = [d for _, name, d in events if name == "tool_call"]
    assert (problem["server"], problem["status"]) == ("broken", "failed")
    assert events[-1][2]["message"]["content"] == "Hello."

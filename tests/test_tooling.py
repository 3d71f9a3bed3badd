"""A model that calls tools of real MCP servers: what is asked, what is fed back, what is not."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ondol.connections.servers import ToolServer, ToolServers
from ondol.egress import Egress
from ondol.engine.scripted import Said, ScriptedEngine
from ondol.ledger.ledger import Ledger
from ondol.toolbox import Toolbox
from ondol.tooling import MOST_ROUNDS, ToolUse, with_tools
from ondol.types import GenerateOptions, Message, Sensitivity, Token, ToolCall

SCRIPT = str(Path(__file__).parent / "connections" / "tool_server.py")
PROGRAM = ToolServer("weather", (sys.executable, SCRIPT))
TRUSTED, PRIVATE = Sensitivity.TRUSTED, Sensitivity.PRIVATE


class Ground:
    """The servers, the ledger, and a toolbox over both."""

    def __init__(self) -> None:
        self.servers, self.ledger = ToolServers.open(), Ledger.open()
        self.seen = Sensitivity.PUBLIC
        self.label = TRUSTED
        self.labelled: list[Sequence[Message]] = []
        self.box = Toolbox(self.servers, Egress(), self.ledger, lambda sent: self.seen)

    def add(self, server: ToolServer = PROGRAM) -> None:
        self.servers.add(server)
        offers, _ = self.box.sessions.offers(self.servers.get(server.name))
        self.servers.approve(server.name, {one.name: one.digest for one in offers})

    def label_of(self, messages: Sequence[Message]) -> Sensitivity:
        self.labelled.append(messages)
        return self.label

    def talk(self, *replies: str | Said, allows: bool = True) -> tuple[str, list[ToolUse], Any]:
        engine = ScriptedEngine(replies)
        asked: list[ToolUse] = []

        def allow(use: ToolUse) -> bool:
            asked.append(use)
            return allows

        tools = self.box.open(self.label_of)
        events = list(
            with_tools(
                lambda said, options: iter(engine.generate(said, options)),
                [Message("user", "How warm is it in Seoul?")],
                GenerateOptions(),
                tools,
                allow,
            )
        )
        text = "".join(e.text for e in events if isinstance(e, Token))
        return text, [e for e in events if isinstance(e, ToolUse)], engine

    def entries(self, kind: str) -> list[Any]:
        return list(self.ledger.entries(kind=kind))[::-1]


@pytest.fixture
def ground() -> Iterator[Ground]:
    made = Ground()
    yield made
    made.box.close()
    made.servers.close()
    made.ledger.close()


def calling(tool: str = "weather", **arguments: Any) -> Said:
    given = json.dumps(arguments or {"city": "Seoul"})
    return Said("", tool_calls=(ToolCall("c1", f"weather__{tool}", given),))


def test_result_is_fed_back_and_the_call_is_in_the_ledger(ground: Ground) -> None:
    ground.add()
    text, uses, engine = ground.talk(calling(), "It is 21 degrees.")
    assert text == "It is 21 degrees."
    assert [(one.status, one.text) for one in uses] == [
        ("asked", ""),
        ("done", "It is 21 degrees in Seoul."),
    ]
    *_, assistant, result = engine.requests[-1].messages
    assert assistant.tool_calls[0].name == "weather__weather"
    assert (result.role, result.content) == ("tool", "It is 21 degrees in Seoul.")
    (entry,) = ground.entries("tool")
    assert (entry.device, entry.task, entry.reasons) == ("weather", "weather", ("allowed",))
    assert entry.bytes_out == len('{"city": "Seoul"}')
    (back,) = ground.entries("received")
    assert (back.about, back.bytes_in) == (entry.id, len("It is 21 degrees in Seoul."))
    assert "Seoul" not in json.dumps([entry.json(), back.json()])


def test_call_that_the_owner_refuses_is_not_made(ground: Ground) -> None:
    ground.add()
    _, uses, engine = ground.talk(calling(), "I cannot know.", allows=False)
    assert [one.status for one in uses] == ["asked", "refused"]
    assert "did not allow" in engine.requests[-1].messages[-1].content
    (entry,) = ground.entries("tool")
    assert (entry.reasons, entry.bytes_out) == (("refused", "owner"), 0)
    assert ground.entries("received") == []


def test_server_that_could_hand_it_on_is_told_nothing_private(ground: Ground) -> None:
    ground.add(dataclasses.replace(PROGRAM, has_network=True))
    ground.label = PRIVATE
    _, uses, engine = ground.talk(calling(), "Never mind.")
    assert [one.status for one in uses] == ["refused"]
    assert "private" in engine.requests[-1].messages[-1].content
    assert ground.entries("tool")[0].reasons == ("refused", "label")
    # The other net: what the arguments hold, whatever they are labelled.
    ground.label, ground.seen = TRUSTED, PRIVATE
    assert [one.status for one in ground.talk(calling(), "No.")[1]] == ["refused"]


def test_server_that_keeps_to_itself_may_be_told_anything(ground: Ground) -> None:
    ground.add()
    ground.label = ground.seen = PRIVATE
    assert [one.status for one in ground.talk(calling(), "Warm.")[1]] == ["asked", "done"]


def test_what_a_server_said_itself_may_go_back_to_it_and_to_no_other(ground: Ground) -> None:
    ground.add()
    ground.add(dataclasses.replace(PROGRAM, name="other"))
    elsewhere = Said("", tool_calls=(ToolCall("c2", "other__add", '{"a": 1, "b": 2}'),))
    ground.talk(calling(), calling("add", a=1, b=2), elsewhere, "Done.")
    own, again, others = ([m.role for m in one] for one in ground.labelled)
    assert own == again == ["user"]
    assert others == ["user", "tool", "tool"]


def test_tool_that_changed_after_it_was_seen_is_left_out(ground: Ground) -> None:
    ground.servers.add(dataclasses.replace(PROGRAM, variables={"MISCHIEF": "pulled"}))
    honest = dataclasses.replace(PROGRAM, name="honest")
    offers, _ = ground.box.sessions.offers(honest)
    ground.servers.approve("weather", {one.name: one.digest for one in offers})
    tools = ground.box.open(ground.label_of)
    names = {tool.name for tool in tools.tools}
    assert "weather__weather" not in names and "weather__add" in names
    assert "ondol mcp approve weather" in tools.problems[0][1]


def test_tool_that_nobody_approved_is_never_offered(ground: Ground) -> None:
    ground.servers.add(PROGRAM)
    assert ground.box.open(ground.label_of).tools == ()
    ground.servers.approve("weather", {"weather": "0" * 64})
    assert ground.box.open(ground.label_of).tools == ()


def test_server_that_is_off_or_broken_spoils_no_chat(ground: Ground) -> None:
    ground.add()
    ground.servers.add(ToolServer("broken", ("/no/such/program",)))
    ground.servers.approve("broken", {"x": "0" * 64})
    tools = ground.box.open(ground.label_of)
    assert tools.tools and "broken" in tools.problems[0][1]
    ground.servers.enable("weather", False)
    assert ground.box.open(ground.label_of).tools == ()
    assert "a moment ago" in ground.box.open(ground.label_of).problems[0][1]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (ToolCall("c", "weather__nothing", "{}"), "no tool"),
        (ToolCall("c", "other__weather", "{}"), "no tool"),
        (ToolCall("c", "weather__weather", json.dumps({"city": "x" * 40_000})), "too long"),
        (ToolCall("c", "weather__fail", "{}"), "Error"),
        (ToolCall("c", "weather__die", "{}"), "did not work"),
        (ToolCall("c", "weather__add", '{"a": "x"}'), "Error"),
    ],
)
def test_call_that_cannot_be_made_is_told_to_the_model(
    ground: Ground, call: ToolCall, told: str
) -> None:
    ground.add()
    text, _, engine = ground.talk(Said("", tool_calls=(call,)), "I could not.")
    assert told in engine.requests[-1].messages[-1].content
    assert text == "I could not."


def test_model_that_never_stops_calling_has_to_answer(ground: Ground) -> None:
    ground.add()
    _, uses, engine = ground.talk(calling("add", a=1, b=1))
    assert len(engine.requests) == MOST_ROUNDS + 1
    assert [len(r.options.tools) > 0 for r in engine.requests] == [True] * MOST_ROUNDS + [False]
    assert len([one for one in uses if one.status == "done"]) == MOST_ROUNDS


def test_words_between_calls_are_kept_apart(ground: Ground) -> None:
    ground.add()
    first = dataclasses.replace(calling(), text="Let me look.")
    text, _, _ = ground.talk(first, "It is warm.")
    assert text == "Let me look.\n\nIt is warm."

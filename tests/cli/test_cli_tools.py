"""A chat in the terminal whose model calls tools: what is shown, asked and remembered."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import click
import pytest

from ondol.chat import Reply
from ondol.cli.output import Output
from ondol.cli.tools import Tooled
from ondol.engine.scripted import Said, ScriptedEngine
from ondol.tooling import Allow, ToolUse
from ondol.trust import Trust
from ondol.types import Answer, GenerateOptions, Message, Token, Tool, ToolCall, Wanted


class OneTool:
    """A box with one tool, which says what it was told."""

    problems = ()
    tools = (Tool("clock__time", "The time."),)

    def use(
        self, call: ToolCall, said: Sequence[Message], allow: Allow
    ) -> Generator[ToolUse, None, str]:
        use = ToolUse("1", "clock", "time", call.arguments, "asked", leaves="clock.example:443")
        yield use
        if not allow(use):
            yield replace(use, status="refused", text="no")
            return "refused"
        yield replace(use, status="done", text="12:30\x1b[31m")
        return "12:30"


def tooled(*replies: str | Said) -> Tooled:
    engine = ScriptedEngine(replies)

    def talk(
        messages: list[Message], options: GenerateOptions, wanted: Wanted
    ) -> Generator[Token, None, Answer | None]:
        reply = Reply(
            lambda given: engine.generate(messages, given), messages, options, Trust(), "scripted"
        )
        yield from reply
        return reply.answer

    return Tooled(talk, OneTool(), Output())  # type: ignore[arg-type]


def drain(talk: Tooled) -> tuple[str, Answer | None]:
    tokens = talk([Message("user", "What time is it?")], GenerateOptions(), "here")
    text = ""
    while True:
        try:
            text += next(tokens).text
        except StopIteration as end:
            return text, end.value


CALL = Said("", tool_calls=(ToolCall("c", "clock__time", "{}"),))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is answered to the next questions; each is taken once."""
    answers: list[Any] = []

    def prompt(text: str, **how: Any) -> str:
        return str(answers.pop(0))

    monkeypatch.setattr(click, "prompt", prompt)
    return answers


def test_call_is_shown_with_where_it_goes_and_made_when_allowed(
    asked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    asked.append("y")
    text, answer = drain(tooled(CALL, "Half past twelve."))
    assert text == "Half past twelve." and answer is not None and answer.text == text
    said = capsys.readouterr().err
    assert "clock time" in said and "clock.example:443" in said and "12:30" in said
    assert "\x1b[31m" not in said


def test_call_that_is_refused_says_so(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    asked.append("n")
    assert drain(tooled(CALL, "I do not know."))[0] == "I do not know."
    assert "was not called" in capsys.readouterr().err


def test_always_asks_once_in_a_conversation(asked: list[Any]) -> None:
    asked.append("a")
    talk = tooled(CALL, "One.", CALL, "Two.")
    assert drain(talk)[0] == "One."
    assert drain(talk)[0] == "Two."
    asked.append("n")
    assert drain(tooled(CALL, "Other."))[0] == "Other."
    assert asked == []

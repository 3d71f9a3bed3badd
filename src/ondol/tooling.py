"""A chat whose model may call tools: rounds of a reply and of what its calls gave.

Every call is shown to the owner and made only when they allow it; what it gave is fed back, and
after some rounds the model has to answer without any. Sees only protocols: ``toolbox`` has the
tools.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from ondol.answering import gather
from ondol.ask import Event
from ondol.types import Answer, GenerateOptions, Message, Token, Tool, ToolCall

MOST_ROUNDS = 8
MOST_CALLS = 8

Status = Literal["asked", "refused", "done", "failed"]


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call on its way: ``asked`` of the owner, ``refused`` (``text`` says why), ``done`` or
    ``failed`` (``text`` is what the tool gave). ``leaves`` is where its arguments go beyond this
    machine, "" if nowhere."""

    id: str
    server: str
    tool: str
    arguments: str
    status: Status
    text: str = ""
    leaves: str = ""

    def json(self) -> dict[str, Any]:
        """As a run's event and the command line show it."""
        return {
            "id": self.id,
            "server": self.server,
            "tool": self.tool,
            "arguments": self.arguments,
            "status": self.status,
            "text": self.text,
            "leaves": self.leaves,
        }


Allow = Callable[[ToolUse], bool]
"""Asks the owner, and waits for what they say."""


class Box(Protocol):
    """The tools at hand."""

    @property
    def tools(self) -> tuple[Tool, ...]: ...

    def use(
        self, call: ToolCall, said: Sequence[Message], allow: Allow
    ) -> Generator[ToolUse, None, str]:
        """Make ``call``, if it may be made; what the model is told of it. ``said`` is all that it
        may have been made from."""
        ...


Begin = Callable[[list[Message], GenerateOptions], Iterator[Event]]
"""One reply of the model: its tokens, and what else is known of it."""


def with_tools(
    begin: Begin, messages: Sequence[Message], options: GenerateOptions, box: Box, allow: Allow
) -> Iterator[Event | ToolUse]:
    """The events of a whole reply; of several rounds the last one's answer, with the words of all.
    Closing it stops whoever generates."""
    said = list(messages)
    words: list[str] = []
    for number in range(MOST_ROUNDS + 1):
        tools = box.tools if number < MOST_ROUNDS else ()
        tokens: list[Token] = []
        known: list[Answer] = []
        with closing(_closable(begin(said, replace(options, tools=tools)))) as events:
            for event in events:
                if isinstance(event, Answer):
                    known.append(event)
                    continue
                if isinstance(event, Token):
                    tokens.append(event)
                    if event.tool_call is not None or event.finish_reason == "tool_calls":
                        continue
                elif number:
                    continue  # what was shown with the first round
                yield event
        completion = gather(tokens)
        calls = completion.tool_calls[:MOST_CALLS] if tools else ()
        if not calls:
            yield from (_whole(answer, words) for answer in known)
            return
        if completion.text.strip():
            words.append(completion.text)
            yield Token("\n\n")
        said.append(Message("assistant", completion.text, tool_calls=calls))
        for call in calls:
            text = yield from box.use(call, said, allow)
            said.append(Message("tool", text, tool_call_id=call.id, tool_name=call.name))


def _whole(answer: Answer, words: Sequence[str]) -> Answer:
    return replace(answer, text="\n\n".join([*words, answer.text])) if words else answer


def _closable(events: Iterator[Event]) -> Any:
    return events if hasattr(events, "close") else (event for event in events)

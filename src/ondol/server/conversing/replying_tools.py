"""A reply whose model calls tools, as a run has it: any thread may close it, whoever works at that
moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from ondol.ask import Event
from ondol.tooling import Allow, Begin, Box, ToolUse, with_tools
from ondol.types import GenerateOptions, Message


class Tooling:
    """The events of ``tooling.with_tools``, after the ``problems`` of servers that do not work."""

    def __init__(
        self,
        begin: Begin,
        messages: Sequence[Message],
        options: GenerateOptions,
        box: Box,
        allow: Allow,
        problems: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._begin = begin
        self._reply: Any = None
        self._is_closed = False
        told = [ToolUse(server, server, "", "{}", "failed", text) for server, text in problems]
        self._events = _after(told, with_tools(self._next_round, messages, options, box, allow))

    def __iter__(self) -> Iterator[Event | ToolUse]:
        return self

    def __next__(self) -> Event | ToolUse:
        return next(self._events)

    def close(self) -> None:
        """Stop the generation; any thread may."""
        self._is_closed = True
        if self._reply is not None:
            self._reply.close()
        # Where it runs at this moment, whoever runs it closes it.
        with suppress(ValueError):
            self._events.close()  # type: ignore[attr-defined]

    def _next_round(self, said: list[Message], options: GenerateOptions) -> Iterator[Event]:
        self._reply = reply = self._begin(said, options)
        if self._is_closed:
            self._reply.close()
        return reply


def _after(
    first: Sequence[ToolUse], events: Iterator[Event | ToolUse]
) -> Iterator[Event | ToolUse]:
    yield from first
    yield from events

"""An end to what a program may write on one line of its standard output.

The SDK's reader keeps a line until it ends. ``install`` gives it another stream to read from, which
breaks the conversation off where a line does not end: a line is one answer, and as large as over
HTTP.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache


@dataclass
class Reader:
    """Of one program; ``is_cut`` once it wrote a line of more than ``most_letters``."""

    most_letters: int
    is_cut: bool = False


reader: ContextVar[Reader | None] = ContextVar("mcp_reader", default=None)
"""Who reads in the tasks that are started from here."""


@cache
def install() -> None:
    """Let no program's line be longer than its ``reader`` reads."""
    from anyio.streams.text import TextReceiveStream
    from mcp.client import stdio

    class Lines(TextReceiveStream):
        letters = 0

        async def receive(self) -> str:
            text = await super().receive()
            _, is_ended, rest = text.rpartition("\n")
            self.letters = len(rest) + (0 if is_ended else self.letters)
            mine = reader.get()
            if mine is not None and self.letters > mine.most_letters:
                mine.is_cut = True
                # Or the rest of it would be waited for, and thrown away.
                await self.transport_stream.aclose()
                raise ConnectionError("a line without an end")
            return text

    # There is no other way to give it one.
    stdio.TextReceiveStream = Lines  # type: ignore[attr-defined]

"""A call read while it is generated: ``{"name": …, "arguments": {…}}``, in pieces of any length.

The pieces of its arguments are passed on as they come. What is no such object raises ``NotACall``:
a grammar that could not be followed shows here first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from ondol.engine.native_calls import new_id
from ondol.types import ToolCallDelta

LONGEST_HEAD = 1000

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*"([^"\\]*)"\s*,\s*"arguments"\s*:\s*(?=\{)')


class NotACall(ValueError):
    """Text that is no call of an offered tool."""


class JsonEnd:
    """Finds where the JSON value that it reads ends, with no more than its brackets and strings."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def split(self, text: str) -> tuple[str, str | None]:
        """What of ``text`` belongs to an object or array, and what follows it: ``None`` as long as
        it has not ended. Of anything else, everything up to the bracket that closes its parent."""
        for at, character in enumerate(text):
            if self._in_string:
                if self._escaped:
                    self._escaped = False
                elif character == "\\":
                    self._escaped = True
                elif character == '"':
                    self._in_string = False
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth < 0:
                    return text[:at], text[at:]
                if self._depth == 0:
                    return text[: at + 1], text[at + 1 :]
        return text, None


class CallReader:
    """The answer's call number ``index``, of one of ``names``."""

    def __init__(self, index: int, names: Collection[str]) -> None:
        self.name = ""
        self.arguments = ""
        self.done = False
        self._index = index
        self._names = names
        self._head = ""
        self._end = JsonEnd()
        self._tail: str | None = None

    def feed(self, text: str) -> Iterator[ToolCallDelta]:
        """The pieces that ``text`` completes; what follows the call is dropped."""
        if self._tail is not None:
            self._finish(text)
            return
        if not self.name:
            self._head += text
            match = _HEAD.match(self._head)
            if match is None:
                self._check_head()
                return
            if match[1] not in self._names:
                raise NotACall(match[1])
            self.name, text = match[1], self._head[match.end() :]
            yield ToolCallDelta(self._index, "", new_id(), self.name)
        piece, after = self._end.split(text)
        self.arguments += piece
        if piece:
            yield ToolCallDelta(self._index, piece)
        if after is not None:
            self._finish(after)

    def _finish(self, text: str) -> None:
        """Past the arguments only the object's own bracket is left."""
        self._tail = (self._tail or "") + text
        left = self._tail.lstrip()
        if not self.done and left[:1] not in ("", "}"):
            raise NotACall(left[:20])
        self.done = left[:1] == "}"

    def _check_head(self) -> None:
        start = self._head.lstrip()
        if (start and not start.startswith("{")) or len(self._head) > LONGEST_HEAD:
            raise NotACall(start[:20])


class ChoiceReader:
    """``{"tool_calls": [call]}`` or ``{"answer": value}``, as it is generated: pieces of the
    ``call``, or of the answer's own JSON text."""

    def __init__(self, names: Collection[str]) -> None:
        self.call: CallReader | None = None
        self._names = names
        self._head = ""
        self._answer: JsonEnd | None = None
        self._answered = False
        self._ended = False

    @property
    def done(self) -> bool:
        return self.call.done if self.call else self._ended

    def feed(self, text: str) -> Iterator[str | ToolCallDelta]:
        """What ``text`` completes."""
        if self.call is None and self._answer is None:
            self._head += text
            text = self._begin()
        if self.call is not None:
            if not self.call.done:
                yield from self.call.feed(text)
        elif self._answer is not None and not self._ended:
            yield from self._read_answer(self._answer, text)

    def _begin(self) -> str:
        """Which of the two it is; what has come of it so far."""
        start = re.sub(r"\s+", "", self._head)
        for known in ('{"answer":', '{"tool_calls":['):
            if start.startswith(known):
                break
            if known.startswith(start):
                return ""
        else:
            raise NotACall(start[:20])
        if known.endswith("["):
            self.call = CallReader(0, self._names)
            return self._head.partition("[")[2]
        self._answer = JsonEnd()
        return self._head.partition(":")[2]

    def _read_answer(self, end: JsonEnd, text: str) -> Iterator[str]:
        piece, after = end.split(text if self._answered else text.lstrip())
        self._ended = after is not None
        self._answered = self._answered or bool(piece)
        if piece:
            yield piece

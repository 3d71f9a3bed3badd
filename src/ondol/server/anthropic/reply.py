"""How Anthropic's messages are answered: server-sent events, or one object.

A message is a row of blocks (thinking, text, each call), one after the other. A stream opens each
with its number, sends it in pieces and closes it; then come the reason of the end with the usage,
and the end. How much was read is known at the end only: ``message_start`` says 0.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi.responses import Response

from ondol.server.body import json_response, to_bytes
from ondol.server.calling import arguments_of
from ondol.server.errors import Failure, body_in
from ondol.server.relay import LAST
from ondol.types import Token, ToolCall, Usage

# How a call is known: by our engines as "call_…", by Anthropic's clients as "toolu_…".
_ENGINE_ID, _ID = "call_", "toolu_"


@dataclass(slots=True)
class _Open:
    """The block that is being written; ``call`` is the number of the call it is."""

    number: int
    kind: str
    call: int | None = None
    text: str = ""
    id: str = ""
    name: str = ""


class Reply:
    """Writes the tokens of one message. ``max_tokens`` is what the request allows,
    ``shows_thinking`` whether thinking is part of the answer and ``hides_thinking`` whether it is
    without its text."""

    def __init__(
        self,
        model: str,
        request_id: str,
        *,
        max_tokens: int,
        shows_thinking: bool = False,
        hides_thinking: bool = False,
    ) -> None:
        self._model = model
        self._request_id = request_id
        self._max_tokens = max_tokens
        self._shows_thinking = shows_thinking
        self._hides_thinking = hides_thinking
        self._id = f"msg_{secrets.token_hex(12)}"
        self._has_calls = False
        self._block: _Open | None = None
        self._next = 0
        # What Ondol knows about the answer once it has ended, where the request asks for it.
        self.verdict: Callable[[], dict[str, Any]] | None = None

    def events(self, tokens: Iterator[Token]) -> Iterator[bytes]:
        """The whole stream."""
        is_first = True
        for token in tokens:
            if is_first:
                yield self._start()
                is_first = False
            yield from self._pieces(token)
            if token.finish_reason is not None:
                yield from self._close()
                yield self._end(token)
                if self.verdict is None:
                    yield event({"type": "message_stop"})
                    yield LAST
        if self.verdict is not None:
            yield event({"type": "message_stop", "ondol": self.verdict()})

    def whole(self, tokens: Iterator[Token]) -> Response:
        """One object with everything."""
        blocks: list[_Open] = []
        last = Token("")
        for token in tokens:
            last = token
            if self._belongs(token):
                blocks += self._turn_to(token)
                self._add(token)
        content = [written for block in blocks if (written := self._written(block))]
        usage = usage_of(last.usage or Usage())
        body = {**self._head(), "content": content, **self._reason(last), "usage": usage}
        more = {"ondol": self.verdict()} if self.verdict is not None else {}
        return json_response({**body, **more})

    def error_event(self, failure: Failure) -> bytes:
        """The event that ends a stream that failed."""
        return event({**body_in("anthropic", failure), "request_id": self._request_id})

    def _head(self) -> dict[str, Any]:
        return {"id": self._id, "type": "message", "role": "assistant", "model": self._model}

    def _start(self) -> bytes:
        unknown: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
        message = {**self._head(), **unknown, "usage": usage_of(Usage())}
        return event({"type": "message_start", "message": message})

    def _end(self, token: Token) -> bytes:
        usage = usage_of(token.usage or Usage())
        return event({"type": "message_delta", "delta": self._reason(token), "usage": usage})

    def _reason(self, token: Token) -> dict[str, Any]:
        """Why the message ended, and by which stop sequence if it was one."""
        reason = "tool_use" if self._has_calls else "end_turn"
        if token.finish_reason == "length":
            said = (token.usage or Usage()).completion_tokens
            is_full = said < self._max_tokens
            reason = "model_context_window_exceeded" if is_full else "max_tokens"
        elif token.stop_sequence is not None and not self._has_calls:
            reason = "stop_sequence"
        sequence = token.stop_sequence if reason == "stop_sequence" else None
        return {"stop_reason": reason, "stop_sequence": sequence}

    def _belongs(self, token: Token) -> bool:
        if token.reasoning:
            return self._shows_thinking and token.text != ""
        return token.text != "" or token.tool_call is not None

    def _turn_to(self, token: Token) -> list[_Open]:
        """The block that begins with ``token``, if one does."""
        piece = token.tool_call
        kind = "tool_use" if piece else "thinking" if token.reasoning else "text"
        call = piece.index if piece else None
        if self._block and (self._block.kind, self._block.call) == (kind, call):
            return []
        self._block = _Open(self._next, kind, call)
        self._next += 1
        if piece:
            self._has_calls = True
            given = piece.id.removeprefix(_ENGINE_ID) or secrets.token_hex(12)
            self._block.id = given if given.startswith(_ID) else _ID + given
            self._block.name = piece.name
        return [self._block]

    def _add(self, token: Token) -> str:
        """Add ``token`` to its block; what it adds."""
        piece = token.tool_call
        more = piece.arguments if piece else token.text
        if self._block:
            self._block.text += more
        return more

    def _pieces(self, token: Token) -> Iterator[bytes]:
        """The events of one token."""
        if not self._belongs(token):
            return
        before = self._block
        for begun in self._turn_to(token):
            if before:
                yield from self._closing(before)
            yield event(
                {
                    "type": "content_block_start",
                    "index": begun.number,
                    "content_block": self._empty(begun),
                }
            )
            if begun.number == 0:
                yield event({"type": "ping"})
        more, block = self._add(token), self._block
        if block is None or (block.kind == "thinking" and self._hides_thinking):
            return
        if block.kind == "tool_use":
            yield _delta(block, {"type": "input_json_delta", "partial_json": more})
        else:
            yield _delta(block, {"type": f"{block.kind}_delta", block.kind: more})

    def _close(self) -> Iterator[bytes]:
        if self._block:
            yield from self._closing(self._block)
            self._block = None

    def _closing(self, block: _Open) -> Iterator[bytes]:
        if block.kind == "thinking":
            yield _delta(block, {"type": "signature_delta", "signature": signature(block.text)})
        yield event({"type": "content_block_stop", "index": block.number})

    def _empty(self, block: _Open) -> dict[str, Any]:
        if block.kind == "tool_use":
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}
        if block.kind == "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        return {"type": "text", "text": ""}

    def _written(self, block: _Open) -> dict[str, Any] | None:
        """The whole block; ``None`` for a call that was cut off in the middle of its arguments."""
        if block.kind == "tool_use":
            arguments = arguments_of(ToolCall(block.id, block.name, block.text))
            return None if arguments is None else {**self._empty(block), "input": arguments}
        if block.kind == "thinking":
            text = "" if self._hides_thinking else block.text
            return {"type": "thinking", "thinking": text, "signature": signature(block.text)}
        return {"type": "text", "text": block.text}


def usage_of(usage: Usage) -> dict[str, Any]:
    """Tokens of one request. What was read is what was new and what the cache had, together."""
    return {
        "input_tokens": max(0, usage.prompt_tokens - usage.cached_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }


def signature(thinking: str) -> str:
    """What clients send back with thinking. Nobody asks for it here: thinking of earlier turns is
    not read again."""
    digest = hashlib.sha256(thinking.encode("utf-8", "surrogatepass")).digest()
    return base64.b64encode(digest).decode()


def event(value: dict[str, Any]) -> bytes:
    """One server-sent event, which has its type as its name too."""
    return b"event: " + str(value["type"]).encode() + b"\ndata: " + to_bytes(value) + b"\n\n"


def _delta(block: _Open, delta: dict[str, Any]) -> bytes:
    return event({"type": "content_block_delta", "index": block.number, "delta": delta})

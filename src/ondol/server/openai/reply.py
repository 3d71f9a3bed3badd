"""How OpenAI's chats answer: server-sent events, or one object.

One id and one time for a whole stream; the role in a choice's first delta only; ``finish_reason``
is present, and null, before the end; then its own chunk, then usage if asked, then ``[DONE]``.
Calls come as pieces: the first has the id and the name, and the arguments' bytes follow.
"""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.responses import Response

from ondol.answering import calls_in
from ondol.server.body import json_response, to_bytes
from ondol.server.errors import Failure, body_in
from ondol.server.generation import logprobs_of
from ondol.server.openai.choices import Numbered
from ondol.server.relay import LAST
from ondol.types import Token, ToolCallDelta, Usage

DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Tally:
    """What a request cost. Of the answers to one prompt, ``each`` of them, only the first counts
    its tokens: they are read once."""

    each: int = 1
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0

    def add(self, number: int, token: Token) -> None:
        """Count ``token`` of answer ``number``."""
        if token.reasoning:
            self.reasoning_tokens += 1
        if token.finish_reason is None:
            return
        usage = token.usage or Usage()
        self.completion_tokens += usage.completion_tokens
        if number % self.each == 0:
            self.prompt_tokens += usage.prompt_tokens
            self.cached_tokens += usage.cached_tokens

    def json(self) -> dict[str, Any]:
        """As OpenAI's completions say it."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": self.thought()},
        }

    def thought(self) -> int:
        """The tokens of the reasoning; a piece of it may be more than one, but not less."""
        return min(self.reasoning_tokens, self.completion_tokens)


class Reply(ABC):
    """Writes the tokens of the answers to one request, ``choices`` of them, ``each`` to a prompt.
    ``ChatReply`` and ``TextReply`` know the shapes."""

    prefix = ""
    object_name = ""
    chunk_name = ""

    def __init__(
        self,
        model: str,
        *,
        has_logprobs: bool,
        has_usage: bool = False,
        keep_reasoning: bool = True,
        choices: int = 1,
        each: int = 1,
    ) -> None:
        self._model = model
        self._has_logprobs = has_logprobs
        self._has_usage = has_usage
        self._keep_reasoning = keep_reasoning
        self._last = choices - 1
        self._each = each
        self._id = self.prefix + secrets.token_hex(12)
        self._created = int(time.time())
        # What Ondol knows about the answer once it has ended, where the request asks for it.
        self.verdict: Callable[[], dict[str, Any]] | None = None

    def events(self, tokens: Iterator[Numbered]) -> Iterator[bytes]:
        """The whole stream."""
        tally, begun, is_said = Tally(self._each), -1, False
        for number, token in tokens:
            tally.add(number, token)
            if number > begun:
                yield from map(self._chunk_of, self.opening(number))
                begun = number
            if self._is_kept(token):
                yield from map(self._chunk_of, self.deltas(number, token))
            if token.finish_reason is not None:
                yield self._chunk_of(self.finish(number, token))
                if self._has_usage and number == self._last:
                    yield event(
                        {**self._head(self.chunk_name), "choices": [], "usage": tally.json()}
                    )
                if is_said := number == self._last and self.verdict is None:
                    yield DONE
                    yield LAST
        if self.verdict is not None:
            yield event({**self._head(self.chunk_name), "choices": [], "ondol": self.verdict()})
        if not is_said:
            yield DONE

    def whole(self, tokens: Iterator[Numbered]) -> Response:
        """One object with everything."""
        tally, gathered = Tally(self._each), dict[int, list[Token]]()
        for number, token in tokens:
            tally.add(number, token)
            gathered.setdefault(number, []).append(token)
        choices = [
            self.choice(number, [t for t in said if self._is_kept(t)], said[-1])
            for number, said in gathered.items()
        ]
        more = {"ondol": self.verdict()} if self.verdict is not None else {}
        head = self._head(self.object_name)
        return json_response({**head, "choices": choices, "usage": tally.json(), **more})

    @abstractmethod
    def opening(self, number: int) -> Iterator[dict[str, Any]]:
        """The choices of the chunks that go before the first token."""

    @abstractmethod
    def deltas(self, number: int, token: Token) -> Iterator[dict[str, Any]]:
        """The choices of the chunks that say a token."""

    @abstractmethod
    def finish(self, number: int, last: Token) -> dict[str, Any]:
        """The choice of the chunk that ends an answer."""

    @abstractmethod
    def choice(self, number: int, tokens: Sequence[Token], last: Token) -> dict[str, Any]:
        """The choice of an answer in one piece."""

    def _is_kept(self, token: Token) -> bool:
        return self._keep_reasoning or not token.reasoning

    def _head(self, name: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": name,
            "created": self._created,
            "model": self._model,
            "system_fingerprint": "fp_ondol",
        }

    def _chunk_of(self, choice: dict[str, Any]) -> bytes:
        return event({**self._head(self.chunk_name), "choices": [choice]})


class ChatReply(Reply):
    """``/v1/chat/completions``. With ``as_functions`` a call is the one ``function_call`` that old
    clients know."""

    prefix = "chatcmpl-"
    object_name = "chat.completion"
    chunk_name = "chat.completion.chunk"

    def __init__(self, model: str, *, as_functions: bool = False, **how: Any) -> None:
        super().__init__(model, **how)
        self._as_functions = as_functions
        self._called: set[int] = set()

    def opening(self, number: int) -> Iterator[dict[str, Any]]:
        yield _delta(number, {"role": "assistant", "content": ""})

    def deltas(self, number: int, token: Token) -> Iterator[dict[str, Any]]:
        if token.tool_call is not None:
            self._called.add(number)
            yield from (_delta(number, piece) for piece in self._pieces(token.tool_call))
        elif token.text:
            choice = _delta(
                number, _said(token.text) if not token.reasoning else _thought(token.text)
            )
            if self._has_logprobs:
                choice["logprobs"] = self._logprobs([token])
            yield choice

    def finish(self, number: int, last: Token) -> dict[str, Any]:
        return _delta(number, {}, self._reason(last, number in self._called))

    def choice(self, number: int, tokens: Sequence[Token], last: Token) -> dict[str, Any]:
        text = _joined(tokens, reasoning=False)
        calls = [
            {
                "id": call_id(call.id),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls_in(tokens)
        ]
        message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
        if not calls:
            message["content"] = text
        elif self._as_functions:
            message["function_call"] = calls[0]["function"]
        else:
            message["tool_calls"] = calls
        if reasoning := _joined(tokens, reasoning=True):
            message |= _thought(reasoning)
        return {
            "index": number,
            "message": message,
            "logprobs": self._logprobs(tokens) if self._has_logprobs else None,
            "finish_reason": self._reason(last, bool(calls)),
        }

    def _pieces(self, piece: ToolCallDelta) -> Iterator[dict[str, Any]]:
        if self._as_functions:
            if piece.name:
                yield {"function_call": {"name": piece.name, "arguments": ""}}
            if piece.arguments:
                yield {"function_call": {"arguments": piece.arguments}}
            return
        if piece.name:
            begun = {"name": piece.name, "arguments": ""}
            first = {"id": call_id(piece.id), "type": "function", "function": begun}
            yield {"tool_calls": [{"index": piece.index, **first}]}
        if piece.arguments:
            more = {"arguments": piece.arguments}
            yield {"tool_calls": [{"index": piece.index, "function": more}]}

    def _reason(self, last: Token, has_called: bool) -> str:
        if last.finish_reason == "length":
            return "length"
        if has_called:
            return "function_call" if self._as_functions else "tool_calls"
        return "stop"

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any]:
        entries = [e for token in tokens if not token.reasoning for e in logprobs_of(token)]
        return {"content": entries, "refusal": None}


def call_id(id: str) -> str:
    """The id of a call, as clients expect one to look."""
    return id if id.startswith("call_") else f"call_{id or secrets.token_hex(12)}"


def event(value: object) -> bytes:
    """One server-sent event."""
    return b"data: " + to_bytes(value) + b"\n\n"


def error_event(failure: Failure) -> bytes:
    """The event that ends a stream that failed."""
    return event(body_in("openai", failure))


def _delta(number: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"index": number, "delta": delta, "finish_reason": reason}


def _said(text: str) -> dict[str, Any]:
    return {"content": text}


def _thought(text: str) -> dict[str, Any]:
    # Ollama and LM Studio call it ``reasoning``, DeepSeek and what was made for it the other.
    return {"reasoning": text, "reasoning_content": text}


def _joined(tokens: Sequence[Token], *, reasoning: bool) -> str:
    return "".join(token.text for token in tokens if token.reasoning == reasoning)

"""How OpenAI's completions answer: server-sent events, or one object.

One id and one time for a whole stream; the role in the first delta only; ``finish_reason`` is
present, and null, before the end; then its own chunk, then usage if asked, then ``[DONE]``.
"""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastapi.responses import Response

from ondol.server.body import json_response, to_bytes
from ondol.server.errors import Failure, body_in
from ondol.server.generation import logprobs_of
from ondol.types import Token, Usage

DONE = b"data: [DONE]\n\n"


class Reply(ABC):
    """Writes the tokens of one generation; ``ChatReply`` and ``TextReply`` know the shapes."""

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
    ) -> None:
        self._model = model
        self._has_logprobs = has_logprobs
        self._has_usage = has_usage
        self._keep_reasoning = keep_reasoning
        self._id = self.prefix + secrets.token_hex(12)
        self._created = int(time.time())
        # What Ondol knows about the answer once it has ended, where the request asks for it.
        self.verdict: Callable[[], dict[str, Any]] | None = None

    def events(self, tokens: Iterator[Token]) -> Iterator[bytes]:
        """The whole stream."""
        is_first = True
        for token in tokens:
            if is_first:
                yield from self.opening()
                is_first = False
            if token.text and self._is_kept(token):
                yield self._chunk([self.delta(token)])
            if token.finish_reason is not None:
                yield self._chunk([self.finish(_reason(token))])
                if self._has_usage:
                    yield self._chunk([], usage_of(token.usage or Usage()))
        if self.verdict is not None:
            yield event({**self._head(self.chunk_name), "choices": [], "ondol": self.verdict()})
        yield DONE

    def whole(self, tokens: Iterator[Token]) -> Response:
        """One object with everything."""
        gathered = list(tokens)
        last = gathered[-1]
        choice = self.choice([t for t in gathered if self._is_kept(t)], _reason(last))
        body = {**self._head(self.object_name), "choices": [choice]}
        more = {"ondol": self.verdict()} if self.verdict is not None else {}
        return json_response({**body, "usage": usage_of(last.usage or Usage()), **more})

    def opening(self) -> Iterator[bytes]:
        """What goes before the first token."""
        return iter(())

    @abstractmethod
    def delta(self, token: Token) -> dict[str, Any]:
        """The choice of a chunk with text."""

    @abstractmethod
    def finish(self, reason: str) -> dict[str, Any]:
        """The choice of the chunk that ends the text."""

    @abstractmethod
    def choice(self, tokens: Sequence[Token], reason: str) -> dict[str, Any]:
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

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        body = {**self._head(self.chunk_name), "choices": choices}
        return event({**body, "usage": usage} if usage else body)


class ChatReply(Reply):
    """``/v1/chat/completions``."""

    prefix = "chatcmpl-"
    object_name = "chat.completion"
    chunk_name = "chat.completion.chunk"

    def opening(self) -> Iterator[bytes]:
        yield self._chunk([self._choice({"role": "assistant", "content": ""}, None)])

    def delta(self, token: Token) -> dict[str, Any]:
        field = "reasoning" if token.reasoning else "content"
        choice = self._choice({field: token.text}, None)
        return choice | {"logprobs": self._logprobs([token])} if self._has_logprobs else choice

    def finish(self, reason: str) -> dict[str, Any]:
        return self._choice({}, reason)

    def choice(self, tokens: Sequence[Token], reason: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": _joined(tokens, reasoning=False)}
        reasoning = _joined(tokens, reasoning=True)
        return {
            "index": 0,
            "message": message | ({"reasoning": reasoning} if reasoning else {}),
            "logprobs": self._logprobs(tokens) if self._has_logprobs else None,
            "finish_reason": reason,
        }

    def _choice(self, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "finish_reason": reason}

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any]:
        entries = [e for token in tokens if not token.reasoning for e in logprobs_of(token)]
        return {"content": entries, "refusal": None}


class TextReply(Reply):
    """``/v1/completions``; ``echo`` is sent before the completion."""

    prefix = "cmpl-"
    object_name = "text_completion"
    chunk_name = "text_completion"

    def __init__(self, model: str, *, echo: str = "", has_logprobs: bool, has_usage: bool) -> None:
        super().__init__(model, has_logprobs=has_logprobs, has_usage=has_usage)
        self._echo = echo
        self._offset = len(echo)

    def opening(self) -> Iterator[bytes]:
        if self._echo:
            yield self._chunk([self._choice(self._echo, None, [])])

    def delta(self, token: Token) -> dict[str, Any]:
        return self._choice(token.text, None, [token])

    def finish(self, reason: str) -> dict[str, Any]:
        return self._choice("", reason, [])

    def choice(self, tokens: Sequence[Token], reason: str) -> dict[str, Any]:
        text = "".join(token.text for token in tokens)
        return self._choice(self._echo + text, reason, tokens)

    def _choice(self, text: str, reason: str | None, tokens: Sequence[Token]) -> dict[str, Any]:
        logprobs = self._logprobs(tokens) if self._has_logprobs and tokens else None
        return {"text": text, "index": 0, "logprobs": logprobs, "finish_reason": reason}

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any]:
        entries, offsets = [], []
        for token in tokens:
            entries += logprobs_of(token)
            offsets += [self._offset] if token.logprob is not None else []
            self._offset += len(token.text)
        return {
            "tokens": [entry["token"] for entry in entries],
            "token_logprobs": [entry["logprob"] for entry in entries],
            "top_logprobs": [
                {top["token"]: top["logprob"] for top in entry["top_logprobs"]} for entry in entries
            ],
            "text_offset": offsets,
        }


def usage_of(usage: Usage) -> dict[str, Any]:
    """Tokens of one request."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def event(value: object) -> bytes:
    """One server-sent event."""
    return b"data: " + to_bytes(value) + b"\n\n"


def error_event(failure: Failure) -> bytes:
    """The event that ends a stream that failed."""
    return event(body_in("openai", failure))


def _reason(token: Token) -> str:
    return "length" if token.finish_reason == "length" else "stop"


def _joined(tokens: Sequence[Token], *, reasoning: bool) -> str:
    return "".join(token.text for token in tokens if token.reasoning == reasoning)

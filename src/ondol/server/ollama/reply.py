"""How Ollama's chat and generate answer: NDJSON lines, or one object (api/types.go).

Every chunk repeats the model and the time; the last one, with ``done``, has durations in
nanoseconds and always both counts. A call is an object whole, in a chunk of its own; its arguments
are an object here, where OpenAI's are text.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from time import perf_counter_ns
from typing import Any

from fastapi.responses import Response

from ondol.answering import calls_in
from ondol.errors import UsageError
from ondol.server.body import json_response, to_bytes
from ondol.server.calling import CallsInStream, arguments_of
from ondol.server.errors import Failure, body_in
from ondol.server.fitting import Forgotten
from ondol.server.generation import logprobs_of, role_of
from ondol.server.relay import LAST
from ondol.types import Message, Token, ToolCall, Usage

Call = tuple[int, ToolCall]


class Shape(ABC):
    """How one endpoint writes a piece of an answer, and what only its last object has."""

    def __init__(self, model: str) -> None:
        self.model = model

    @abstractmethod
    def delta(self, text: str, thinking: str, calls: Sequence[Call] = ()) -> dict[str, Any]:
        """The fields that carry text and calls."""

    def last(self, answer: str) -> dict[str, Any]:
        """Fields of the last object; ``answer`` is everything that was said."""
        return {}


class ChatShape(Shape):
    """``message``, with its role on every chunk."""

    def delta(self, text: str, thinking: str, calls: Sequence[Call] = ()) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if thinking:
            message["thinking"] = thinking
        if calls:
            message["tool_calls"] = [_call_json(*call) for call in calls]
        return {"message": message}


class GenerateShape(Shape):
    """``response``; the last object has the conversation as ``context`` unless it was raw."""

    def __init__(self, model: str, messages: Sequence[Message] | None) -> None:
        super().__init__(model)
        self._messages = messages

    def delta(self, text: str, thinking: str, calls: Sequence[Call] = ()) -> dict[str, Any]:
        return {"response": text} | ({"thinking": thinking} if thinking else {})

    def last(self, answer: str) -> dict[str, Any]:
        if self._messages is None:
            return {}
        return {"context": remember([*self._messages, Message("assistant", answer)])}


def remember(messages: Sequence[Message]) -> list[int]:
    """A conversation as the opaque numbers that old clients send back: UTF-8 of JSON. Pictures are
    not kept in it."""
    return list(json.dumps([[m.role, m.content] for m in messages]).encode())


def recall(context: Sequence[int]) -> list[Message] | None:
    """The conversation behind the numbers of ``remember``; ``None`` for those of another server,
    which are the tokens of some model's vocabulary."""
    try:
        turns = json.loads(bytes(context)) if context else []
        return [Message(role_of(str(role)), str(content)) for role, content in turns]
    except (ValueError, TypeError, RecursionError, UsageError):
        return None


class Reply:
    """Writes the tokens of one generation."""

    def __init__(self, shape: Shape, *, keep_thinking: bool) -> None:
        self._shape = shape
        self._keep_thinking = keep_thinking
        self._started = perf_counter_ns()
        # What Ondol knows about the answer once it has ended, where the request asks for it.
        self.verdict: Callable[[], dict[str, Any]] | None = None
        # What could not be used of the request, which the last object says.
        self.forgotten = Forgotten()
        self.ignored: tuple[str, ...] = ()

    def lines(self, tokens: Iterator[Token]) -> Iterator[bytes]:
        """One object a token, and one a call; the last has the counts and no text."""
        said = []
        last = None
        calls = CallsInStream()
        for token in tokens:
            text, thinking = self._split(token)
            said.append(text)
            if text or thinking:
                yield self._line(self._shape.delta(text, thinking), _logprobs([token]))
            for call in calls.after(token):
                if arguments_of(call[1]) is not None:
                    yield self._line(self._shape.delta("", "", [call]))
            if token.finish_reason is not None:
                last = self._last(token, self._shape.delta("", ""), "".join(said))
                if self.verdict is None:
                    yield to_line(last)
                    yield LAST
        if last is not None and self.verdict is not None:
            yield to_line({**last, "ondol": self.verdict()})

    def whole(self, tokens: Iterator[Token]) -> Response:
        """One object with everything."""
        gathered = list(tokens)
        pieces = [self._split(token) for token in gathered]
        text = "".join(text for text, _ in pieces)
        thinking = "".join(thinking for _, thinking in pieces)
        calls = [
            call for call in enumerate(calls_in(gathered)) if arguments_of(call[1]) is not None
        ]
        answer = self._last(gathered[-1], self._shape.delta(text, thinking, calls), text)
        more = {"ondol": self.verdict()} if self.verdict is not None else {}
        return json_response({**answer, **_logprobs(gathered), **more})

    def _line(self, delta: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> bytes:
        return to_line({**head(self._shape.model), **delta, "done": False, **(more or {})})

    def _split(self, token: Token) -> tuple[str, str]:
        if token.reasoning:
            return "", token.text if self._keep_thinking else ""
        return token.text, ""

    def _last(self, token: Token, delta: Mapping[str, Any], said: str) -> dict[str, Any]:
        return {
            **head(self._shape.model),
            **delta,
            "done": True,
            "done_reason": "length" if token.finish_reason == "length" else "stop",
            **self._shape.last(said),
            **_costs(token.usage or Usage(), perf_counter_ns() - self._started),
            **({"truncated": self.forgotten.fields()} if self.forgotten else {}),
            **({"ignored": list(self.ignored)} if self.ignored else {}),
        }


def _call_json(index: int, call: ToolCall) -> dict[str, Any]:
    function = {"index": index, "name": call.name, "arguments": arguments_of(call) or {}}
    return {"id": call.id, "function": function}


def head(model: str) -> dict[str, Any]:
    return {"model": model, "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z")}


def _costs(usage: Usage, total_ns: int) -> dict[str, int]:
    return {
        "total_duration": total_ns,
        "load_duration": _nanoseconds(usage.load_seconds),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": _nanoseconds(usage.prompt_seconds),
        "eval_count": usage.completion_tokens,
        "eval_duration": _nanoseconds(usage.completion_seconds),
    }


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


def _logprobs(tokens: Sequence[Token]) -> dict[str, Any]:
    entries = [entry for token in tokens for entry in logprobs_of(token)]
    return {"logprobs": entries} if entries else {}


def to_line(value: object) -> bytes:
    return to_bytes(value) + b"\n"


def error_line(failure: Failure) -> bytes:
    return to_line(body_in("ollama", failure))

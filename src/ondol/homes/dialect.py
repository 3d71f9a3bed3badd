"""What a device and its home say to each other: OpenAI's chat completions, streamed.

Only what our own ``ondol home`` takes and gives; the engine's dialect copes with everybody's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ondol.types import Alternative, FinishReason, GenerateOptions, Message, Token, Usage

LONGEST_LINE_BYTES = 4 * 1024 * 1024
_OPTIONS = (
    "max_tokens",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
)


class GarbledError(Exception):
    """What came is not what a home sends."""


class ReportedError(Exception):
    """Home said, in the middle of an answer, that it cannot go on; ``error`` is what it said."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__("reported")
        self.error = error


def body_of(messages: Sequence[Message], options: GenerateOptions) -> bytes:
    """The body of ``/v1/chat/completions``. Adapters and token biases are the device's own."""
    body: dict[str, Any] = {
        "messages": [{"role": m.role, "content": _sendable(m.content)} for m in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    given = {name: getattr(options, name) for name in _OPTIONS}
    body |= {name: value for name, value in given.items() if value is not None}
    if options.stop:
        body["stop"] = [_sendable(stop) for stop in options.stop]
    if options.json_schema is not None:
        schema = {"name": "answer", "schema": dict(options.json_schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if options.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": options.logprobs}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def tokens_of(pieces: Iterable[bytes]) -> Iterator[Token]:
    """The tokens of a response body, the last one with finish_reason and usage. Raises
    ``GarbledError`` for what is none or ends too early, ``ReportedError`` for what home reports."""
    reason: FinishReason | None = None
    usage = Usage()
    try:
        for event in _events(pieces):
            if event.get("error"):
                error = event["error"]
                raise ReportedError(error if isinstance(error, dict) else {})
            if event.get("usage"):
                counted = event["usage"]
                usage = Usage(int(counted["prompt_tokens"]), int(counted["completion_tokens"]))
            for choice in event.get("choices") or ():
                yield from _tokens(choice)
                if choice.get("finish_reason"):
                    reason = "length" if choice["finish_reason"] == "length" else "stop"
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError):
        raise GarbledError from None
    if reason is None:
        raise GarbledError
    yield Token("", finish_reason=reason, usage=usage)


def _events(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    is_whole = False
    for line in _lines(pieces):
        field, _, value = line.partition(b":")
        if field != b"data":
            continue
        if value.strip() == b"[DONE]":
            is_whole = True
            continue  # read to the end, so that both sides count the same bytes
        event = json.loads(value)
        if not isinstance(event, dict):
            raise GarbledError
        yield event
    if not is_whole:
        raise GarbledError


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST_LINE_BYTES:
            raise GarbledError
        yield from (line.removesuffix(b"\r") for line in lines)


def _tokens(choice: Mapping[str, Any]) -> Iterator[Token]:
    delta = choice.get("delta") or {}
    if delta.get("reasoning"):
        yield Token(str(delta["reasoning"]), reasoning=True)
    text = str(delta.get("content") or "")
    entries = (choice.get("logprobs") or {}).get("content") or ()
    if text and not entries:
        yield Token(text)
        return
    for entry in entries:
        top = tuple(Alternative(a["token"], a["logprob"]) for a in entry["top_logprobs"])
        yield Token(str(entry["token"]), float(entry["logprob"]), top)


def _sendable(text: str) -> str:
    """Without lone surrogates, which have no UTF-8."""
    return text.encode(errors="replace").decode()

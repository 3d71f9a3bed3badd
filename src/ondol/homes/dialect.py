"""What a device and its home say to each other: OpenAI's chat completions, streamed.

Only what our own ``ondol home`` takes and gives; the engine's dialect copes with everybody's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ondol.chat_dialect import finish_reason, lines, messages_body, options_body, steps
from ondol.types import FinishReason, GenerateOptions, Message, Token, Usage

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
    body = options_body(options, _OPTIONS) | {"messages": messages_body(messages)}
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
                reason = finish_reason(choice) or reason
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError):
        raise GarbledError from None
    if reason is None:
        raise GarbledError
    yield Token("", finish_reason=reason, usage=usage)


def _events(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    is_whole = False
    for line in lines(pieces, LONGEST_LINE_BYTES):
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


def _tokens(choice: Mapping[str, Any]) -> Iterator[Token]:
    delta = choice.get("delta") or {}
    if delta.get("reasoning"):
        yield Token(str(delta["reasoning"]), reasoning=True)
    text = str(delta.get("content") or "")
    found = steps(choice.get("logprobs") or {})
    if text and not found:
        yield Token(text)
    for piece, logprob, top in found:
        yield Token(piece, logprob, top)

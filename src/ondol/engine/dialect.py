"""The chat dialect of llama-server and OpenAI: options to a request body, events to tokens.

Pure functions over JSON objects; opens no connection. Log-probabilities are natural logarithms.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ondol.chat_dialect import (
    finish_reason,
    finite,
    messages_body,
    options_body,
    sampled,
    sendable,
    steps,
)
from ondol.engine.generation import Cancellation, Cancelled
from ondol.engine.wire import Garbled, Refused
from ondol.types import (
    Alternative,
    FinishReason,
    GenerateOptions,
    Message,
    Token,
    ToolCallDelta,
    Usage,
)

_SAMPLING = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "repeat_penalty",
    "repeat_last_n",
    "presence_penalty",
    "frequency_penalty",
)


def chat_body(messages: Sequence[Message], options: GenerateOptions) -> dict[str, Any]:
    """The body of ``/v1/chat/completions``."""
    body = _body(options)
    body["messages"] = messages_body(messages)
    if options.logprobs is not None:
        # llama-server sends no logprobs at all unless it is asked for an alternative.
        body |= {"logprobs": True, "top_logprobs": max(1, options.logprobs)}
    return body


def prompt_body(prompt: str, options: GenerateOptions) -> dict[str, Any]:
    """The body of ``/v1/completions``."""
    body = _body(options) | {"prompt": sendable(prompt)}
    if options.logprobs is not None:
        body["logprobs"] = max(1, options.logprobs)
    return body


def llama_extras(options: GenerateOptions, adapters: Sequence[str] = ()) -> dict[str, Any]:
    """What only llama-server understands; ``adapters`` are those its process has loaded, in the
    order it was given them."""
    extras: dict[str, Any] = {"cache_prompt": True, "return_progress": True}
    if options.stop:
        extras["verbose"] = True  # only then it says which of them it met
    if options.logit_bias:
        extras["logit_bias"] = [
            [text, finite("logit_bias", bias)] for text, bias in options.logit_bias.items()
        ]
    if adapters:
        # Always the full list: a request without one continues from a cache the last one coloured.
        extras["lora"] = [
            {"id": i, "scale": finite("adapters", options.adapters.get(name, 0.0))}
            for i, name in enumerate(adapters)
        ]
    return extras


def sampling_body(options: GenerateOptions) -> dict[str, Any]:
    """How tokens are chosen, and nothing else."""
    body = sampled(options, _SAMPLING)
    if options.seed is not None:
        body["seed"] = options.seed % 2**32
    return body


def _body(options: GenerateOptions) -> dict[str, Any]:
    body = options_body(options, ()) | sampling_body(options)
    if options.max_tokens is not None:
        # Asked for none, llama-server gives one; ``tokens_of`` drops it.
        body["max_tokens"] = max(1, options.max_tokens)
    return body


@dataclass(slots=True)
class _Account:
    """What is known so far about the cost of a generation."""

    started: float
    first: float | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0
    prompt_seconds: float | None = None
    completion_seconds: float | None = None

    def read(self, event: Mapping[str, Any]) -> None:
        if usage := event.get("usage"):
            self.prompt_tokens = usage.get("prompt_tokens") or 0
            self.tokens = usage.get("completion_tokens") or 0
            details = usage.get("prompt_tokens_details") or {}
            self.cached_tokens = details.get("cached_tokens") or 0
        elif progress := event.get("prompt_progress"):
            self.prompt_tokens = progress.get("total") or 0
            self.cached_tokens = progress.get("cache") or 0
        if timings := event.get("timings"):
            self.prompt_seconds = timings["prompt_ms"] / 1000
            self.completion_seconds = timings["predicted_ms"] / 1000

    def usage(self) -> Usage:
        now = time.monotonic()
        first = now if self.first is None else self.first
        prompt, completion = self.prompt_seconds, self.completion_seconds
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.tokens,
            cached_tokens=self.cached_tokens,
            prompt_seconds=first - self.started if prompt is None else prompt,
            completion_seconds=now - first if completion is None else completion,
            total_seconds=now - self.started,
        )


def tokens_of(
    events: Iterable[Mapping[str, Any]], options: GenerateOptions, cancellation: Cancellation
) -> Generator[Token]:
    """The tokens of an answer's events, the last one with finish_reason, usage and stop sequence.

    Raises ``Refused`` for an error among the events, ``Garbled`` when they end too early.
    """
    account, finish, stop = _Account(time.monotonic()), None, None
    try:
        for event in events:
            cancellation.check()
            if error := event.get("error"):
                raise _refusal(error)
            for token in _event_tokens(event, options.logprobs or 0):
                account.first = account.first or time.monotonic()
                account.tokens += 1
                if options.max_tokens != 0:
                    yield token
            account.read(event)
            finish = _finish_reason(event) or finish
            stop = (event.get("__verbose") or {}).get("stopping_word") or stop
    except Cancelled:
        finish = "cancelled"
    except (AttributeError, KeyError, IndexError, TypeError):
        raise Garbled from None
    except Exception:
        # Shutting the socket is how a wait is ended, so what it raises is not a failure then.
        if not cancellation.cancelled:
            raise
        finish = "cancelled"
    if finish is None:
        if not cancellation.cancelled:
            raise Garbled
        finish = "cancelled"
    if options.max_tokens == 0:
        account.tokens = 0
    met = stop if finish == "stop" else None
    yield Token("", finish_reason=finish, usage=account.usage(), stop_sequence=met)


def _refusal(error: Any) -> Refused:
    body = error if isinstance(error, dict) else {"message": str(error)}
    code = body.get("code")
    return Refused(code if isinstance(code, int) else 500, body)


def _finish_reason(event: Mapping[str, Any]) -> FinishReason | None:
    choices = event.get("choices")
    return finish_reason(choices[0]) if choices else None


def _event_tokens(event: Mapping[str, Any], alternatives: int) -> list[Token]:
    choices = event.get("choices")
    if not choices:
        return []
    choice = choices[0]
    delta = choice.get("delta") or {}
    thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
    text = choice.get("text") or delta.get("content") or ""
    found = _steps(choice.get("logprobs"), alternatives)
    calls = [_piece(call) for call in delta.get("tool_calls") or ()]
    tokens = _split(thought, found if not text else [], reasoning=True)
    tokens += _split(text, found, reasoning=False)
    return tokens + [Token("", tool_call=call) for call in calls]


def _piece(call: Mapping[str, Any]) -> ToolCallDelta:
    function = call.get("function") or {}
    return ToolCallDelta(
        int(call.get("index") or 0),
        function.get("arguments") or "",
        call.get("id") or "",
        function.get("name") or "",
    )


def _split(
    text: str, steps: list[tuple[str, float, tuple[Alternative, ...]]], *, reasoning: bool
) -> list[Token]:
    """One token per step. Text that the server held back (half a character, a possible stop) comes
    with several steps; where their own texts do not add up to it, the last step carries it."""
    if not text:
        return []
    if len(steps) <= 1:
        _, logprob, top = steps[0] if steps else ("", None, ())
        return [Token(text, logprob, top, reasoning)]
    pieces = [piece for piece, _, _ in steps]
    if "".join(pieces) != text:
        pieces = [""] * (len(steps) - 1) + [text]
    return [
        Token(piece, logprob, top, reasoning)
        for piece, (_, logprob, top) in zip(pieces, steps, strict=True)
    ]


def _steps(
    logprobs: Mapping[str, Any] | None, alternatives: int
) -> list[tuple[str, float, tuple[Alternative, ...]]]:
    if not logprobs:
        return []
    if "tokens" in logprobs:
        return _legacy_steps(logprobs, alternatives)
    return steps(logprobs, alternatives)


def _legacy_steps(
    logprobs: Mapping[str, Any], alternatives: int
) -> list[tuple[str, float, tuple[Alternative, ...]]]:
    tops = logprobs.get("top_logprobs") or [{}] * len(logprobs["tokens"])
    return [
        (
            token,
            logprob,
            tuple(Alternative(k, v) for k, v in list((top or {}).items())[:alternatives]),
        )
        for token, logprob, top in zip(
            logprobs["tokens"], logprobs["token_logprobs"], tops, strict=True
        )
    ]

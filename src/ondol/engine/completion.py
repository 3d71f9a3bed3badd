"""llama-server's own ``/completion``: a raw prompt that goes on, and why it ended.

The one endpoint that tells a stop word from the model's own end. Its events become those of the
chat dialect, so that ``dialect.tokens_of`` reads both.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from ondol.engine.dialect import sampling_body
from ondol.types import GenerateOptions

# Marks that are one token in some vocabularies, and would be left out of the text then.
MARKS = ("<tool_call>", "</tool_call>", "<think>", "</think>")


def completion_body(
    prompt: Any,
    options: GenerateOptions,
    *,
    max_tokens: int | None,
    stop: Sequence[str] = (),
    schema: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of ``/completion``: the sampling of ``options``, and nothing else of it."""
    body = sampling_body(options) | {"prompt": prompt, "stream": True}
    body["n_predict"] = -1 if max_tokens is None else max_tokens
    body["preserved_tokens"] = list(MARKS)
    if stop:
        body["stop"] = list(stop)
    if schema is not None:
        body["json_schema"] = dict(schema)
    if options.logprobs is not None:
        body["n_probs"] = max(1, options.logprobs)
    return body


def chat_events(events: Iterable[Mapping[str, Any]]) -> Generator[Mapping[str, Any]]:
    """The events of ``/completion`` in the shape of the chat dialect."""
    for event in events:
        if "error" in event or "stop" not in event:
            yield event
            continue
        choice: dict[str, Any] = {"text": event.get("content") or ""}
        if probabilities := event.get("completion_probabilities"):
            choice["logprobs"] = {"content": probabilities}
        told: dict[str, Any] = {"choices": [choice]}
        if progress := event.get("prompt_progress"):
            told["prompt_progress"] = progress
        if event["stop"]:
            told["__verbose"] = {"stopping_word": event.get("stopping_word")}
            choice["finish_reason"] = "length" if event.get("stop_type") == "limit" else "stop"
            timings = event.get("timings") or {}
            told["timings"] = timings or None
            told["usage"] = {
                "prompt_tokens": event.get("tokens_evaluated"),
                "completion_tokens": event.get("tokens_predicted"),
                "prompt_tokens_details": {"cached_tokens": timings.get("cache_n")},
            }
        yield told

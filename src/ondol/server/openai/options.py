"""How to generate, as OpenAI's clients ask for it. Raises ``UsageError`` naming the field."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.server.generation import alternatives, limit_of, seed_of, stops
from ondol.server.openai.echoed import wants_scores
from ondol.server.openai.messages import Able
from ondol.server.openai.requests import (
    ChatCompletionRequest,
    CompletionRequest,
    ResponseFormat,
    SamplingRequest,
)
from ondol.server.openai.tools import Offer
from ondol.types import GenerateOptions

# More answers to one request than this are as many requests.
MOST_CHOICES = 8

# OpenAI's words for how much to think, and the engine's.
_EFFORTS: Mapping[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}


def chat_options(body: ChatCompletionRequest, model: Able, offer: Offer) -> GenerateOptions:
    """Those of a chat."""
    if body.web_search_options:
        told = t("openai.unsupported", field="web_search_options")
        raise UsageError(told, param="web_search_options")
    if set(body.modalities or ()) - {"text"}:
        raise UsageError(t("openai.text_only"), param="modalities")
    wanted = body.max_completion_tokens
    limit = limit_in(wanted, "max_completion_tokens") or limit_in(body.max_tokens, "max_tokens")
    return _options(
        body,
        max_tokens=limit,
        json_schema=schema_of(body.response_format),
        logprobs=alternatives(body.logprobs, body.top_logprobs),
        think=think_of(body.reasoning_effort, model, "reasoning_effort"),
        **offer.options,
    )


def text_options(body: CompletionRequest) -> GenerateOptions:
    """Those of a plain completion."""
    if body.best_of not in (None, choices_of(body)):
        raise UsageError(t("openai.best_of"), param="best_of")
    return _options(
        body,
        # Who only wants to hear how likely the prompt is asks for nothing after it.
        max_tokens=0
        if body.max_tokens == 0 and wants_scores(body)
        else limit_in(body.max_tokens, "max_tokens"),
        logprobs=alternatives(body.logprobs is not None, body.logprobs),
    )


def choices_of(body: SamplingRequest) -> int:
    """How many answers are asked for."""
    count = 1 if body.n is None else body.n
    if not 1 <= count <= MOST_CHOICES:
        raise UsageError(t("openai.bad_n", most=MOST_CHOICES), param="n")
    return count


def numbered(options: GenerateOptions, number: int) -> GenerateOptions:
    """``options`` for answer ``number`` of a request: one seed would give one answer many times."""
    if not number or options.seed is None:
        return options
    return replace(options, seed=(options.seed + number) % 2**31)


def limit_in(value: int | None, field: str) -> int | None:
    """The most tokens of an answer, from ``field``."""
    if value == 0:
        raise UsageError(t("server.zero_tokens", field=field), param=field)
    return limit_of(value)


def schema_of(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    """The schema that an answer follows."""
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"type": "object"}
    schema = wanted.json_schema.schema_ if wanted.json_schema else None
    if wanted.type != "json_schema" or schema is None:
        raise UsageError(t("server.bad_response_format"), param="response_format")
    return schema


def think_of(effort: str | None, model: Able, param: str) -> bool | str | None:
    """How much ``model`` thinks. To one that cannot, every effort is the same."""
    if effort is None:
        return None
    if effort not in _EFFORTS:
        raise UsageError(t("openai.bad_effort", known=", ".join(_EFFORTS)), param=param)
    return _EFFORTS[effort] if "thinking" in model.capabilities else None


def biased(options: GenerateOptions, bias: Mapping[str, float] | None, engine: Any) -> Any:
    """``options`` with OpenAI's ``logit_bias``, whose keys are ids of ``engine``'s tokens; the
    engine goes by their texts."""
    if not bias:
        return options
    by_text: dict[str, float] = {}
    for id, value in bias.items():
        text = ""
        if id.isascii() and id.isdecimal() and len(id) < 10:
            with suppress(UsageError):  # it is none of the model's
                text = engine.detokenize([int(id)])
        if not text or list(engine.tokenize(text)) != [int(id)]:
            raise UsageError(t("openai.bad_bias", id=id[:20]), param="logit_bias")
        by_text[text] = value
    return replace(options, logit_bias=by_text)


def _options(body: SamplingRequest, **more: Any) -> GenerateOptions:
    return GenerateOptions(
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        repeat_penalty=body.repeat_penalty,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        seed=seed_of(body.seed),
        stop=stops(body.stop),
        **more,
    )

"""OpenAI's endpoints: chat completions, completions, embeddings, models.

Not streaming is the default. Fields of the real API that change nothing here are accepted and
ignored; what would change the answer and cannot be honoured is a 400 that names the field.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.body import JsonRoute, json_response
from ondol.server.generation import (
    Embedded,
    alternatives,
    cannot,
    embed,
    find,
    find_able,
    installed,
    limit_of,
    role_of,
    seed_of,
    stops,
)
from ondol.server.openai_reply import ChatReply, Reply, TextReply, error_event
from ondol.server.openai_requests import (
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingRequest,
    Part,
    ResponseFormat,
    SamplingRequest,
)
from ondol.server.streaming import SSE, Source, in_thread, stream, whole
from ondol.server.verdict import HERE, Chat
from ondol.types import GenerateOptions, Message

if TYPE_CHECKING:
    from ondol.models.store import Model


def router(parts: Parts) -> APIRouter:
    """The routes under ``/v1``."""
    routes = APIRouter(prefix="/v1", tags=["openai"], route_class=JsonRoute)

    @routes.post("/chat/completions")
    async def chat_completions(request: Request, body: ChatCompletionRequest) -> Response:
        """Answer a conversation."""
        model = await in_thread(
            lambda: find_able(parts, body.model or "", "completion", t("server.deed_chat"))
        )
        messages, options = messages_of(body), chat_options(body)
        source = Chat(
            parts,
            model.name,
            messages,
            options,
            lambda wanted: parts.engine(model.name).generate(messages, wanted),
            body.wanted,
        )
        reply = ChatReply(
            body.model or "",
            has_logprobs=body.logprobs,
            has_usage=body.has_usage,
            keep_reasoning=body.reasoning_effort != "none",
        )
        return await _respond(request, body, source, reply)

    @routes.post("/completions")
    async def completions(request: Request, body: CompletionRequest) -> Response:
        """Continue a prompt; no chat template is applied."""
        model = await in_thread(
            lambda: find_able(parts, body.model or "", "completion", t("server.deed_generate"))
        )
        prompt, options = _prompt(body), _text_options(body)
        source = Chat(
            parts,
            model.name,
            [Message("user", prompt)],
            options,
            lambda wanted: parts.engine(model.name).complete(prompt, wanted),
        )
        reply = TextReply(
            body.model or "",
            echo=prompt if body.echo else "",
            has_logprobs=body.logprobs is not None,
            has_usage=body.has_usage,
        )
        return await _respond(request, body, source, reply)

    @routes.post("/embeddings")
    async def embeddings(request: Request, body: EmbeddingRequest) -> Response:
        """Vectors of one or more texts, as numbers or base64 of float32."""
        texts = [body.input] if isinstance(body.input, str) else body.input or []
        if not texts or not all(texts):
            raise UsageError(t("server.empty_input"), param="input")
        if body.encoding_format not in (None, "float", "base64"):
            raise UsageError(t("server.bad_encoding"), param="encoding_format")
        source = Source(lambda: embed(parts, body.model or "", texts, dimensions=body.dimensions))
        return await whole(request, source, lambda batches: _embeddings(body, batches))

    @routes.get("/models")
    async def models() -> Response:
        """The models on this machine."""
        data = [_model(model) for model, _ in await in_thread(lambda: installed(parts))]
        return json_response({"object": "list", "data": data})

    @routes.get("/models/{model:path}")
    async def model_by_id(model: str) -> Response:
        """One model."""
        return json_response(_model(await in_thread(lambda: find(parts, model))))

    return routes


async def _respond(request: Request, body: SamplingRequest, source: Chat, reply: Reply) -> Response:
    if body.ondol:
        reply.verdict = source.verdict
    if not body.stream:
        return await whole(request, source, source.noted(reply.whole))
    return await stream(request, source, reply.events(source), SSE, error_event, HERE)


def chat_options(body: ChatCompletionRequest) -> GenerateOptions:
    """How to generate, as a chat client asks for it. Raises ``UsageError``."""
    wanted = body.max_completion_tokens
    limit = _limit(wanted, "max_completion_tokens") or _limit(body.max_tokens, "max_tokens")
    return _options(
        body,
        max_tokens=limit,
        json_schema=_schema(body.response_format),
        logprobs=alternatives(body.logprobs, body.top_logprobs),
    )


def _text_options(body: CompletionRequest) -> GenerateOptions:
    if body.best_of not in (None, 1):
        raise UsageError(t("server.only_one", field="best_of"), param="best_of")
    return _options(
        body,
        max_tokens=_limit(body.max_tokens, "max_tokens"),
        logprobs=alternatives(body.logprobs is not None, body.logprobs),
    )


def _options(body: SamplingRequest, **more: Any) -> GenerateOptions:
    if body.n not in (None, 1):
        raise UsageError(t("server.only_one", field="n"), param="n")
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


def _limit(value: int | None, field: str) -> int | None:
    if value == 0:
        raise UsageError(t("server.zero_tokens", field=field), param=field)
    return limit_of(value)


def _schema(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"type": "object"}
    schema = wanted.json_schema.schema_ if wanted.json_schema else None
    if wanted.type != "json_schema" or schema is None:
        raise UsageError(t("server.bad_response_format"), param="response_format")
    return schema


def messages_of(body: ChatCompletionRequest) -> list[Message]:
    """The conversation. Raises ``UsageError`` for what no model here can read."""
    if not body.messages:
        raise UsageError(t("server.no_messages"), param="messages")
    if body.tools or body.functions:
        raise cannot(body.model or "", t("server.deed_tools"), "tools")
    return [Message(role_of(m.role), _text(m.content, body.model or "")) for m in body.messages]


def _text(content: str | list[Part] | None, model: str) -> str:
    if not isinstance(content, list):
        return content or ""
    for part in content:
        if part.type == "image_url":
            raise cannot(model, t("server.deed_vision"), "messages")
        if part.type != "text":
            raise UsageError(t("server.bad_part", type=part.type[:40]), param="messages")
    return "\n".join(part.text or "" for part in content)


def _prompt(body: CompletionRequest) -> str:
    if body.suffix:
        raise cannot(body.model or "", t("server.deed_insert"), "suffix")
    if isinstance(body.prompt, list):
        if len(body.prompt) != 1:
            raise UsageError(t("server.only_one", field="prompt"), param="prompt")
        return body.prompt[0]
    if body.prompt is None:
        raise UsageError(t("server.field_required", field="prompt"), param="prompt")
    return body.prompt


def _embeddings(body: EmbeddingRequest, batches: Iterator[Embedded]) -> Response:
    data: list[dict[str, Any]] = []
    tokens = 0
    for batch in batches:
        tokens += batch.tokens
        for row in batch.vectors:
            as_text = body.encoding_format == "base64"
            vector = (
                base64.b64encode(row.astype("<f4").tobytes()).decode() if as_text else row.tolist()
            )
            data.append({"object": "embedding", "index": len(data), "embedding": vector})
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_response({"object": "list", "data": data, "model": body.model, "usage": usage})


def _model(model: Model) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": int(model.modified_at.timestamp()),
        "owned_by": "library",
    }

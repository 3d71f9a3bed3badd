"""OpenAI's endpoints: chat completions and models here, what else there is from its own modules.

Not streaming is the default. Fields of the real API that change nothing here are accepted and
ignored; what would change the answer and cannot be honoured is a 400 that names the field.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ondol.i18n import t
from ondol.long_chat import LongChat
from ondol.parts import Parts
from ondol.server.anthropic import models as anthropic_models
from ondol.server.asked import asked, refuse, reply
from ondol.server.body import JsonRoute, json_response
from ondol.server.grounded.names import listed, named
from ondol.server.openai import audio
from ondol.server.openai import embeddings as openai_embeddings
from ondol.server.openai import text as openai_text
from ondol.server.openai.choices import Choices
from ondol.server.openai.documented import COMPLETION, MODEL, MODELS
from ondol.server.openai.messages import messages_of
from ondol.server.openai.options import biased, chat_options, choices_of, numbered
from ondol.server.openai.reply import ChatReply, error_event
from ondol.server.openai.requests import ChatCompletionRequest
from ondol.server.openai.tools import chat_offer
from ondol.server.responses import routes as responses
from ondol.server.streaming import SSE, in_thread, stream, whole
from ondol.server.verdict import Chat
from ondol.types import GenerateOptions, Token

if TYPE_CHECKING:
    from ondol.models.store import Model


def router(parts: Parts) -> APIRouter:
    """The routes under ``/v1``."""
    routes = APIRouter(prefix="/v1", tags=["openai"], route_class=JsonRoute)

    @routes.post("/chat/completions", responses=COMPLETION)
    async def chat_completions(request: Request, body: ChatCompletionRequest) -> Response:
        """Answer a conversation."""
        source = Choices(lambda: _chats(parts, request, body))
        shape = ChatReply(
            body.model or "",
            as_functions=bool(body.functions) and not body.tools,
            has_logprobs=body.logprobs,
            has_usage=body.has_usage,
            keep_reasoning=body.reasoning_effort != "none",
            choices=choices_of(body),
            each=choices_of(body),
        )
        if body.ondol:
            shape.verdict = source.verdict
        if not body.stream:
            return await whole(request, source, source.noted(shape.whole))
        return await stream(request, source, shape.events(source), SSE, error_event, source.known)

    openai_text.add_routes(routes, parts)
    openai_embeddings.add_routes(routes, parts)
    responses.add_routes(routes, parts)
    audio.add_routes(routes, parts)

    @routes.get("/models", responses=MODELS)
    async def models(request: Request) -> Response:
        """The models on this machine; as Anthropic has them where `anthropic-version` asks."""
        found = [model for model, _ in await in_thread(lambda: listed(parts))]
        if anthropic_models.asks(request):
            return anthropic_models.listing(parts, request, found)
        return json_response({"object": "list", "data": [_model(model) for model in found]})

    @routes.get("/models/{model:path}", responses=MODEL)
    async def model_by_id(request: Request, model: str) -> Response:
        """One model; as Anthropic has it where the header `anthropic-version` asks."""
        found = await in_thread(lambda: named(parts, request, model).view)
        if anthropic_models.asks(request):
            return anthropic_models.single(parts, found)
        return json_response(_model(found))

    return routes


def _chats(parts: Parts, request: Request, body: ChatCompletionRequest) -> list[Chat]:
    what = asked(parts, request, body.model or "", t("server.deed_chat"))
    refuse(what, logit_bias=body.logit_bias)
    messages = messages_of(body, what.model)
    options = chat_options(body, what.model, chat_offer(body))

    def start(wanted: GenerateOptions) -> Iterator[Token]:
        engine = parts.engine(what.model.name)
        given = biased(wanted, body.logit_bias, engine)
        if body.fold:
            return LongChat(engine, messages, given)
        return engine.generate(messages, given)

    return [
        reply(parts, what, messages, numbered(options, number), start, body.wanted)
        for number in range(choices_of(body))
    ]


def _model(model: Model) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": int(model.modified_at.timestamp()),
        "owned_by": "library",
    }

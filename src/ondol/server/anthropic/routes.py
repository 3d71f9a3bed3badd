"""Anthropic's endpoints: messages, and how many tokens they would be.

Written after the types of their SDK. Not streaming is the default. Fields that change nothing here
are accepted and ignored; what would change the answer and cannot be honoured is a 400 that names
the field. A prompt that does not fit is an error, never cut.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.anthropic.documented import COUNTED, ERRORS, MESSAGE
from ondol.server.anthropic.messages import (
    messages_of,
    options_of,
    prompt_options,
    shows_thinking,
)
from ondol.server.anthropic.reply import Reply
from ondol.server.anthropic.requests import MessagesRequest, TokensRequest
from ondol.server.asked import asked, reply
from ondol.server.body import JsonRoute, json_response
from ondol.server.errors import new_request_id
from ondol.server.streaming import SSE, in_thread, stream, whole
from ondol.server.verdict import Chat, Later


def router(parts: Parts) -> APIRouter:
    """The routes under ``/v1/messages``."""
    routes = APIRouter(prefix="/v1/messages", tags=["anthropic"], route_class=JsonRoute)

    @routes.post("", responses={**MESSAGE, **ERRORS})
    async def create_message(request: Request, body: MessagesRequest) -> Response:
        """Answer a conversation, in one piece or as a stream of events."""
        source = Later(lambda: _answers(parts, request, body))
        request_id = new_request_id()
        shape = Reply(
            body.model,
            request_id,
            max_tokens=body.max_tokens,
            shows_thinking=shows_thinking(body),
            hides_thinking=body.thinking is not None and body.thinking.display == "omitted",
        )
        if body.ondol:
            shape.verdict = source.verdict
        if body.stream:
            events = shape.events(source)
            response = await stream(request, source, events, SSE, shape.error_event, source.known)
        else:
            response = await whole(request, source, source.noted(shape.whole))
        response.headers["request-id"] = request_id
        return response

    @routes.post("/count_tokens", responses={**COUNTED, **ERRORS})
    async def count_tokens(request: Request, body: TokensRequest) -> Response:
        """How many tokens a message would read: its system, tools and turns as the model's template
        writes them. What a model reads of documents depends on the question and is not counted."""
        count = await in_thread(lambda: _count(parts, request, body))
        response = json_response({"input_tokens": count})
        response.headers["request-id"] = new_request_id()
        return response

    return routes


def _answers(parts: Parts, request: Request, body: MessagesRequest) -> Chat:
    what = asked(parts, request, body.model, t("server.deed_chat"))
    messages, options = messages_of(body, what.model), options_of(body, what.model)
    name = what.model.name
    return reply(
        parts,
        what,
        messages,
        options,
        lambda wanted: parts.engine(name).generate(messages, wanted),
        body.wanted,
    )


def _count(parts: Parts, request: Request, body: TokensRequest) -> int:
    what = asked(parts, request, body.model, t("server.deed_chat"))
    messages, options = messages_of(body, what.model), prompt_options(body, what.model)
    return len(parts.engine(what.model.name).prompt_tokens(messages, options))

"""OpenAI's ``/v1/responses``: answers that a program can go on from by their id.

What is kept stands in the owner's one database for ``server.responses_days``, for the caller alone
that asked; deleting one erases its bytes. A conversation that is longer than the model's context is
refused, or with ``"truncation": "auto"`` shortened, and the response says by how much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ondol import callers
from ondol.errors import ResponseNotFoundError, UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.asked import Asked, asked, reply
from ondol.server.body import json_response
from ondol.server.fitting import FittingChat, Forgotten
from ondol.server.generation import alternatives
from ondol.server.openai.documented import COUNT, RESPONSE
from ondol.server.openai.messages import check_images
from ondol.server.openai.options import limit_in, think_of
from ondol.server.responses.items import Item, items_of, messages_of
from ondol.server.responses.kept import add_kept_routes, days
from ondol.server.responses.reply import ResponseReply
from ondol.server.responses.requests import ResponseRequest
from ondol.server.responses.tools import Offered, offered
from ondol.server.streaming import SSE, in_thread, stream, whole
from ondol.server.verdict import Chat
from ondol.types import GenerateOptions, Message, Token

if TYPE_CHECKING:
    from ondol.models.store import Model
    from ondol.server.openai.tools import Offer


class PreviousResponseError(UsageError):
    """The response that a request goes on from is not there."""

    code = "previous_response_not_found"
    status = 400


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request asks for: ``items`` is what it sends, ``messages`` the whole conversation."""

    what: Asked
    offered: Offered
    items: list[Item]
    messages: list[Message]
    options: GenerateOptions


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes under ``/v1/responses``."""

    @routes.post("/responses", responses=RESPONSE)
    async def create(request: Request, body: ResponseRequest) -> Response:
        """Answer a conversation, and keep the answer to go on from."""
        plan = await in_thread(lambda: _plan(parts, request, body))
        source, shape = _answer(parts, plan, body)
        if not body.stream:
            return await whole(request, source, source.noted(shape.whole))
        return await stream(request, source, shape.events(source), SSE, shape.failed, source.known)

    @routes.post("/responses/input_tokens", responses=COUNT)
    async def count(request: Request, body: ResponseRequest) -> Response:
        """How many tokens a request has, as the model reads it. What a model reads of documents
        depends on the question and is not counted."""

        def work() -> int:
            plan = _plan(parts, request, body)
            engine = parts.engine(plan.what.model.name)
            return len(engine.prompt_tokens(plan.messages, plan.options))

        tokens = await in_thread(work)
        return json_response({"object": "response.input_tokens", "input_tokens": tokens})

    add_kept_routes(routes, parts)


def _plan(parts: Parts, request: Request, body: ResponseRequest) -> Plan:
    what = asked(parts, request, body.model or "", t("server.deed_chat"))
    body.check()
    offer = offered(body)
    before = _before(parts, body)
    items = items_of(body.input, _finder(parts))
    messages = messages_of(body.instructions, [*before, *items])
    if not messages:
        raise UsageError(t("responses.no_input"), param="input")
    check_images(messages, what.model, body.model or "", "input")
    options = _options(body, what.model, offer.offer)
    if days(parts) == 0:
        parts.kept.responses.expire()  # what is left of a time when they were to be kept
        options = replace(options, keeps_nothing=True)
    return Plan(what, offer, items, messages, options)


def _answer(parts: Parts, plan: Plan, body: ResponseRequest) -> tuple[Chat, ResponseReply]:
    """The tokens of the answer, and who writes it down."""
    forgotten = Forgotten()

    def start(wanted: GenerateOptions) -> Iterator[Token]:
        engine = parts.engine(plan.what.model.name)
        if body.truncation == "auto":
            return FittingChat(engine, plan.messages, wanted, forgotten)
        return engine.generate(plan.messages, wanted)

    source = reply(parts, plan.what, plan.messages, plan.options, start, body.wanted)
    shape = ResponseReply(
        body,
        plan.offered,
        keep=_keeper(parts, body, plan.items, source),
        forgotten=forgotten,
        verdict=source.verdict if body.ondol else None,
    )
    return source, shape


def _before(parts: Parts, body: ResponseRequest) -> list[Item]:
    """What was said in the responses that the request goes on from."""
    previous = body.previous_response_id
    if not previous:
        return []
    try:
        found = parts.kept.responses.chain(callers.current().id, previous, days=days(parts))
    except ResponseNotFoundError:
        told = t("responses.no_previous", id=previous[:80])
        raise PreviousResponseError(told, param="previous_response_id") from None
    return [item for one in found for item in (*one.items, *one.body["output"])]


def _finder(parts: Parts) -> Callable[[str], Item | None]:
    caller = callers.current().id
    return lambda id: parts.kept.responses.item(caller, id, days=days(parts))


def _keeper(
    parts: Parts, body: ResponseRequest, items: list[Item], source: Chat
) -> Callable[[dict[str, Any]], None] | None:
    """Keeps a response with what was sent for it; ``None`` where it is not to be kept."""
    from ondol.conversations.responses import KeptResponse

    if body.store is False or days(parts) == 0:
        return None
    caller = callers.current().id

    def keep(response: dict[str, Any]) -> None:
        quotes = source.answer.quotes if source.answer else ()
        sources = {name for quote in quotes for name in (quote.source, *quote.also_in)}
        kept = KeptResponse(response["id"], body.previous_response_id, items, response)
        parts.kept.responses.keep(caller, kept, sources, days=days(parts))

    return keep


def _options(body: ResponseRequest, model: Model, offer: Offer) -> GenerateOptions:
    format = body.text_format
    schema = {"type": "object"} if format["type"] == "json_object" else format.get("schema")
    effort = body.reasoning.effort if body.reasoning else None
    return GenerateOptions(
        max_tokens=limit_in(body.max_output_tokens, "max_output_tokens"),
        temperature=body.temperature,
        top_p=body.top_p,
        json_schema=schema,
        logprobs=alternatives(body.has_logprobs, body.top_logprobs),
        think=think_of(effort, model, "reasoning.effort"),
        keeps_nothing=body.store is False,
        **offer.options,
    )

"""Ondol's own endpoints, ``/ondol/v1``: ask, search, documents (and ``native_collections``,
``native_models``).

Streams are server-sent events with names; ``stream: false`` gives one JSON object. A wrong field
is a 422 that names it. The web UI and the CLI use these and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from ondol import __version__, callers
from ondol.ask import Event
from ondol.errors import ModelNotFoundError, UsageError
from ondol.i18n import t
from ondol.json import answer_json, escalation_json, evidence_json, hit_json, labelled_json
from ondol.parts import Parts
from ondol.server import clients
from ondol.server.asking import Asking
from ondol.server.body import Flag, JsonRoute, Lenient, json_response
from ondol.server.door.security import check_no_device
from ondol.server.generation import Count, Real, may_hear, role_of, seed_of
from ondol.server.native import activations as native_activations
from ondol.server.native import adapters as native_adapters
from ondol.server.native import attending as native_attending
from ondol.server.native import collections as native_collections
from ondol.server.native import confidence as native_confidence
from ondol.server.native import conversations as native_conversations
from ondol.server.native import engines as native_engines
from ondol.server.native import evaluations as native_evaluations
from ondol.server.native import exploring as native_exploring
from ondol.server.native import federations as native_federations
from ondol.server.native import forget as native_forget
from ondol.server.native import hubs as native_hubs
from ondol.server.native import keys as native_keys
from ondol.server.native import ledger as native_ledger
from ondol.server.native import library as native_library
from ondol.server.native import machine as native_machine
from ondol.server.native import memories as native_memories
from ondol.server.native import models as native_models
from ondol.server.native import onboarding as native_onboarding
from ondol.server.native import packs as native_packs
from ondol.server.native import pairing as native_pairing
from ondol.server.native import personal as native_personal
from ondol.server.native import personas as native_personas
from ondol.server.native import pins as native_pins
from ondol.server.native import pulls as native_pulls
from ondol.server.native import samples as native_samples
from ondol.server.native import settings as native_settings
from ondol.server.native import suggestions as native_suggestions
from ondol.server.native import tuning as native_tuning
from ondol.server.native import updates as native_updates
from ondol.server.native import views as native_views
from ondol.server.native.collections import FilterFields, Wanted, read_question
from ondol.server.native.models import Text, error_event, event
from ondol.server.responses import kept as responses_kept
from ondol.server.streaming import SSE, Source, Work, in_thread, stream, whole
from ondol.server.verdict import with_headers
from ondol.types import (
    Answer,
    Escalation,
    Evidence,
    GenerateOptions,
    Hit,
    Message,
)

if TYPE_CHECKING:
    from ondol.retrieval.ingest import AddReport, Progress

Paths = Annotated[list[Text], Field(min_length=1, max_length=10_000)]


class AskOptions(Lenient):
    max_tokens: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    temperature: Real | None = None
    top_p: Real | None = None
    top_k: Count | None = None
    seed: int | None = None


class Turn(Lenient):
    role: str
    content: str


class AskRequest(Lenient):
    question: Text
    model: Text | None = None
    history: list[Turn] = Field(default_factory=list)
    options: AskOptions | None = None
    filter: FilterFields | None = None
    all: Flag = False
    wanted: Literal["auto", "here", "home"] = "auto"
    redact: Flag | None = None
    pinned: Text | None = None
    stream: bool = True


class SearchRequest(Lenient):
    query: Text
    limit: Annotated[int, Field(ge=1, le=1000)] | None = None
    filter: FilterFields | None = None
    all: Flag = False


class AddRequest(Lenient):
    paths: Paths
    collection: Annotated[Text, Field(max_length=200)] | None = None
    stream: bool = True


def router(parts: Parts) -> APIRouter:
    """The routes under ``/ondol/v1``."""
    routes = APIRouter(prefix="/ondol/v1", tags=["ondol"], route_class=JsonRoute)
    _add_answers(routes, parts)
    _add_documents(routes, parts)
    native_collections.add_routes(routes, parts)
    native_library.add_routes(routes, parts)
    native_forget.add_routes(routes, parts)
    native_ledger.add_routes(routes, parts)
    native_confidence.add_routes(routes, parts)
    native_exploring.add_routes(routes, parts)
    native_views.add_routes(routes, parts)
    native_models.add_routes(routes, parts)
    native_adapters.add_routes(routes, parts)
    native_activations.add_routes(routes, parts)
    native_pulls.add_routes(routes, parts)
    native_machine.add_routes(routes, parts)
    native_conversations.add_all(routes, parts)
    native_settings.add_routes(routes, parts)
    native_samples.add_routes(routes, parts)
    native_suggestions.add_routes(routes, parts)
    native_memories.add_routes(routes, parts)
    native_personas.add_routes(routes, parts)
    native_pins.add_routes(routes, parts)
    native_onboarding.add_routes(routes, parts)
    native_personal.add_routes(routes, parts)
    native_evaluations.add_routes(routes, parts)
    native_tuning.add_routes(routes, parts)
    native_engines.add_routes(routes, parts)
    native_federations.add_routes(routes, parts)
    native_hubs.add_routes(routes, parts)
    native_attending.go_with(routes, parts)
    native_packs.add_routes(routes, parts, native_updates.add_routes(routes, parts))
    responses_kept.add_native_routes(routes, parts)
    clients.add_routes(routes)
    native_pairing.add_routes(routes, parts)
    native_keys.add_routes(routes)
    return routes


def _add_answers(routes: APIRouter, parts: Parts) -> None:
    @routes.get("/health")
    async def health() -> Response:
        """Whether this is Ondol and it is up; needs no key."""
        return json_response({"status": "ok", "name": "ondol", "version": __version__})

    @routes.post("/ask")
    async def ask_documents(request: Request, body: AskRequest) -> Response:
        """Answer from the documents: events ``evidence``, ``token``…, ``answer``; where home is
        asked too, ``escalation`` with the device's draft comes before home's tokens."""
        name = body.model or parts.config["models.chat"]
        if body.model or callers.current().models is not None:
            await in_thread(lambda: _check_model(parts, name))
        history = [Message(role_of(turn.role, "history"), turn.content) for turn in body.history]
        question, where = read_question(body.question, body.filter)
        options = GenerateOptions(**_given(body.options)) if body.options else None
        asking = partial(
            Asking,
            parts,
            question,
            body.redact,
            model=body.model,
            history=history,
            options=options,
            where=where,
            everything=body.all,
            wanted=body.wanted,
            pinned=body.pinned,
        )
        source = Source(asking)
        if not body.stream:
            return await whole(request, source, _last_answer)
        events = (event(*_named(item)) for item in source)
        return await stream(request, source, events, SSE, error_event)

    @routes.post("/search")
    async def search(body: SearchRequest) -> Response:
        """The best passages, or all that match, of the documents that pass the filter; never more
        than ``limit`` where that is given."""
        limit = body.limit or parts.config["retrieval.limit"]
        text, where = read_question(body.query, body.filter)

        def work() -> list[Hit]:
            if body.all:
                return parts.library.search_all(text, where=where)[: body.limit]
            return parts.library.search(text, limit=limit, where=where)

        return json_response({"hits": [hit_json(hit) for hit in await in_thread(work)]})


def _add_documents(routes: APIRouter, parts: Parts) -> None:
    @routes.get("/documents")
    async def documents(given: Annotated[Wanted, Query()]) -> Response:
        """Everything in the library, or what passes the filter."""
        where = given.read()

        def work() -> list[dict[str, Any]]:
            return [labelled_json(one) for one in parts.library.documents(where=where)]

        return json_response({"documents": await in_thread(work)})

    @routes.post("/documents")
    async def add(request: Request, body: AddRequest) -> Response:
        """Add files and folders of this machine: events ``progress``…, ``report``. A phone sends
        files instead."""
        check_no_device(request)
        files = _paths(body.paths)
        source = Source(lambda: _adding(parts, files, body.collection))
        if not body.stream:
            return await whole(request, source, lambda s: json_response(asdict(list(s)[-1])))
        events = (event(_word(item), asdict(item)) for item in source)
        return await stream(request, source, events, SSE, error_event)


def _check_model(parts: Parts, name: str) -> None:
    from ondol.models import scales

    found, _ = scales.of(parts.adapters, name)
    is_heard = may_hear(parts, scales.as_model(parts.adapters, name))
    if not (is_heard and callers.current().may_use(found.name)):
        raise ModelNotFoundError(t("server.model_not_found", model=name))


def _given(options: AskOptions) -> dict[str, Any]:
    return options.model_dump() | {"seed": seed_of(options.seed)}


def _named(item: Event) -> tuple[str, dict[str, Any]]:
    if isinstance(item, Evidence):
        return "evidence", evidence_json(item)
    if isinstance(item, Answer):
        return "answer", answer_json(item)
    if isinstance(item, Escalation):
        return "escalation", escalation_json(item)
    return "token", {"text": item.text, "reasoning": item.reasoning}


def _last_answer(events: Iterator[Event]) -> Response:
    answer = [item for item in events if isinstance(item, Answer)][-1]
    return with_headers(json_response(answer_json(answer)), answer)


def _adding(
    parts: Parts, files: Sequence[Path], collection: str | None
) -> Iterator[Progress | AddReport]:
    def run(
        report: Callable[[Progress | AddReport], None], cancel: threading.Event
    ) -> Progress | AddReport:
        return parts.library.add(files, collection=collection, on_progress=report)

    return Work(run)


def _word(item: Progress | AddReport) -> str:
    return "progress" if hasattr(item, "outcome") else "report"


def _paths(paths: Sequence[str]) -> list[Path]:
    """Absolute paths: a client's folder is not the server's."""
    found = []
    for text in paths:
        path = Path(text) if "\0" not in text else Path()
        if not path.is_absolute() or len(text) > 4000:
            raise UsageError(t("server.relative_path", path=text[:200]), param="paths")
        found.append(path)
    return found

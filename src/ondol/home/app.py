"""Home's ASGI application: its routes, and who may use them.

``POST /v1/chat/completions`` is OpenAI's, streamed or whole; the rest is ours, under ``/home/v1``.
What a device sees of home is its load and its model, nothing of other devices.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import Field
from starlette.exceptions import HTTPException

from ondol import __version__
from ondol.engine import schemas
from ondol.errors import OndolError
from ondol.home.admission import (
    BODY_BYTES,
    DEVICE,
    REQUEST_ID,
    AdmissionMiddleware,
    Gate,
    dialect_of,
    field_bytes,
    request_of,
)
from ondol.home.federation_routes import routes as federation_routes
from ondol.home.registry import Device
from ondol.home.service import Served, Service
from ondol.homes.client import INVITE_FIELD, KEY_FIELD
from ondol.homes.enrolled import shown
from ondol.homes.invite import SECRET_BYTES, Invite
from ondol.i18n import t
from ondol.identity import PUBLIC_KEY_BYTES
from ondol.server import errors
from ondol.server.body import JsonRoute, Lenient, json_response
from ondol.server.generation import cannot
from ondol.server.openai.messages import messages_of
from ondol.server.openai.options import chat_options
from ondol.server.openai.reply import ChatReply, error_event
from ondol.server.openai.requests import ChatCompletionRequest
from ondol.server.openai.tools import Offer
from ondol.server.relay import places
from ondol.server.streaming import SSE, Source, in_thread, stream
from ondol.types import Token

SHORT_THREADS = 64
SPARE_PLACES = 32
JSON = "application/json"
# Stricter than the engine: behind a home may be a server that counts no ways.
LONGEST_SCHEMA_BYTES = 16 * 1024
REFUSED_IN_SCHEMAS = ("pattern", "patternProperties", "$ref", "$dynamicRef")


@dataclass(frozen=True, slots=True)
class Words:
    """All that any model here is asked for: neither tools nor pictures travel."""

    capabilities: tuple[str, ...] = ()


WORDS = Words()


class EnrolRequest(Lenient):
    name: Annotated[str, Field(min_length=1, max_length=64)]


def create_app(
    service: Service,
    gate: Gate,
    name: str,
    num_answers: int,
    note: Callable[[str, Device], None] = lambda kind, device: None,
) -> FastAPI:
    """The app of the home called ``name``; ``num_answers`` requests may be at work or waiting.
    ``note`` is told of devices that come ("enrolment"), leave a federation ("federation"), and go
    ("left")."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = SHORT_THREADS
        places().open(num_answers + SPARE_PLACES)
        yield
        service.close()

    app = FastAPI(
        title="Ondol home",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.include_router(_router(service, gate, name, note))
    app.include_router(federation_routes(gate, name, note))
    for kind in (OndolError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _handle)
    app.add_middleware(AdmissionMiddleware, gate=gate)
    return app


async def _handle(request: Request, error: Exception) -> Response:
    return errors.response(dialect_of(request.url.path), errors.failure_of(error))


def _router(
    service: Service, gate: Gate, name: str, note: Callable[[str, Device], None]
) -> APIRouter:
    routes = APIRouter(route_class=JsonRoute)

    @routes.get("/home/v1/health")
    async def health() -> Response:
        """That a home is here."""
        return json_response({"name": "ondol-home", "version": __version__})

    @routes.post("/home/v1/enrol")
    async def enrol(request: Request, body: EnrolRequest) -> Response:
        """Take in a device that has an invite."""
        raw = await request.body()
        signed = request_of(request.scope, request.headers)
        public_key = field_bytes(signed, KEY_FIELD, PUBLIC_KEY_BYTES)
        invite = Invite("", gate.fingerprint, field_bytes(signed, INVITE_FIELD, SECRET_BYTES))

        def take_in() -> Device:
            gate.check_newcomer(signed, raw, public_key)
            device = gate.registry.enrol(invite, public_key, shown(body.name, "device"))
            note("enrolment", device)
            return device

        device = await in_thread(take_in)
        return json_response({"home": name, "device": device.name})

    @routes.post("/home/v1/leave")
    async def leave(request: Request) -> Response:
        """Forget the device that asks."""
        device: Device = request.scope[DEVICE]
        await in_thread(lambda: gate.registry.remove(device.id))
        await in_thread(lambda: note("left", device))
        return json_response({"left": True})

    @routes.get("/home/v1/state")
    async def state(request: Request) -> Response:
        """The model, and how long an answer would take."""
        device: Device = request.scope[DEVICE]
        return json_response(await in_thread(lambda: _state(service, device)))

    @routes.post("/v1/chat/completions")
    async def chat_completions(request: Request, body: ChatCompletionRequest) -> Response:
        """Answer a conversation."""
        device: Device = request.scope[DEVICE]
        model, _ = await in_thread(service.backend.describe)
        if body.tools or body.functions:
            raise cannot(model, t("server.deed_tools"), "tools")
        messages, options = messages_of(body, WORDS), chat_options(body, WORDS, Offer())
        schemas.check(
            options.json_schema, longest_bytes=LONGEST_SCHEMA_BYTES, refused=REFUSED_IN_SCHEMAS
        )
        reply = ChatReply(
            model,
            has_logprobs=body.logprobs,
            has_usage=body.has_usage,
            keep_reasoning=body.reasoning_effort != "none",
        )

        def whole(tokens: Iterator[Token]) -> Iterator[bytes]:
            yield bytes(reply.whole((0, token) for token in tokens).body)

        def events(tokens: Iterator[Token]) -> Iterator[bytes]:
            return reply.events((0, token) for token in tokens)

        write = events if body.stream else whole
        served = Served(request.scope[REQUEST_ID], device, model, request.scope[BODY_BYTES])
        answering = service.answer(device, messages, options, write, served)
        source = Source(lambda: answering)
        return await stream(request, source, source, SSE if body.stream else JSON, error_event)

    return routes


def _state(service: Service, device: Device) -> dict[str, Any]:
    model, num_ctx = service.backend.describe()
    load = service.load(device)
    return {
        "available": service.backend.is_well,
        "model": model,
        "num_ctx": num_ctx,
        "slots": load.slots,
        "active": load.active,
        "waiting": load.waiting,
        "wait_seconds": round(load.wait_seconds, 3),
        "answer_seconds": load.answer_seconds and round(load.answer_seconds, 3),
        "joules_per_token": service.joules_per_token,
        "ledger": device.ledger,
    }

"""The ASGI application: every route, one handler for every error, security around it all.

Made once per server from the parts of the house. Every route is in the OpenAPI document
(``/openapi.json``) and in ``docs/api.md``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from ondol import __version__
from ondol.errors import OndolError
from ondol.parts import Parts
from ondol.server import errors, openapi
from ondol.server.anthropic import routes as anthropic
from ondol.server.clients import Clients, ClientsMiddleware
from ondol.server.door.access import Access
from ondol.server.door.admission import Admission
from ondol.server.door.limits import LimitsMiddleware
from ondol.server.door.phone import PhoneDoor
from ondol.server.door.security import SecurityMiddleware
from ondol.server.mcp import http as mcp_http
from ondol.server.native import keys as native_keys
from ondol.server.native import pairing as native_pairing
from ondol.server.native import routes as native
from ondol.server.ollama import embed as ollama_embed
from ondol.server.ollama import models as ollama_models
from ondol.server.ollama import routes as ollama
from ondol.server.openai import rerank
from ondol.server.openai import routes as openai
from ondol.server.relay import places
from ondol.server.web import files as web

# Threads for what is short: lists, searches, documents.
SHORT_THREADS = 128
# Answers on their way beside those that may wait for one model.
SPARE_PLACES = 64


def create_app(parts: Parts, phone_door: PhoneDoor | None = None) -> FastAPI:
    """The app that serves ``parts``, by ``phone_door`` too from its start where that is bound.
    Raises ``ConfigError`` when a security setting is unsafe."""
    door = phone_door or PhoneDoor(parts.config)
    pairing = native_pairing.open_pairing()
    rules = Access.from_config(parts.config)
    access = replace(rules, phone_names=lambda: door.names)
    keys = native_keys.open_keys()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # The engine's queue, not ours, says when a model's is full.
        current_default_thread_limiter().total_tokens = SHORT_THREADS
        places().open(parts.config["engine.max_queue"] + SPARE_PLACES)
        if phone_door is not None:
            await door.open(app)
        try:
            yield
        finally:
            await door.close()
            pairing.close()
            keys.close()

    app = FastAPI(
        title="Ondol",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.phone_door, app.state.pairing, app.state.keys = door, pairing, keys
    app.get("/", response_class=PlainTextResponse, tags=["ollama"])(_root)
    app.head("/", include_in_schema=False)(_root)
    for module in (ollama, ollama_embed, ollama_models, openai, anthropic, rerank, native):
        app.include_router(module.router(parts))
    app.routes.append(mcp_http.route(parts))
    app.include_router(web.router())
    for kind in (OndolError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, errors.handle)
    openapi.describe(app)
    app.state.clients = clients = Clients()
    app.add_middleware(ClientsMiddleware, clients=clients)
    app.add_middleware(LimitsMiddleware)
    admission = Admission(access, pairing, keys)
    app.add_middleware(SecurityMiddleware, access=access, admission=admission)
    return app


async def _root(request: Request) -> Response:
    """The web app for a browser; what programs that look for Ollama want to read for them."""
    if web.wants_page(request):
        return web.send(request, "index.html")
    return PlainTextResponse("Ollama is running", headers={"Vary": "Accept"})

"""The ASGI application: every route, one handler for every error, security around it all.

Made once per server from the parts of the house. Every route is in the OpenAPI document
(``/openapi.json``) and in ``docs/api.md``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from ondol import __version__
from ondol.errors import OndolError
from ondol.parts import Parts
from ondol.server import errors, native, ollama, ollama_embed, ollama_models, openai, rerank
from ondol.server.security import Access, SecurityMiddleware

# Threads for what is not a waiting request: lists, searches, documents.
SPARE_THREADS = 64


def create_app(parts: Parts) -> FastAPI:
    """The app that serves ``parts``. Raises ``ConfigError`` when a security setting is unsafe."""
    access = Access.from_config(parts.config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # A waiting request holds a thread; the engine's queue, not ours, says when it is full.
        current_default_thread_limiter().total_tokens = (
            parts.config["engine.max_queue"] + SPARE_THREADS
        )
        yield

    app = FastAPI(
        title="Ondol",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.get("/", response_class=PlainTextResponse, tags=["ollama"])(_root)
    app.head("/", include_in_schema=False)(_root)
    for module in (ollama, ollama_embed, ollama_models, openai, rerank, native):
        app.include_router(module.router(parts))
    for kind in (OndolError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, errors.handle)
    app.add_middleware(SecurityMiddleware, access=access)
    return app


async def _root() -> PlainTextResponse:
    """What programs that look for Ollama want to read."""
    return PlainTextResponse("Ollama is running")

"""Updates while the server is up: the health of what was switched to, the daily look at hubs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI

from ondol.parts import Parts
from ondol.server.streaming import in_thread
from ondol.updating.attending import Attending


def go_with(routes: APIRouter, parts: Parts) -> None:
    """Begin and end with the app of ``routes``."""
    before = routes.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with before(app) as state:
            attending = Attending(parts)
            attending.start()
            try:
                yield state
            finally:
                await in_thread(attending.close)

    routes.lifespan_context = lifespan

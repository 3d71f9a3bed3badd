"""Ondol's own endpoints for how a model runs best here: what is in force, a tuning that goes on in
the server, and the way back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query
from fastapi.responses import Response
from pydantic import Field

from ondol.lab.tuning.jobs import Jobs, Wanted
from ondol.lab.tuning.surroundings import tunable
from ondol.models import tuned
from ondol.parts import Parts
from ondol.server.body import Flag, Lenient, json_response
from ondol.server.native.collections import Text
from ondol.server.streaming import in_thread

Name = Annotated[Text, Field(max_length=400)]


class TunedModel(Lenient):
    model: Name


class NewTuning(TunedModel):
    """``apply`` is a format, by default the best; ``dry_run`` changes nothing; ``quick`` measures
    each once, without questions."""

    apply: Annotated[Text, Field(max_length=40)] | None = None
    dry_run: Flag = False
    quick: Flag = False


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about tuning; what runs is stopped when the app ends."""
    jobs = Jobs(parts)
    _end_with_app(routes, jobs)

    @routes.get("/tuning")
    async def tuning(model: Annotated[str, Query(max_length=400)] = "") -> Response:
        """What a model was tuned to, null where it is served as it came; and how the tuning stands
        that runs."""

        def work() -> dict[str, Any]:
            # Before the record: what is said to be done here is in it.
            running = jobs.now.json() if jobs.now else None
            found = tunable(parts, model or parts.config["models.chat"])
            record = tuned.recorded(parts.store, found)
            return {
                "model": found.name,
                "tuned": record and _record(record, tuned.tuned(parts.store, found) is not None),
                "running": running,
            }

        return json_response(await in_thread(work))

    @routes.post("/tuning")
    async def start(body: NewTuning) -> Response:
        """Tune in the background (201), one model at a time."""
        wanted = Wanted(body.model, body.apply or "", body.dry_run, body.quick)
        return json_response(await in_thread(lambda: jobs.start(wanted).json()), 201)

    @routes.delete("/tuning/running")
    async def stop() -> Response:
        """Stop the tuning that runs, after its step; nothing is changed."""

        def work() -> dict[str, Any]:
            now = jobs.stop()
            return {"running": now.json() if now else None}

        return json_response(await in_thread(work))

    @routes.delete("/tuning")
    async def undo(body: TunedModel) -> Response:
        """Serve a model as it came again."""

        def work() -> dict[str, Any]:
            found = tunable(parts, body.model)
            freed = tuned.undo(parts.store, found)
            return {"model": found.name, "undone": freed is not None, "freed_bytes": freed or 0}

        return json_response(await in_thread(work))


def _record(record: tuned.Tuned, is_here: bool) -> dict[str, Any]:
    return {
        "format": record.format,
        "size_bytes": record.file.size_bytes if record.file else None,
        "running": dict(record.running),
        "engine": record.engine,
        "applied_at": record.applied_at,
        "in_force": is_here,
        "measured": dict(record.measured),
    }


def _end_with_app(routes: APIRouter, jobs: Jobs) -> None:
    before = routes.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with before(app) as state:
            try:
                yield state
            finally:
                await in_thread(jobs.close)

    routes.lifespan_context = lifespan

"""Ondol's own endpoints for how good models are: evaluations that go on in the server, their
history, and two of them beside each other. Scores only: what was asked and said is kept nowhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query
from fastapi.responses import Response
from pydantic import Field

from ondol.lab.evaluating import golden, suites
from ondol.lab.evaluating.evaluate import Wanted
from ondol.lab.evaluating.history import History
from ondol.lab.evaluating.jobs import Jobs
from ondol.lab.evaluating.results import compared
from ondol.parts import Parts
from ondol.server.body import Flag, Lenient, json_response
from ondol.server.native.collections import Text
from ondol.server.streaming import in_thread

Name = Annotated[Text, Field(max_length=400)]


class NewEvaluation(Lenient):
    """No ``suites`` mean all of them; ``golden`` by default where there are any and no suites are
    named; ``quick`` asks every third item of a suite."""

    model: Name | None = None
    suites: Annotated[list[Name], Field(max_length=20)] = Field(default_factory=list)
    golden: Flag | None = None
    quick: Flag = False


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about evaluations; what runs is stopped when the app ends."""
    jobs = Jobs(parts)
    _end_with_app(routes, jobs)

    @routes.get("/evaluations")
    async def evaluations(
        model: Annotated[str, Query(max_length=400)] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """The history, the latest first; what can be asked; and how the one that runs stands."""

        def work() -> dict[str, Any]:
            # Before the history: what is said to be done here is in it.
            running = jobs.now.json() if jobs.now else None
            with History.open() as history:
                found = [one.json() for one in history.all(model, limit)]
            return {
                "evaluations": found,
                "suites": [
                    {"name": name, "items": len(suites.load(name))} for name in suites.SUITES
                ],
                "golden": len(golden.items(parts)[0]),
                "running": running,
            }

        return json_response(await in_thread(work))

    @routes.post("/evaluations")
    async def start(body: NewEvaluation) -> Response:
        """Evaluate in the background (201), one at a time."""
        wanted = Wanted(body.model or "", tuple(body.suites), body.golden, body.quick)
        return json_response(await in_thread(lambda: jobs.start(wanted).json()), 201)

    @routes.delete("/evaluations/running")
    async def stop() -> Response:
        """Stop the one that runs; nothing of it is kept."""

        def work() -> dict[str, Any]:
            now = jobs.stop()
            return {"running": now.json() if now else None}

        return json_response(await in_thread(work))

    @routes.get("/evaluations/{evaluation}")
    async def one(evaluation: str, before: Annotated[str, Query(max_length=400)] = "") -> Response:
        """One evaluation; with ``before`` also what changed since that other one."""

        def work() -> dict[str, Any]:
            with History.open() as history:
                found = history.get(evaluation)
                if not before:
                    return found.json()
                changes = compared(history.get(before), found)
            return found.json() | {"changes": [change.json() for change in changes]}

        return json_response(await in_thread(work))

    @routes.delete("/evaluations/{evaluation}")
    async def remove(evaluation: str) -> Response:
        """Take an evaluation out of the history."""

        def work() -> dict[str, str]:
            with History.open() as history:
                return {"removed": history.remove(evaluation).id}

        return json_response(await in_thread(work))


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

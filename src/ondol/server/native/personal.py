"""Ondol's own endpoints for a model that becomes its owner's: what there is to learn from, the
trainings that go on in the server, what they made, and the same prompts before and after.

Adapters are activated and rolled back by the endpoints about adapters; samples and sources have
endpoints of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Query
from fastapi.responses import Response
from pydantic import Field

from ondol import idle
from ondol.errors import OndolError
from ondol.json import adapter_json
from ondol.models.adapters import Adapter
from ondol.parts import Parts
from ondol.personal import comparing, standing
from ondol.personal.collecting import collect, source_of
from ondol.personal.examples import FEWEST_HELD_OUT, FEWEST_LEARNED, lesson
from ondol.personal.planning import plan
from ondol.personal.runs import Runs
from ondol.personal.standing import Training
from ondol.server.body import Flag, Lenient, json_response
from ondol.server.native.collections import Text
from ondol.server.streaming import in_thread

Name = Annotated[Text, Field(max_length=80)]
COUNTED = ("sft", "preference", "thumb", "held_out")


class NewTraining(Lenient):
    """``sources`` are ids, by default all; ``epochs`` and ``r`` suit the model by default."""

    model: Text | None = None
    name: Name = "style"
    task: Literal["auto", "sft", "dpo", "kto"] = "auto"
    sources: Annotated[list[Name], Field(max_length=1000)] = Field(default_factory=list)
    epochs: Annotated[float, Field(ge=0.01, le=100)] | None = None
    r: Annotated[int, Field(ge=1, le=256)] | None = None
    when_idle: Flag = False


class Comparing(Lenient):
    """``adapter`` is a full name, ``sample`` the id of one that was held out."""

    adapter: Text
    sample: Text


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about personal training; what runs is paused when the app ends."""
    runs = Runs(parts, idle.is_answering)
    _end_with_app(routes, runs)

    @routes.get("/personal")
    async def personal(model: Annotated[str, Query(max_length=400)] = "") -> Response:
        """What there is to learn from, the trainings, and the adapters they made."""
        return json_response(await in_thread(lambda: _overview(parts, runs, model)))

    @routes.post("/personal/trainings")
    async def start(body: NewTraining) -> Response:
        """Train in the background (201); the very same training, interrupted, goes on."""

        def work() -> dict[str, Any]:
            collect(parts)
            given = body.model_dump(exclude={"model", "sources"})
            model = parts.store.get(body.model or parts.config["models.chat"]).name
            return runs.start(Training(model=model, sources=tuple(body.sources), **given)).json()

        return json_response(await in_thread(work), 201)

    @routes.get("/personal/trainings/{training}")
    async def one(training: str) -> Response:
        """How a training stands, and its losses so far."""

        def work() -> dict[str, Any]:
            return runs.get(training).json() | {"losses": standing.curve(training)}

        return json_response(await in_thread(work))

    @routes.post("/personal/trainings/{training}/pause")
    async def pause(training: str) -> Response:
        """Stop a training after its step and keep what was learned."""
        return json_response(await in_thread(lambda: runs.pause(training).json()))

    @routes.post("/personal/trainings/{training}/resume")
    async def resume(training: str) -> Response:
        """Go on with a training that is paused or failed."""
        return json_response(await in_thread(lambda: runs.resume(training).json()))

    @routes.delete("/personal/trainings/{training}")
    async def cancel(training: str) -> Response:
        """Give a training up and erase its folder; of a finished one the adapter stays."""
        await in_thread(lambda: runs.cancel(training))
        return json_response({"removed": training})

    @routes.post("/personal/comparisons")
    async def compare(body: Comparing) -> Response:
        """What a model says to a held-out prompt, without and with an adapter."""

        def work() -> dict[str, Any]:
            return comparing.compare(parts, body.adapter, body.sample).json()

        return json_response(await in_thread(work))


def _overview(parts: Parts, runs: Runs, model: str) -> dict[str, Any]:
    collect(parts)
    name = model or parts.config["models.chat"]
    samples = parts.kept.samples
    counts = samples.counts()
    taught = lesson(samples.all())
    sources = [
        {"id": one.id, "kind": one.kind, "name": one.name, "consented_at": one.consented_at}
        | {kind: counts.get(one.id, {}).get(kind, 0) for kind in COUNTED}
        for one in samples.sources()
    ]
    return {
        "model": name,
        "samples": {kind: sum(one.get(kind, 0) for one in counts.values()) for kind in COUNTED},
        "learned": len(taught.examples),
        "held_out": len(taught.checks),
        "fewest": {"learned": FEWEST_LEARNED, "held_out": FEWEST_HELD_OUT},
        "sources": sources,
        "feedback": {
            "is_agreed": source_of(parts) is not None,
            "answers": len(parts.kept.conversations.opinions.all()),
        },
        "error": _error(parts, name),
        "trainings": [one.json() for one in runs.list()],
        "adapters": _adapters(parts, name),
        "prompts": comparing.prompts(parts),
    }


def _error(parts: Parts, model: str) -> dict[str, str] | None:
    """Why a training of everything may not begin, if it may not."""
    try:
        plan(parts, Training(model=parts.store.get(model).name))
    except OndolError as error:
        return {"code": error.code, "message": error.message, "hint": error.hint}
    return None


def _adapters(parts: Parts, model: str) -> list[dict[str, Any]]:
    """Those of ``model`` that personal trainings made, the latest first."""
    try:
        here = parts.adapters.list(model)
        name = parts.store.get(model).name
    except OndolError:
        return []
    active = parts.kept.activations.active(name)
    own = [one for one in here if one.trained_on.get("task") == "style"]
    own.sort(key=lambda one: one.created_at, reverse=True)
    return [_adapter_json(one, active.get(one.name)) for one in own]


def _adapter_json(adapter: Adapter, scale: float | None) -> dict[str, Any]:
    return adapter_json(adapter) | {
        "is_active": scale is not None and not adapter.is_candidate,
        "scale": scale,
        "is_candidate": adapter.is_candidate,
    }


def _end_with_app(routes: APIRouter, runs: Runs) -> None:
    before = routes.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with before(app) as state:
            try:
                yield state
            finally:
                await in_thread(runs.close)

    routes.lifespan_context = lifespan

"""Ondol's own endpoints about models: installed, in the catalogue, pulled, removed.

Also how a native event is written, for ``native``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import StringConstraints

from ondol import callers
from ondol.errors import ModelError
from ondol.json import model_json
from ondol.parts import Parts
from ondol.server.body import Lenient, json_response, to_bytes
from ondol.server.errors import Failure, body_in
from ondol.server.ollama.models import check_source, pulling
from ondol.server.streaming import SSE, Source, in_thread, stream, whole

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class NamedModel(Lenient):
    model: Text


class PullModel(NamedModel):
    stream: bool = True


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about models."""

    @routes.get("/models")
    async def models() -> Response:
        """The models on this machine, those that the caller's key is for."""
        found = await in_thread(parts.store.list)
        caller = callers.current()
        usable = [model_json(model) for model in found if caller.may_use(model.name)]
        return json_response({"models": usable})

    @routes.delete("/models")
    async def remove(body: NamedModel) -> Response:
        """Remove a model, its adapters too; answers that it is giving are finished."""

        def work() -> int:
            parts.adapters.refuse(body.model, "remove")
            with suppress(ModelError):
                # A damaged one is in nobody's memory, and can be removed all the same.
                parts.pool.stop(parts.store.get(body.model).name)
                parts.adapters.forget_private(body.model)
            return parts.store.remove(body.model)

        return json_response({"freed_bytes": await in_thread(work)})

    @routes.get("/catalog")
    async def catalog() -> Response:
        """The models that can be pulled, best for this machine first, and whether they fit."""
        return json_response({"models": await in_thread(_catalog)})

    @routes.post("/models/pull")
    async def pull(request: Request, body: PullModel) -> Response:
        """Fetch a model: events ``progress``…, ``model``."""
        check_source(request, body.model)
        source = Source(lambda: pulling(parts, body.model))

        def done() -> dict[str, Any]:
            return model_json(parts.store.get(body.model))

        if not body.stream:
            return await whole(request, source, lambda s: json_response(list(s) and done()))

        def events() -> Iterator[bytes]:
            for progress in source:
                yield event("progress", asdict(progress))
            yield event("model", done())

        return await stream(request, source, events(), SSE, error_event)


def _catalog() -> list[dict[str, Any]]:
    from ondol.models import catalog
    from ondol.models.hardware import machine
    from ondol.models.recommendation import recommend

    here, entries = machine(), catalog.load()
    kinds = dict.fromkeys(entry.kind for entry in entries)
    return [
        {
            "name": fit.entry.name,
            "kind": fit.entry.kind,
            "size_bytes": fit.entry.size_bytes,
            "parameters": fit.entry.parameters,
            "licence": fit.entry.licence,
            "context_length": fit.entry.context_length,
            "family": fit.entry.family,
            "quantization": fit.entry.quantization,
            "note": fit.entry.note,
            "good_for": list(fit.entry.good_for),
            "languages": list(fit.entry.languages),
            "fits": fit.fits,
            "need_bytes": fit.need_bytes,
            "why": fit.why,
        }
        for kind in kinds
        for fit in recommend(entries, here, kind=kind, limit=len(entries), include_unfit=True)
    ]


def event(name: str, value: object) -> bytes:
    """One named server-sent event."""
    return b"event: " + name.encode() + b"\ndata: " + to_bytes(value) + b"\n\n"


def error_event(failure: Failure) -> bytes:
    """The event that ends a stream that failed."""
    return event("error", body_in("native", failure))

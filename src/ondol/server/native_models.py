"""Ondol's own endpoints about models: installed, in the catalogue, pulled, loaded; and adapters.

Also how a native event is written, for ``native``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import StringConstraints

from ondol.errors import ModelError
from ondol.json import adapter_json, model_json
from ondol.parts import Parts
from ondol.server.body import Lenient, json_response, to_bytes
from ondol.server.errors import Failure, body_in
from ondol.server.ollama_models import pulling
from ondol.server.streaming import SSE, Source, in_thread, stream, whole

if TYPE_CHECKING:
    from ondol.engine.pool import LoadedModel

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class NamedModel(Lenient):
    model: Text


class PullModel(NamedModel):
    stream: bool = True


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about models."""

    @routes.get("/models")
    async def models() -> Response:
        """The models on this machine."""
        found = await in_thread(parts.store.list)
        return json_response({"models": [model_json(model) for model in found]})

    @routes.get("/adapters")
    async def adapters() -> Response:
        """The adapters of the models on this machine."""
        found = await in_thread(parts.adapters.list)
        return json_response({"adapters": [adapter_json(adapter) for adapter in found]})

    @routes.get("/adapters/{adapter:path}")
    async def adapter_by_name(adapter: str) -> Response:
        """All about the adapter ``model:adapter``."""
        found = await in_thread(lambda: parts.adapters.find(adapter))
        return json_response(adapter_json(found))

    @routes.delete("/adapters/{adapter:path}")
    async def remove_adapter(adapter: str) -> Response:
        """Remove the adapter ``model:adapter``; answers that use it are finished."""

        def work() -> int:
            found = parts.adapters.find(adapter)
            return parts.adapters.remove(found.model, found.name)

        return json_response({"freed_bytes": await in_thread(work)})

    @routes.get("/catalog")
    async def catalog() -> Response:
        """The models that can be pulled, best for this machine first, and whether they fit."""
        return json_response({"models": await in_thread(_catalog)})

    @routes.post("/models/pull")
    async def pull(request: Request, body: PullModel) -> Response:
        """Fetch a model: events ``progress``…, ``model``."""
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

    @routes.get("/loaded")
    async def loaded() -> Response:
        """The models in memory."""

        def work() -> list[dict[str, Any]]:
            return [_loaded_json(model) for model in parts.pool.loaded()]

        return json_response({"loaded": await in_thread(work)})

    @routes.delete("/loaded")
    async def stop(body: NamedModel) -> Response:
        """Free the memory of a model; ``stopped`` is false when it was not loaded."""

        def work() -> bool:
            try:
                model, _ = parts.adapters.resolve(body.model)
            except ModelError:
                # Another process may have removed what is still in memory here.
                if parts.pool.stop(body.model):
                    return True
                raise
            return parts.pool.stop(model.name)

        return json_response({"stopped": await in_thread(work)})


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
            "good_for": list(fit.entry.good_for),
            "languages": list(fit.entry.languages),
            "fits": fit.fits,
            "need_bytes": fit.need_bytes,
            "why": fit.why,
        }
        for kind in kinds
        for fit in recommend(entries, here, kind=kind, limit=len(entries), include_unfit=True)
    ]


def _loaded_json(model: LoadedModel) -> dict[str, Any]:
    return {
        "model": model.name,
        "digest": model.digest,
        "size_bytes": model.size_bytes,
        "num_ctx": model.num_ctx,
        "expires_at": model.expires_at.isoformat() if model.expires_at else None,
        "in_use": model.in_use,
    }


def event(name: str, value: object) -> bytes:
    """One named server-sent event."""
    return b"event: " + name.encode() + b"\ndata: " + to_bytes(value) + b"\n\n"


def error_event(failure: Failure) -> bytes:
    """The event that ends a stream that failed."""
    return event("error", body_in("native", failure))

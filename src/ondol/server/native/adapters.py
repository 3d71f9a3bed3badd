"""Ondol's own endpoints about adapters: listed, shown, removed, written out, compared, merged."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from pydantic import Field

from ondol.json import adapter_json
from ondol.parts import Parts
from ondol.personal import merging
from ondol.server.body import Lenient, json_response
from ondol.server.native.collections import Text
from ondol.server.streaming import in_thread

Weight = Annotated[float, Field(ge=0, le=1e6)]


class MergedAdapters(Lenient):
    """Full names, each with a weight (all the same, when none are given); ``r`` 0 is the largest
    of their ranks; the new adapter is ``name`` with ``-candidate``."""

    adapters: list[Text] = Field(max_length=16)
    name: Text
    weights: list[Weight] | None = Field(None, max_length=16)
    r: int = Field(0, ge=0, le=512)


class ComparedAdapters(Lenient):
    """Two full names."""

    adapters: list[Text] = Field(min_length=2, max_length=2)


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about adapters; what ends in a word stands before what does not."""

    @routes.get("/adapters")
    async def adapters() -> Response:
        """The adapters of the models on this machine."""
        found = await in_thread(parts.adapters.list)
        return json_response({"adapters": [adapter_json(adapter) for adapter in found]})

    @routes.post("/adapters/merge")
    async def merge(body: MergedAdapters) -> Response:
        """Merge adapters of one model into a candidate: the average of what they add."""

        def work() -> dict[str, Any]:
            made = merging.merge(parts, body.adapters, body.name, weights=body.weights, r=body.r)
            return {"adapter": adapter_json(made.adapter), "kept": round(made.kept, 6)}

        return json_response(await in_thread(work))

    @routes.post("/adapters/compare")
    async def compare(body: ComparedAdapters) -> Response:
        """How much two adapters change, and how alike they are."""
        found = await in_thread(lambda: merging.compare(parts, *body.adapters))
        return json_response(found.json())

    @routes.get("/adapters/{adapter:path}/file")
    async def file(adapter: str) -> Response:
        """The GGUF file of the adapter `model:adapter`."""

        def work() -> FileResponse:
            found = parts.adapters.find(adapter)
            path = parts.adapters.path(found)
            return FileResponse(path, media_type="application/gguf", filename=f"{found.name}.gguf")

        return await in_thread(work)

    @routes.get("/adapters/{adapter:path}")
    async def adapter_by_name(adapter: str) -> Response:
        """All about the adapter `model:adapter`."""
        found = await in_thread(lambda: parts.adapters.find(adapter))
        return json_response(adapter_json(found))

    @routes.delete("/adapters/{adapter:path}")
    async def remove_adapter(adapter: str) -> Response:
        """Remove the adapter `model:adapter`; answers that use it are finished."""

        def work() -> int:
            found = parts.adapters.find(adapter)
            return parts.adapters.remove(found.model, found.name)

        return json_response({"freed_bytes": await in_thread(work)})

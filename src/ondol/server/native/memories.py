"""Ondol's own endpoints for memories: what the owner wants remembered, seen, changed, contradicted,
taken along, erased."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.json import labelled_json, sensitivity_of
from ondol.memory import saying
from ondol.memory.carrying import as_json
from ondol.parts import Parts
from ondol.server.body import Lenient, json_response
from ondol.server.conversing.remembering import learned_json
from ondol.server.native.collections import Text, Word
from ondol.server.streaming import in_thread

Kind = Literal["fact", "preference"]
Number = Annotated[int, Field(ge=1, lt=2**53)]


class NewMemory(Lenient):
    """Without ``kind`` the words of ``text`` say it. With ``beside`` it takes the place of
    nothing, whatever it contradicts."""

    text: Text
    kind: Kind | None = None
    sensitivity: Word = "private"
    beside: bool = False


class MemoryChange(Lenient):
    text: Text | None = None
    kind: Kind | None = None
    sensitivity: Word | None = None


class Erasing(Lenient):
    """Either ``ids`` or, with ``all``, everything that is remembered."""

    ids: Annotated[list[Text], Field(max_length=10_000)] | None = None
    all: bool = False


class Restoring(Lenient):
    """Which version; with ``beside`` what holds now goes on holding."""

    number: Number
    beside: bool = False


class Export(Lenient):
    """What ``GET /memories/export`` gave."""

    memories: Annotated[list[dict[str, Any]], Field(max_length=10_000)] | None = None
    personas: Annotated[list[dict[str, Any]], Field(max_length=1000)] | None = None


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about memories."""
    _add_all(routes, parts)
    _add_histories(routes, parts)

    @routes.get("/memories/export")
    async def export() -> Response:
        """Everything that is remembered, with its versions, and the personas."""
        return json_response(
            await in_thread(lambda: as_json(parts.kept.memories.carrying.everything()))
        )

    @routes.post("/memories/import")
    async def take_in(body: Export) -> Response:
        """Take in what was exported: it adds to what is here and replaces nothing."""
        given = body.model_dump(exclude_none=True)
        return json_response(
            asdict(await in_thread(lambda: parts.kept.memories.carrying.take_in(given)))
        )


def _add_all(routes: APIRouter, parts: Parts) -> None:
    @routes.get("/memories")
    async def memories(
        query: Annotated[str, Query(max_length=400)] = "",
        kind: Annotated[Kind | None, Query()] = None,
    ) -> Response:
        """What is remembered, the latest first; with ``query`` what holds all of its words."""

        def work() -> list[dict[str, Any]]:
            return [labelled_json(one) for one in parts.kept.memories.all(query, kind=kind or "")]

        return json_response({"memories": await in_thread(work)})

    @routes.post("/memories")
    async def add(body: NewMemory) -> Response:
        """Remember something. It is private unless said otherwise, and takes the place of what it
        contradicts."""
        level = sensitivity_of(body.sensitivity)
        text = saying.unordered(body.text)
        kind = body.kind or saying.kind_of(text)
        learned = await in_thread(
            lambda: parts.kept.memories.learn(
                text, kind=kind, sensitivity=level, beside=body.beside
            )
        )
        return json_response(learned_json(learned), 201)

    @routes.patch("/memories/{id}")
    async def edit(id: str, body: MemoryChange) -> Response:
        """Change a memory; no byte of an old text is left."""
        level = None if body.sensitivity is None else sensitivity_of(body.sensitivity)
        changed = await in_thread(
            lambda: parts.kept.memories.edit(id, text=body.text, kind=body.kind, sensitivity=level)
        )
        return json_response(labelled_json(changed))

    @routes.delete("/memories/{id}")
    async def erase(id: str) -> Response:
        """Erase a memory and its versions for good."""
        return json_response(asdict(await in_thread(lambda: parts.kept.memories.erase([id]))))

    @routes.delete("/memories")
    async def erase_many(body: Erasing) -> Response:
        """Erase memories for good: ``ids``, or ``all``, which takes suggestions along."""
        if body.all == (body.ids is not None):
            raise UsageError(t("memory.which"), param="ids")
        ids = None if body.all else body.ids
        return json_response(asdict(await in_thread(lambda: parts.kept.memories.erase(ids))))


def _add_histories(routes: APIRouter, parts: Parts) -> None:
    @routes.get("/memories/{id}/history")
    async def history(id: str) -> Response:
        """What a memory said before, the latest first."""
        found = await in_thread(lambda: parts.kept.memories.history.of(id))
        return json_response({"history": [labelled_json(one) for one in found]})

    @routes.post("/memories/{id}/restore")
    async def restore(id: str, body: Restoring) -> Response:
        """Have a memory say again what it said before; what it says now goes to its history."""
        memory = await in_thread(
            lambda: parts.kept.memories.history.restore(id, body.number, beside=body.beside)
        )
        return json_response(labelled_json(memory))

    @routes.delete("/memories/{id}/history")
    async def erase_history(id: str) -> Response:
        """Erase everything that a memory said before."""
        erased = await in_thread(lambda: parts.kept.memories.history.erase(id))
        return json_response({"versions": erased.memories, "is_erased": erased.is_erased})

    @routes.delete("/memories/{id}/history/{number}")
    async def erase_version(id: str, number: Number) -> Response:
        """Erase one of the things that a memory said before."""
        erased = await in_thread(lambda: parts.kept.memories.history.erase(id, number))
        return json_response({"versions": erased.memories, "is_erased": erased.is_erased})

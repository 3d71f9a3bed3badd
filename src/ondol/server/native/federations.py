"""Ondol's own endpoints for learning together: the federations that this device belongs to, what a
code would have it join, what may teach, what the next round would send, and the way out.

What this machine coordinates as a home is shown, and nothing more: to run it is
``ondol home federation``.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from ondol.household import consent, joining, leaving, preview, readiness, taking_part
from ondol.household.coordinated import CoordinatedHere
from ondol.household.federations import Federation, Federations
from ondol.parts import Parts
from ondol.server.body import Lenient, json_response
from ondol.server.door.security import check_no_device
from ondol.server.native.collections import Text
from ondol.server.native.federating import Federating
from ondol.server.streaming import in_thread

Code = Annotated[Text, Field(max_length=4000)]
Names = Annotated[list[Annotated[Text, Field(max_length=80)]], Field(max_length=1000)]
Folders = Annotated[list[Text], Field(max_length=1000)]


class Looking(Lenient):
    """``code`` is an invite's."""

    code: Code


class Consent(Lenient):
    """What may teach: ``sources`` of samples by id, ``folders`` of documents with questions (as
    they were, where none are given)."""

    sources: Names = Field(default_factory=list)
    folders: Folders | None = None


class Joining(Consent):
    """``plan`` is the digest of what was looked at: nothing else is joined."""

    code: Code
    plan: Annotated[Text, Field(max_length=64)] = ""


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about federations; the device takes part while the app is up."""
    federating = Federating(parts)
    federating.go_with(routes)
    _add_one(routes, parts, federating)

    @routes.get("/federations")
    async def federations() -> Response:
        """The federations that this device belongs to and those that it is the home of, each with
        its rounds."""

        def work() -> dict[str, Any]:
            with Federations.open() as kept, CoordinatedHere.open() as here:
                found, coordinated = kept.all(), here.all()
            shown = [_shown(parts, federating, one) for one in found]
            return {"federations": shown, "coordinated": coordinated}

        return json_response(await in_thread(work))

    @routes.post("/federations/look")
    async def look(body: Looking) -> Response:
        """What a code is for, what it costs in privacy and what home can see: joins nothing, and
        leaves the code as good as it was."""
        return json_response(await in_thread(lambda: joining.look(parts, body.code).json()))

    @routes.post("/federations")
    async def join(request: Request, body: Joining) -> Response:
        """Join what a code is for (201); only what is named may teach."""
        _check_folders(request, body)

        def work() -> dict[str, Any]:
            made = joining.join(
                parts, body.code, body.sources, body.folders or (), expected=body.plan
            )
            federating.look()
            return _shown(parts, federating, made)

        return json_response(await in_thread(work), 201)


def _add_one(routes: APIRouter, parts: Parts, federating: Federating) -> None:
    @routes.get("/federations/{federation}")
    async def one(federation: str) -> Response:
        """How a federation stands, and its rounds so far."""
        return json_response(await in_thread(lambda: _shown(parts, federating, _get(federation))))

    @routes.get("/federations/{federation}/preview")
    async def would_be_sent(federation: str) -> Response:
        """What the next round would send, and what home can see of it."""
        return json_response(
            await in_thread(lambda: preview.preview(parts, _get(federation).id).json())
        )

    @routes.put("/federations/{federation}/consent")
    async def agree(request: Request, federation: str, body: Consent) -> Response:
        """From the next round on these may teach, and nothing else."""
        _check_folders(request, body)

        def work() -> dict[str, Any]:
            id = _get(federation).id
            consent.give(parts, id, body.sources, body.folders)
            return _shown(parts, federating, _get(id))

        return json_response(await in_thread(work))

    @routes.post("/federations/{federation}/pause")
    async def pause(federation: str) -> Response:
        """Take part in no further round, until resumed."""

        def work() -> dict[str, Any]:
            changed = taking_part.pause(parts, _get(federation).id)
            federating.look()
            return _shown(parts, federating, changed)

        return json_response(await in_thread(work))

    @routes.post("/federations/{federation}/resume")
    async def resume(federation: str) -> Response:
        """Take part again."""

        def work() -> dict[str, Any]:
            changed = taking_part.resume(parts, _get(federation).id)
            federating.look()
            return _shown(parts, federating, changed)

        return json_response(await in_thread(work))

    @routes.delete("/federations/{federation}")
    async def leave(federation: str) -> Response:
        """Leave: everything that is kept for it here is erased, and home is told."""

        def work() -> dict[str, Any]:
            receipt = leaving.leave(parts, _get(federation).id)
            federating.look()
            return receipt.json()

        return json_response(await in_thread(work))


def _check_folders(request: Request, body: Consent) -> None:
    """A folder of this machine is named by who sits at it."""
    if body.folders:
        check_no_device(request)


def _get(wanted: str) -> Federation:
    with Federations.open() as kept:
        return kept.get(wanted)


def _shown(parts: Parts, federating: Federating, one: Federation) -> dict[str, Any]:
    with Federations.open() as kept:
        rounds = kept.rounds(one.id)
    mine = [each for each in rounds if each.took_part]
    return {
        **one.json(),
        "consent": consent.sources(parts, one.id),
        "readiness": readiness.of(parts, one).json(),
        "standing": federating.standing(one.id),
        "under_way": federating.under_way(one.id, {each.number for each in rounds if each.record}),
        "gate": federating.gate(one.id),
        "contribution": {
            "rounds": len(mine),
            "num_examples": max((each.num_examples for each in mine), default=0),
            # What was not used after all had travelled, too.
            "bytes_up": sum(each.bytes_up for each in rounds),
            "bytes_down": sum(each.bytes_down for each in rounds),
        },
        "rounds": [each.json() for each in rounds],
    }

"""Ondol's own endpoints for what came from a hub: what is installed and what is newer, installing
and updating in the background, pins, the way back, and the history.

All changes are the owner's. Raises what ``updating`` raises.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from ondol.errors import OndolError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.body import Flag, Lenient, json_response
from ondol.server.native import pulls as native_pulls
from ondol.server.native.collections import Text
from ondol.server.native.installing import Tell, Updates
from ondol.server.native.models import error_event
from ondol.server.native.pulls import Following, end_with_app
from ondol.server.streaming import SSE, Source, in_thread, stream

if TYPE_CHECKING:
    from ondol.updating.switching import Progress

Name = Annotated[Text, Field(max_length=80)]
Installed = Annotated[Text, Field(max_length=400)]
Channel = Literal["stable", "beta"]


class NewUpdate(Lenient):
    """``hub`` may be left out where there is one; ``version`` is the newest on ``channel``, which
    is that of what is installed. ``name`` is what it is called here. Where adapters would not fit
    what comes it is done only with ``allow_stale``; where something else has its name, only with
    ``replace``."""

    hub: Annotated[str, Field(max_length=80)] = ""
    publisher: Name
    item: Name
    version: Annotated[str, Field(max_length=40)] = ""
    channel: Channel | None = None
    name: Annotated[str, Field(max_length=400)] = ""
    allow_stale: Flag = False
    replace: Flag = False


class Checking(Lenient):
    """``names`` of what is installed; every hub is asked where none is named."""

    names: Annotated[list[Installed], Field(max_length=1000)]


class Named(Lenient):
    """``name`` is that of something that is installed."""

    name: Installed


class AtVersion(Named):
    """``version`` of it: to stay at (by default the one that is installed), or to return to (by
    default the one before)."""

    version: Annotated[str, Field(max_length=40)] = ""


def add_routes(routes: APIRouter, parts: Parts) -> Updates:
    """Add the routes that are about updates; what goes on there ends with the app."""
    updates = Updates()
    end_with_app(routes, updates)
    _add_running(routes, parts, updates)
    _add_installed(routes, parts)

    @routes.get("/updates")
    async def overview() -> Response:
        """What is installed from hubs, what of it is newer there as far as is known, and what is
        under way."""

        def work() -> dict[str, Any]:
            from ondol.updating import installed, updater

            known = updater.check(parts, refresh=False)
            return {
                "installed": [one.json() for one in installed.all(parts)],
                "offers": [one.json() for one in known.offers],
                "updates": [one.json() for one in updates.list()],
            }

        return json_response(await in_thread(work))

    @routes.post("/updates/check")
    async def check(body: Checking) -> Response:
        """Ask every hub what is newer, or those of what is named: ``offers``, ``troubles`` with
        hubs that said nothing of use, and ``notes`` about publishers that sign with new keys."""

        def work() -> dict[str, Any]:
            from ondol.updating import updater

            if body.names:
                return {"notes": [], **updater.check(parts, body.names).json()}
            told = _ask_all(parts)
            return updater.check(parts, refresh=False).json() | told

        return json_response(await in_thread(work))

    return updates


def _ask_all(parts: Parts) -> dict[str, list[dict[str, str]]]:
    """Ask every hub, also one from which nothing is installed: what went wrong, and what is worth
    knowing, a sentence each."""
    from ondol.hub.client import Hubs

    troubles, notes = [], []
    with Hubs.open() as kept:
        for row in kept.list():
            try:
                found = kept.hub(row, parts.egress).refresh()
            except OndolError as error:
                troubles.append({"hub": row.name, "sentence": error.message})
                continue
            for name in found.rekeyed:
                told = t("hub_browsing.rekeyed", publisher=name, hub=row.name)
                notes.append({"hub": row.name, "sentence": told})
    return {"troubles": troubles, "notes": notes}


def _add_running(routes: APIRouter, parts: Parts, updates: Updates) -> None:
    @routes.post("/updates")
    async def start(body: NewUpdate) -> Response:
        """Install or update in the background (201); the very same that is under way goes on
        (200)."""
        given = body.model_dump(exclude={"allow_stale", "replace", "channel"})
        what = {**given, "channel": body.channel or ""}

        def work(tell: Tell, cancel: threading.Event) -> dict[str, Any]:
            from ondol.updating import updater

            def on_progress(progress: Progress) -> None:
                tell(progress.step, progress.completed or 0, progress.total)

            version = f"@{body.version}" if body.version else ""
            outcome = updater.install(
                parts,
                f"{body.publisher}/{body.item}{version}",
                hub=body.hub,
                channel=body.channel or "",
                name=body.name,
                allow_stale=body.allow_stale,
                replace=body.replace,
                on_progress=on_progress,
                cancel=cancel,
            )
            return outcome.json()

        def begin() -> Response:
            update, is_new = updates.start("install", what, work)
            return json_response(update.json(), 201 if is_new else 200)

        return await in_thread(begin)

    @routes.get("/updates/events")
    async def events(
        request: Request, after: Annotated[int | None, Query(ge=0, lt=2**63)] = None
    ) -> Response:
        """Follow all that goes on: ``updates`` with the whole list at first, then ``update`` and
        ``removed`` as they happen. With ``after`` or ``Last-Event-ID``, only what came since."""
        begin = native_pulls.seen(request) if after is None else after
        source: Source[bytes] = Source(lambda: Following(updates, begin, "update"))
        return await stream(request, source, source, SSE, error_event)

    @routes.post("/updates/{update}/stop")
    async def stop(update: str) -> Response:
        """Stop before anything is switched. What had arrived stays for the next try."""
        return json_response(await in_thread(lambda: updates.stop(update).json()))

    @routes.delete("/updates/{update}")
    async def remove(update: str) -> Response:
        """List it no more; one that goes on is stopped."""
        await in_thread(lambda: updates.remove(update))
        return json_response({"removed": update})


def _add_installed(routes: APIRouter, parts: Parts) -> None:
    @routes.post("/updates/pin")
    async def pin(body: AtVersion) -> Response:
        """Stay at a version until it is unpinned."""

        def work() -> dict[str, Any]:
            from ondol.updating import installed, rolling_back

            rolling_back.pin(parts, body.name, body.version)
            return installed.one(parts, body.name).json()

        return json_response(await in_thread(work))

    @routes.post("/updates/unpin")
    async def unpin(body: Named) -> Response:
        """Update it again."""

        def work() -> dict[str, Any]:
            from ondol.updating import installed, rolling_back

            rolling_back.unpin(parts, body.name)
            return installed.one(parts, body.name).json()

        return json_response(await in_thread(work))

    @routes.post("/updates/rollback")
    async def rollback(body: AtVersion) -> Response:
        """Return to a version that was kept, by default the one before."""

        def work() -> dict[str, Any]:
            from ondol.updating import rolling_back

            return rolling_back.rollback(parts, body.name, body.version).json()

        return json_response(await in_thread(work))

    @routes.get("/updates/history")
    async def history(name: Annotated[str, Query(max_length=400)]) -> Response:
        """What happened to something that came from a hub, the latest first."""

        def work() -> list[dict[str, Any]]:
            from ondol.updating import rolling_back

            return [one.json() for one in rolling_back.history(parts, name)]

        return json_response({"events": await in_thread(work)})

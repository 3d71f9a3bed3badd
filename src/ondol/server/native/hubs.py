"""Ondol's own endpoints for hubs: those that this device looks at, and what they offer.

To add, remove and ask one is the owner's. What is offered is told from what was last verified, and
without the network. Raises what ``hub.client`` raises.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from ondol.errors import OndolError
from ondol.parts import Parts
from ondol.server.body import Lenient, json_response
from ondol.server.native import offering, publishing
from ondol.server.native.collections import Text
from ondol.server.streaming import in_thread
from ondol.updating import trusting

if TYPE_CHECKING:
    from ondol.hub.client import Hub, HubRow, Hubs

Url = Annotated[Text, Field(max_length=2000)]
Name = Annotated[Text, Field(max_length=80)]


class NewHub(Lenient):
    """``fingerprint`` is what its operator gave the owner by another way than the hub itself;
    without a ``name`` it is called as it calls itself."""

    url: Url
    fingerprint: Annotated[Text, Field(max_length=200)]
    name: Annotated[str, Field(max_length=80)] = ""
    mirrors: Annotated[list[Url], Field(max_length=20)] = Field(default_factory=list)


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about hubs and what they offer."""

    @routes.get("/hubs")
    async def hubs() -> Response:
        """The hubs that this device looks at, as they were when they were last asked."""

        def work() -> list[dict[str, Any]]:
            with _hubs() as kept:
                return [_shown(kept.hub(row, parts.egress), row) for row in kept.list()]

        return json_response({"hubs": await in_thread(work)})

    @routes.post("/hubs")
    async def add(body: NewHub) -> Response:
        """Trust the hub that has this fingerprint, and ask it what it offers (201)."""

        def work() -> dict[str, Any]:
            with _hubs() as kept:
                row = trusting.add(parts, kept, body.url, body.fingerprint, body.name, body.mirrors)
                # It is trusted from here on; what is wrong with its latest word, the row tells.
                with suppress(OndolError):
                    kept.hub(row, parts.egress).refresh()
                row = kept.get(row.name)
                return _shown(kept.hub(row, parts.egress), row)

        return json_response(await in_thread(work), 201)

    @routes.post("/hubs/{hub}/refresh")
    async def refresh(hub: str) -> Response:
        """Ask a hub what it offers now: the hub. What it said before stays where it cannot be
        reached, is older than it may be, or says what its keys did not sign."""

        def work() -> dict[str, Any]:
            with _hubs() as kept:
                row = kept.get(hub)
                kept.hub(row, parts.egress).refresh()
                row = kept.get(row.name)
                return _shown(kept.hub(row, parts.egress), row)

        return json_response(await in_thread(work))

    @routes.delete("/hubs/{hub}")
    async def remove(hub: str) -> Response:
        """Look at a hub no more. What came from it stays, and gets no updates."""

        def work() -> str:
            with _hubs() as kept:
                row = kept.get(hub)
                trusting.remove(parts, kept, row.name)
                return row.name

        return json_response({"removed": await in_thread(work)})

    _add_items(routes, parts)
    publishing.add_routes(routes, parts)


def _add_items(routes: APIRouter, parts: Parts) -> None:
    @routes.get("/hubs/{hub}/items")
    async def items(
        hub: str,
        words: Annotated[str, Query(max_length=400)] = "",
        kind: Literal["", "model", "adapter", "pack"] = "",
    ) -> Response:
        """What a hub offers, one entry an item, with its newest release."""

        def work() -> list[dict[str, Any]]:
            with _hubs() as kept:
                found = kept.hub(kept.get(hub), parts.egress)
                here = offering.Here.of(parts)
                return offering.items(
                    found.releases(), here, found.fingerprint, words=words, kind=kind
                )

        return json_response({"items": await in_thread(work)})

    @routes.get("/hubs/{hub}/items/{publisher}/{item}")
    async def one(hub: str, publisher: str, item: str) -> Response:
        """One item with all its releases, the newest first, and the keys of its publisher."""

        def work() -> dict[str, Any]:
            with _hubs() as kept:
                found = kept.hub(kept.get(hub), parts.egress)
                here = offering.Here.of(parts)
                told = offering.item(found.releases(), here, found.fingerprint, publisher, item)
                return told | {"keys": list(found.publishers().get(publisher, ()))}

        return json_response(await in_thread(work))


def _hubs() -> Hubs:
    from ondol.hub.client import Hubs

    return Hubs.open()


def _shown(hub: Hub, row: HubRow) -> dict[str, Any]:
    keys = {name: list(ids) for name, ids in hub.publishers().items()}
    return {**row.json(), "publishers": keys}

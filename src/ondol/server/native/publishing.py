"""Ondol's own endpoints to publish an adapter of one's own in a hub whose folder is here.

What it learned from may be read out of it, so nothing is signed before its owner said that it may
be shared. The key and its passphrase are read for one signature and kept nowhere. Only at this
computer. Raises what ``hub.offering`` and ``hub.repository`` raise.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.body import Flag, Lenient, json_response
from ondol.server.door.security import check_no_device
from ondol.server.native.collections import Text
from ondol.server.streaming import in_thread

if TYPE_CHECKING:
    from ondol.hub.offering import Offered

Name = Annotated[Text, Field(max_length=80)]
Full = Annotated[Text, Field(max_length=400)]


class Looking(Lenient):
    """``adapter`` is a full name, ``model:adapter``."""

    adapter: Full


class Publishing(Looking):
    """``folder`` is the hub's, ``key_file`` the publisher's; without ``may_share`` nothing is
    signed."""

    folder: Text
    publisher: Name
    key_file: Text
    passphrase: Annotated[str, Field(max_length=1000)] = ""
    item: Name
    version: Annotated[Text, Field(max_length=40)]
    licence: Annotated[Text, Field(max_length=200)]
    description: Annotated[str, Field(max_length=4000)] = ""
    channel: Literal["stable", "beta"] = "stable"
    may_share: Flag = False


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about publishing."""

    @routes.post("/hubs/publish/look")
    async def look(request: Request, body: Looking) -> Response:
        """What would be signed, and what to know before: signs nothing."""
        check_no_device(request)

        def work() -> dict[str, Any]:
            found = _offered(parts, body.adapter)
            return {
                "adapter": found.name,
                "item": found.item,
                "card": found.card.json(),
                "size_bytes": sum(file.stat().st_size for file in found.files.values()),
                "warnings": list(found.warnings),
                "canary": None if found.canary is None else dict(found.canary),
                "folder": parts.config["home.hub"],
            }

        return json_response(await in_thread(work))

    @routes.post("/hubs/publish")
    async def publish(request: Request, body: Publishing) -> Response:
        """Sign an adapter of one's own with one's own key, into a hub on this machine (201)."""
        check_no_device(request)
        return json_response(await in_thread(lambda: _publish(parts, body)), 201)


def _publish(parts: Parts, body: Publishing) -> dict[str, Any]:
    from ondol.hub import offering
    from ondol.hub.repository import Repository, keys

    if not body.may_share:
        raise UsageError(t("hub_page.may_share"), t("hub_page.may_share_hint"), param="may_share")
    said = body.model_dump(include={"licence", "description", "channel"})
    found = offering.told(_offered(parts, body.adapter), **said)
    signer = keys.load(Path(body.key_file).expanduser(), body.passphrase)
    made = Repository(Path(body.folder).expanduser()).publish(
        body.publisher, body.item, body.version, found.card, found.files, signer
    )
    return made.json()


def _offered(parts: Parts, name: str) -> Offered:
    adapter = parts.adapters.find(name)
    from ondol.hub import offering

    return offering.of_adapter(adapter, parts.adapters.path(adapter))

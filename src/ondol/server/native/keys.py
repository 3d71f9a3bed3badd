"""Ondol's own endpoints for the keys of programs: for the owner alone, at this machine or with the
owner's key. The secret is in the answer that makes it and in no other.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field, StringConstraints

from ondol import database, paths
from ondol.callers import OWNER
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.server.body import Flag, Lenient, json_response
from ondol.server.door.admission import CALLER, PHONE_DOOR
from ondol.server.door.key_records import USUAL_DIALECTS, Scope
from ondol.server.door.program_keys import ProgramKeys
from ondol.server.errors import ForbiddenError
from ondol.server.streaming import in_thread

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
Words = Annotated[list[Word], Field(max_length=100)]
Most = Annotated[int, Field(ge=1, le=1_000_000)]

_SPAN = re.compile(r"(\d{1,5})\s*([mhdwy])", re.ASCII | re.IGNORECASE)
_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}


class NewKey(Lenient):
    """``models`` and ``dialects`` not said are the usual ones; ``collections`` not said are none:
    null is any. ``expires`` is how long it opens (``90d``)."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    dialects: Words = Field(default_factory=lambda: list(USUAL_DIALECTS))
    models: Words | None = None
    collections: Words | None = Field(default_factory=list)
    manages_models: Flag = False
    max_running: Most | None = None
    requests_per_minute: Most | None = None
    expires: Annotated[str, Field(max_length=20)] | None = None


def open_keys() -> ProgramKeys:
    """The keys of this user's Ondol."""
    return ProgramKeys(lambda: database.connect(paths.database_file()))


def span(text: str) -> timedelta:
    """``90d`` as a duration: m(inutes), h(ours), d(ays), w(eeks) or y(ears)."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise UsageError(t("keys.bad_expiry"), t("keys.bad_expiry_hint"), param="expires")
    return timedelta(seconds=int(match[1]) * _UNIT_SECONDS[match[2].lower()])


def check_owner(request: Request) -> None:
    """Refuse (``ForbiddenError``) everybody but the owner: a phone, a program with a key of its
    own, a page of another program."""
    scope = request.scope
    if scope.get(PHONE_DOOR) or scope.get(CALLER, OWNER).id != OWNER.id:
        raise ForbiddenError(t("keys.owner_only"), t("keys.owner_only_hint"))


def add_routes(routes: APIRouter) -> None:
    """Add the routes; the keys are the app's (``app.state.keys``)."""

    @routes.get("/keys")
    async def keys(request: Request) -> Response:
        """Every key of a program: what it opens, when it was used last; never the key itself."""
        check_owner(request)
        found = await in_thread(_keys(request).all)
        return json_response({"keys": [one.json() for one in found]})

    @routes.post("/keys")
    async def create(request: Request, body: NewKey) -> Response:
        """Make a key; ``secret`` is what the program sends, and is shown this once."""
        check_owner(request)
        collections = body.collections
        scope = Scope(
            tuple(dict.fromkeys(body.dialects)),
            None if body.models is None else tuple(dict.fromkeys(body.models)),
            None if collections is None else tuple(dict.fromkeys(collections)),
            body.manages_models,
            body.max_running,
            body.requests_per_minute,
        )
        ends = span(body.expires) if body.expires else None

        def work() -> dict[str, Any]:
            secret, made = _keys(request).create(body.name, scope, expires_in=ends)
            return {"secret": secret, "key": made.json()}

        return json_response(await in_thread(work), 201)

    @routes.get("/keys/{key}")
    async def show(request: Request, key: str) -> Response:
        """One key, by its name or id."""
        check_owner(request)
        return json_response((await in_thread(lambda: _keys(request).get(key))).json())

    @routes.post("/keys/{key}/revoke")
    async def revoke(request: Request, key: str) -> Response:
        """Let nobody in with a key any more; answers on their way to it end within seconds."""
        check_owner(request)
        return json_response((await in_thread(lambda: _keys(request).revoke(key))).json())

    @routes.delete("/keys/{key}")
    async def remove(request: Request, key: str) -> Response:
        """Forget a key altogether: it opens nothing, and its name is free."""
        check_owner(request)
        await in_thread(lambda: _keys(request).remove(key))
        return json_response({"removed": key})


def _keys(request: Request) -> ProgramKeys:
    keys: ProgramKeys = request.app.state.keys
    return keys

"""A hub over HTTP: its metadata, blobs and deltas, as any web server would serve the folder.

Only names that a hub has are looked for, nothing is listed, and ``state/`` and whatever else lies
in the folder is not served. GET and HEAD, ranges, entity tags (RFC 9110). Knows no mirror: what one
answers comes as ``more`` routes. Who serves the app is its caller's affair.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ondol import __version__

HEXADECIMAL = r"[0-9a-f]{64}"
SERVED = {
    "metadata": re.compile(r"(?:[1-9]\d{0,9}\.)?[a-z0-9][a-z0-9._-]{0,63}\.json"),
    "blobs": re.compile(rf"sha256-{HEXADECIMAL}"),
    "deltas": re.compile(rf"{HEXADECIMAL}-{HEXADECIMAL}\.[a-z0-9]{{1,16}}"),
}
"""The folders that are served, and what a file in them is called."""

CHANGING = re.compile(r"\D.*")
"""Metadata under one name at any time: ``timestamp.json`` is another file tomorrow."""

OCTETS = "application/octet-stream"
UNTIL_ASKED = "no-cache"
FOR_EVER = "public, max-age=31536000, immutable"


def create_app(folder: Path, more: Iterable[BaseRoute] = ()) -> Starlette:
    """The app that serves the hub in ``folder``."""

    async def one(request: Request) -> Response:
        kind, name = request.url.path.split("/")[1], request.path_params["name"]
        found = await run_sync(regular, folder, kind, name)
        if found is None:
            return PlainTextResponse("not found", status_code=404)
        if kind == "metadata":
            lasting = UNTIL_ASKED if CHANGING.fullmatch(name) else FOR_EVER
            return file_response(request, found, "application/json", lasting)
        digest = name.removeprefix("sha256-") if kind == "blobs" else ""
        return file_response(request, found, OCTETS, FOR_EVER, digest)

    async def here(request: Request) -> Response:
        return JSONResponse({"name": "ondol-hub", "version": __version__})

    # No redirect from one spelling of a path to another: a client signs or caches what it asked.
    files = [Route(f"/{kind}/{{name}}", one) for kind in SERVED]
    app = Starlette(routes=[Route("/", here), *files, *more])
    app.router.redirect_slashes = False
    return app


def regular(folder: Path, kind: str, name: str) -> Path | None:
    """The file ``kind/name`` of a hub, if it is one that is served and a regular file itself."""
    if kind not in SERVED or not SERVED[kind].fullmatch(name):
        return None
    path = folder / kind / name
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return path if stat.S_ISREG(status.st_mode) else None


def file_response(
    request: Request,
    path: Path,
    media_type: str,
    lasting: str,
    digest: str = "",
    headers: dict[str, str] | None = None,
) -> Response:
    """``path``, or the part of it that is asked for. ``digest`` (64 hexadecimal digits) is its
    entity tag where it is known, so that an interrupted download may be continued from another
    mirror of the same hub. Other ``headers`` go along."""
    status = os.stat(path)
    given = {"Cache-Control": lasting, "X-Content-Type-Options": "nosniff", **(headers or {})}
    if digest:
        given["ETag"] = f'"{digest}"'
    response = _File(path, headers=given, media_type=media_type, stat_result=status)
    if _is_known(request.headers.get("If-None-Match", ""), response.headers["ETag"]):
        kept = {k: v for k, v in response.headers.items() if k not in _OF_A_BODY}
        return Response(status_code=304, headers=kept)
    return response


class _File(FileResponse):
    """Read in blocks that are worth a thread's while: weights have gigabytes."""

    chunk_size = 1 << 18


_OF_A_BODY = {"content-length", "content-type"}


def _is_known(asked: str, tag: str) -> bool:
    """Whether ``If-None-Match`` names ``tag``; weak tags compare alike here (RFC 9110 13.1.2)."""
    known = [one.strip().removeprefix("W/") for one in asked.split(",")]
    return "*" in known or tag in known

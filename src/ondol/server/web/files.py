"""The web app's files: served as they are but for comments, compressed once, checked again by their
content.

Browsers get the app at ``/``; programs that look for Ollama there get its sentence (``app``). The
content policy lets the page load from this server and from nowhere else.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from ondol.i18n import t
from ondol.server.web import lean

STATIC = Path(__file__).parents[2] / "web" / "static"
PREFIX = "/web/"
# A service worker (``worker``) rules what lies below its own path, so it stands at the top.
TOP = ("/sw.js", "/manifest.webmanifest")
POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' blob: data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
COMPRESSIBLE = ("text/", "application/json", "application/manifest+json", "image/svg+xml")
TYPES = {".js": "text/javascript", ".webmanifest": "application/manifest+json"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, ready to send."""

    body: bytes
    compressed: bytes | None
    media_type: str
    etag: str


def router() -> APIRouter:
    """The routes of the app's files; they need no key, for nothing of the owner's is in them."""
    routes = APIRouter(include_in_schema=False)

    @routes.get(PREFIX + "{path:path}")
    async def asset(request: Request, path: str) -> Response:
        return send(request, path)

    @routes.get("/manifest.webmanifest")
    async def manifest(request: Request) -> Response:
        return send(request, "manifest.webmanifest")

    @routes.get("/sw.js")
    async def service_worker() -> Response:
        from ondol.server.web import worker

        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return Response(worker.source(), headers=headers, media_type="text/javascript")

    return routes


def wants_page(request: Request) -> bool:
    """Whether a browser asks, and not a program."""
    return "text/html" in request.headers.get("accept", "")


def send(request: Request, path: str) -> Response:
    """The file at ``path``; 304 where the browser has it, 404 where there is none."""
    # Without a NUL, which no path may hold.
    file = (STATIC / path.replace("\0", "?")).resolve()
    if not file.is_relative_to(STATIC.resolve()) or not file.is_file():
        raise HTTPException(404, t("server.no_such_page"))
    found = _asset(file, file.stat().st_mtime_ns)
    headers = {
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-cache",
        "ETag": found.etag,
        "Vary": "Accept-Encoding, Accept",
    }
    if request.headers.get("if-none-match", "") == found.etag:
        return Response(status_code=304, headers=headers)
    body = found.body
    if found.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body = found.compressed
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=found.media_type, headers=headers)


@lru_cache(maxsize=512)
def _asset(file: Path, modified_ns: int) -> Asset:
    body = file.read_bytes()
    if file.suffix == ".js" and file.parent != STATIC / "vendor":
        body = lean.javascript(body.decode("utf-8")).encode("utf-8")
    media_type = TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0]
    media_type = media_type or "application/octet-stream"
    small = gzip.compress(body, 9, mtime=0) if media_type.startswith(COMPRESSIBLE) else None
    return Asset(body, small, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')

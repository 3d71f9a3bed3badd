"""A hub as Ollama's client sees a registry: ``ollama pull http://HOST:PORT/publisher/item``.

The read half of Docker's registry protocol (OCI distribution specification 1.1, pull):

    GET       /v2/
    HEAD, GET /v2/{namespace}/{model}/manifests/{tag or digest}
    HEAD, GET /v2/{namespace}/{model}/blobs/{digest}
    GET       /v2/{namespace}/{model}/tags/list

Ollama wants a ``Location`` with a blob, whether it is sent elsewhere or not (``server/download.go``
asks ``Response.Location`` of a 200 too), and continues with ranges from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ondol.errors import OndolError
from ondol.hub.mirror.manifests import MANIFEST, Manifest, manifest_of, pick, tags_of
from ondol.hub.mirror.missing import MissingError, code_of
from ondol.hub.mirror.shelf import Shelf, Shelved, Snapshot
from ondol.hub.serving import FOR_EVER, OCTETS, UNTIL_ASKED, file_response
from ondol.i18n import t, use_language

API = {"Docker-Distribution-Api-Version": "registry/2.0"}
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MOST_KEPT = 10_000
"""Manifests in memory: a thousand bytes each."""

_LIBRARY = "library/"
_Key = tuple[str, str, str, str]


def routes(shelf: Shelf) -> list[BaseRoute]:
    registry = _Registry(shelf)
    name = "/v2/{name:path}"
    return [
        Route("/v2/", registry.here),
        Route(f"{name}/manifests/{{reference}}", registry.answering(registry.manifest)),
        Route(f"{name}/blobs/{{digest}}", registry.answering(registry.blob)),
        Route(f"{name}/tags/list", registry.answering(registry.tags)),
    ]


class _Registry:
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._kept: dict[_Key, Manifest | MissingError] = {}
        self._lock = Lock()

    @staticmethod
    async def here(request: Request) -> Response:
        return JSONResponse({}, headers=API)

    @staticmethod
    def answering(handle: Any) -> Any:
        """``handle`` in a thread; what it raises, as the protocol says it."""

        def answered(request: Request) -> Response:
            with use_language("en"):
                try:
                    response: Response = handle(request)
                except OndolError as error:
                    response = _refusal(error)
            response.headers.update(API)
            return response

        async def endpoint(request: Request) -> Response:
            return await run_sync(answered, request)

        return endpoint

    def manifest(self, request: Request) -> Response:
        shelved = self._shelved(request)
        reference = request.path_params["reference"]
        if DIGEST.fullmatch(reference):
            found = self._by_digest(shelved, lambda one: one.digest == reference)
            lasting = FOR_EVER
        else:
            found = self._made(*pick(shelved, reference))
            lasting = UNTIL_ASKED
        headers = {
            "Docker-Content-Digest": found.digest,
            "ETag": f'"{found.digest}"',
            "Cache-Control": lasting,
        }
        return Response(found.content, media_type=MANIFEST, headers=headers)

    def blob(self, request: Request) -> Response:
        """A layer: the hub's own blob, or a small one that was made for the manifest."""
        shelved, digest = self._shelved(request), request.path_params["digest"]
        headers = {"Docker-Content-Digest": digest, "Location": request.url.path}
        if self._has(shelved, digest) and (path := self._shelf.blob(digest)) is not None:
            hexadecimal = digest.removeprefix("sha256:")
            return file_response(request, path, OCTETS, FOR_EVER, hexadecimal, headers)
        if not DIGEST.fullmatch(digest):
            raise MissingError("file", t("hub_mirror.no_blob", digest=digest[:100]))
        found = self._by_digest(shelved, lambda one: digest in one.made)
        return _small(request, found.made[digest], digest, headers)

    def tags(self, request: Request) -> Response:
        shelved = self._shelved(request)
        return JSONResponse({"name": request.path_params["name"], "tags": tags_of(shelved)})

    def _shelved(self, request: Request) -> Shelved:
        name: str = request.path_params["name"]
        found = self._shelf.find(name) or self._shelf.find(name.removeprefix(_LIBRARY))
        if found is None:
            raise MissingError("repository", t("hub_mirror.no_repository", name=name[:200]))
        return found

    def _has(self, shelved: Shelved, digest: str) -> bool:
        """Whether a release of the repository has the blob, or the base model of one."""
        snapshots = shelved.snapshots
        bases = [base for one in snapshots if (base := self._base(one)) is not None]
        return any(
            file.digest == digest for one in (*snapshots, *bases) for file in one.files.values()
        )

    def _by_digest(self, shelved: Shelved, fits: Callable[[Manifest], bool]) -> Manifest:
        """The manifest of any revision for which ``fits`` holds. A client asks for the layers of a
        manifest that it got a moment ago, maybe of another process."""
        for snapshot in shelved.snapshots:
            for path in snapshot.files:
                if path.lower().endswith(".gguf"):
                    with suppress(MissingError):
                        if fits(made := self._made(snapshot, path)):
                            return made
        raise MissingError("file", t("hub_mirror.no_manifest", name=shelved.name))

    def _made(self, snapshot: Snapshot, weights: str) -> Manifest:
        base = self._base(snapshot)
        beside = base.release.reference if base else ""
        key = (snapshot.release.reference, snapshot.commit, weights, beside)
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            found = self._tried(snapshot, weights, base)
            # What Ollama could not run is remembered too: who asks for any digest at all would have
            # every file of a repository read, each time. Not where a blob is only not here yet.
            is_here = self._shelf.blob(snapshot.files[weights].digest) is not None
            with self._lock:
                if len(self._kept) >= MOST_KEPT:
                    del self._kept[next(iter(self._kept))]
                if is_here:
                    self._kept[key] = found
        if isinstance(found, MissingError):
            raise found.with_traceback(None)
        return found

    def _tried(
        self, snapshot: Snapshot, weights: str, base: Snapshot | None
    ) -> Manifest | MissingError:
        try:
            return manifest_of(snapshot, weights, self._shelf.blob, base)
        except MissingError as error:
            return error

    def _base(self, snapshot: Snapshot) -> Snapshot | None:
        """The release with the base model of an adapter, where this hub has it."""
        card = snapshot.release.card
        if card.kind != "adapter" or not card.base_digest:
            return None
        return self._shelf.snapshot_with(card.base_digest)


def _small(request: Request, content: bytes, digest: str, headers: dict[str, str]) -> Response:
    given = {"ETag": f'"{digest}"', "Cache-Control": FOR_EVER, "Accept-Ranges": "bytes", **headers}
    asked = re.fullmatch(r"bytes=(\d{1,9})-(\d{0,9})", request.headers.get("Range", ""))
    if asked is None:
        return Response(content, media_type=OCTETS, headers=given)
    start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
    if not start <= end:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{len(content)}"})
    given["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
    return Response(content[start : end + 1], 206, media_type=OCTETS, headers=given)


def _refusal(error: OndolError) -> Response:
    status, _ = code_of(error)
    what = getattr(error, "what", "")
    code = {"repository": "NAME_UNKNOWN", "revision": "MANIFEST_UNKNOWN", "file": "BLOB_UNKNOWN"}
    message = f"{error.message} {error.hint}".strip()
    body = {"errors": [{"code": code.get(what, "DENIED"), "message": message}]}
    return JSONResponse(body, status_code=status)

"""A hub as huggingface_hub sees it: the five families of endpoints that its readers need.

``HF_ENDPOINT`` set to this server makes ``hf_hub_download``, ``snapshot_download``, ``model_info``,
``list_models`` and what is built on them (transformers' ``from_pretrained``) read from the hub:

    HEAD, GET /{repository}/resolve/{revision}/{path}
    GET /api/models/{repository}
    GET /api/models/{repository}/revision/{revision}
    GET /api/models/{repository}/tree/{revision}[/{path}]
    GET /api/models?search=…&author=…&filter=…

Nothing is written. What is not here, ``Pull`` may ask an upstream for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ondol.errors import OndolError
from ondol.hub.mirror import listing
from ondol.hub.mirror.asked import Asked, repository_at
from ondol.hub.mirror.missing import MissingError, code_of
from ondol.hub.mirror.shelf import Content, Shelf, Shelved, Snapshot
from ondol.hub.serving import FOR_EVER, OCTETS, UNTIL_ASKED, file_response
from ondol.i18n import t, use_language

COMMIT = "X-Repo-Commit"
_BROWSERS = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode")


class Pull(Protocol):
    """Brings what is not here from an upstream, into quarantine."""

    def commit_of(self, repository: str, revision: str) -> str:
        """The commit that ``revision`` is there; raises OndolError."""
        ...

    def ask(self, repository: str, revision: str, path: str = "") -> OndolError:
        """See to it that it comes, if it may; why it cannot be served now."""
        ...


def routes(shelf: Shelf, pull: Pull | None = None) -> list[BaseRoute]:
    """The routes; the last one takes any path of three parts and more, so it comes last."""
    mirror = _Mirror(shelf, pull)
    return [
        Route("/api/models", _answering(mirror.listed)),
        Route("/api/models/{rest:path}", _answering(mirror.about)),
        Route("/{rest:path}", _answering(mirror.resolved)),
    ]


def _answering(handle: Callable[[Request], Response]) -> Any:
    """``handle`` in a thread; what it raises, as the protocol says it. Headers are ASCII and other
    people's programs show them beside their own words, so the sentences are English."""

    def answered(request: Request) -> Response:
        with use_language("en"):
            try:
                return handle(request)
            except OndolError as error:
                return refusal(error)

    async def endpoint(request: Request) -> Response:
        return await run_sync(answered, request)

    return endpoint


def refusal(error: OndolError) -> Response:
    """``error`` as huggingface_hub reads it: HEAD has no body, so it is in the headers too."""
    status, code = code_of(error)
    message = f"{error.message} {error.hint}".strip()
    headers = {"X-Error-Message": _ascii(message), "Cache-Control": "no-store"}
    if code:
        headers["X-Error-Code"] = code
    if isinstance(error, MissingError) and error.commit:
        headers[COMMIT] = error.commit
    return JSONResponse({"error": message}, status_code=status, headers=headers)


class _Mirror:
    def __init__(self, shelf: Shelf, pull: Pull | None) -> None:
        self._shelf = shelf
        self._pull = pull

    def listed(self, request: Request) -> Response:
        """Every repository that fits the query; nobody's upstream is asked."""
        query = request.query_params
        found = [
            listing.model(one.main, full="full" in query)
            for one in self._shelf.all()
            if listing.fits(one, query)
        ]
        limit = query.get("limit", "")
        is_number = limit.isdecimal() and len(limit) < 10
        return JSONResponse(found[: int(limit)] if is_number else found)

    def about(self, request: Request) -> Response:
        rest = _rest(request, "/api/models/")
        if asked := repository_at(rest, "tree"):
            return JSONResponse(self._tree(request, asked))
        asked = repository_at(rest, "revision") or repository_at(rest, "")
        if asked is None or asked.path:
            raise _no_address()
        snapshot = self._snapshot(request, asked)
        with_blobs = query_flag(request, "blobs")
        return JSONResponse(
            listing.model(snapshot, full=True, with_blobs=with_blobs),
            headers={COMMIT: snapshot.commit},
        )

    def resolved(self, request: Request) -> Response:
        """A file. Its entity tag is its sha256, or git's name of it where its upstream has no
        other: what huggingface_hub's cache calls it."""
        asked = repository_at(_rest(request, "/"), "resolve")
        if asked is None or not asked.path:
            raise _no_address()
        snapshot = self._snapshot(request, asked)
        content = snapshot.files.get(asked.path)
        if content is None:
            raise self._no_file(request, snapshot, asked)
        path = self._shelf.file(content)
        if path is None:
            raise _missing_file(asked, snapshot)
        return file_response(
            request,
            path,
            listing.media_type(asked.path) or OCTETS,
            FOR_EVER if asked.revision == snapshot.commit else UNTIL_ASKED,
            digest=content.git_oid or content.hex,
            headers=_headers(content, snapshot),
        )

    def _tree(self, request: Request, asked: Asked) -> list[dict[str, Any]]:
        snapshot = self._snapshot(request, asked)
        found = listing.tree(snapshot, asked.path, deep=query_flag(request, "recursive"))
        if not found:
            raise _missing_file(asked, snapshot)
        return found

    def _snapshot(self, request: Request, asked: Asked) -> Snapshot:
        shelved = self._shelf.find(asked.repository)
        found = shelved.at(asked.revision) if shelved else None
        return found or self._elsewhere(request, asked, shelved)

    def _elsewhere(self, request: Request, asked: Asked, shelved: Shelved | None) -> Snapshot:
        """A snapshot that is here by another name of its commit; raises why there is none."""
        pull = self._may_pull(request)
        # What was published here has no upstream, and the name is its publisher's.
        if pull is not None and (shelved is None or shelved.main.origin is not None):
            if shelved is not None:
                found = shelved.at(pull.commit_of(asked.repository, asked.revision))
                if found is not None:
                    return found
            raise pull.ask(asked.repository, asked.revision, asked.path)
        if shelved is None:
            raise MissingError("repository", t("hub_mirror.no_repository", name=asked.repository))
        told = {"name": asked.repository, "revision": asked.revision[:100]}
        raise MissingError("revision", t("hub_mirror.no_revision", **told))

    def _no_file(self, request: Request, snapshot: Snapshot, asked: Asked) -> OndolError:
        pull = self._may_pull(request)
        if pull is not None and asked.path in snapshot.others:
            return pull.ask(asked.repository, snapshot.commit, asked.path)
        return _missing_file(asked, snapshot)

    def _may_pull(self, request: Request) -> Pull | None:
        """A page in somebody's browser may read a hub; it may not make it fetch. For a picture from
        a plain address of the network a browser sends none of those headers but its own name."""
        is_browser = request.headers.get("User-Agent", "").startswith("Mozilla/")
        is_browser |= any(name in request.headers for name in _BROWSERS)
        return None if is_browser else self._pull


def query_flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("1", "true")


def _headers(content: Content, snapshot: Snapshot) -> dict[str, str]:
    headers = {
        COMMIT: snapshot.commit,
        "Content-Disposition": "attachment",
        "Access-Control-Expose-Headers": f"{COMMIT}, X-Linked-Etag, X-Linked-Size, ETag",
    }
    if not content.git_oid:
        headers["X-Linked-Etag"] = f'"{content.hex}"'
        headers["X-Linked-Size"] = str(content.size_bytes)
    return headers


def _rest(request: Request, start: str) -> str:
    """The path after ``start``, still encoded."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.partition(b"?")[0].decode("ascii", "replace").removeprefix(start)


def _no_address() -> MissingError:
    return MissingError("repository", t("hub_mirror.no_address"))


def _missing_file(asked: Asked, snapshot: Snapshot) -> MissingError:
    return MissingError(
        "file",
        t("hub_mirror.no_file", path=asked.path, name=snapshot.repository),
        commit=snapshot.commit,
    )


def _ascii(text: str) -> str:
    return "".join(one if 32 <= ord(one) < 127 else "?" for one in text)[:1000]

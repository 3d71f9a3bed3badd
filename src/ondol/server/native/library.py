"""Ondol's own endpoints about where documents come from: uploads, followed folders, every file with
its status, and what became of it.

An upload is the bytes of one file; everything else is JSON. Long work is a stream of server-sent
events.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from ondol import uploads
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.json import labelled_json, sensitivity_of, sensitivity_word
from ondol.parts import Parts
from ondol.retrieval import query
from ondol.retrieval.inventory import FolderState, ListedFile, Status
from ondol.server.body import Flag, Lenient, json_response
from ondol.server.door.security import check_at_this_machine, check_no_device
from ondol.server.native.browsing import browse
from ondol.server.native.collections import Text, Wanted, Word
from ondol.server.native.models import error_event, event
from ondol.server.native.uploading import Intake, receive, too_large
from ondol.server.streaming import SSE, Source, Work, in_thread, stream, whole

if TYPE_CHECKING:
    from ondol.retrieval.ingest import AddReport

Collection = Annotated[str, Field(min_length=1, max_length=200)]
Order = Literal["source", "added", "size", "type", "status"]


class NewFolder(Lenient):
    path: Text
    collection: Collection | None = None
    sensitivity: Word | None = None
    watch: bool | None = None
    stream: bool = True


class FolderChange(Lenient):
    path: Text
    watch: bool


class OneFolder(Lenient):
    path: Text


class SyncRequest(Lenient):
    paths: Annotated[list[Text], Field(max_length=10_000)] = Field(default_factory=list)
    retry: Flag = False
    stream: bool = True


class Files(Wanted):
    """Which files: the words of the search box in ``query``, the fields of a filter, a status."""

    query: Annotated[str, Field(max_length=4000)] = ""
    status: list[Status] = Field(default_factory=list)
    order: Order = "source"
    descending: bool = False
    offset: Annotated[int, Field(ge=0, lt=2**31)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about where documents come from."""
    _add_uploads(routes, parts)
    _add_folders(routes, parts)

    @routes.get("/files")
    async def files(given: Annotated[Files, Query()]) -> Response:
        """Every file, or what passes, page by page: its status, and why it could not be read."""
        rest, said = query.parse(given.query)
        where = said & given.read()

        def work() -> dict[str, Any]:
            page = parts.library.inventory.files(
                where,
                words=rest.replace('"', " ").split()[:20],
                statuses=given.status,
                order=given.order,
                descending=given.descending,
                offset=given.offset,
                limit=given.limit,
            )
            listed = [_file_json(one) for one in page.files]
            more = given.offset + len(listed)
            return {
                "files": listed,
                "total": page.total,
                "counts": page.counts,
                "next_offset": more if more < page.total else None,
            }

        return json_response(await in_thread(work))

    @routes.post("/sync")
    async def sync(request: Request, body: SyncRequest | None = None) -> Response:
        """Bring the library up to what the disk has: events ``progress``…, ``report``."""
        body = body or SyncRequest()
        places = [absolute(path, "paths") for path in body.paths]

        def run(report: Callable[[Any], None]) -> AddReport:
            return parts.library.sync(places, retry=body.retry, on_progress=report)

        return await following(request, run, is_stream=body.stream)


def _add_uploads(routes: APIRouter, parts: Parts) -> None:
    intake = Intake(parts)

    @routes.post("/uploads")
    async def upload(
        request: Request,
        name: Annotated[str, Query(min_length=1, max_length=4000)],
        collection: Annotated[Collection | None, Query()] = None,
        modified: Annotated[int | None, Query(ge=0, lt=2**43)] = None,
    ) -> Response:
        """Add a file that has no path here: its bytes are the body, ``modified`` the milliseconds
        since 1970 at which it was changed last. Says what became of it."""
        parsed = uploads.parts_of(name)
        most_bytes = int(parts.config["retrieval.max_file_mb"]) << 20
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > most_bytes:
            raise too_large(name, most_bytes)
        into = await in_thread(lambda: intake.open(collection))
        partial = await receive(request.stream(), name, most_bytes)
        size_bytes = partial.stat().st_size
        seconds = modified / 1000 if modified is not None else None

        def work() -> dict[str, Any]:
            path = intake.place(partial, parsed, into, seconds)
            outcome, reason = intake.add(path, into)
            return {
                "name": name,
                "source": str(path),
                "outcome": outcome,
                "reason": reason,
                "collection": into or "default",
                "size_bytes": size_bytes,
            }

        return json_response(await in_thread(work), 201)


def _add_folders(routes: APIRouter, parts: Parts) -> None:
    @routes.get("/folders")
    async def folders() -> Response:
        """The files and folders that were added by their path: collection, whether a server
        follows them, and how much is in them."""

        def work() -> list[dict[str, Any]]:
            found = parts.library.inventory.folders()
            return [_folder_json(one) for one in found if not uploads.is_upload(one.folder.path)]

        return json_response({"folders": await in_thread(work)})

    @routes.post("/folders")
    async def add(request: Request, body: NewFolder) -> Response:
        """Add a folder of this machine, and follow it with ``watch``: events ``progress``…,
        ``report``. A phone sends files instead."""
        check_no_device(request)
        path = absolute(body.path, "path")
        limit = sensitivity_of(body.sensitivity) if body.sensitivity else None

        def run(report: Callable[[Any], None]) -> AddReport:
            return parts.library.add(
                [path],
                collection=body.collection,
                sensitivity=limit,
                watch=body.watch,
                on_progress=report,
            )

        return await following(request, run, is_stream=body.stream)

    @routes.patch("/folders")
    async def change(body: FolderChange) -> Response:
        """Have the server follow a folder, or not any more."""
        path = absolute(body.path, "path")
        found = await in_thread(lambda: parts.library.inventory.follow(path, body.watch))
        return json_response({"path": found.path, "watch": found.watch})

    @routes.delete("/folders")
    async def leave(body: OneFolder) -> Response:
        """Let a folder go: it is not looked at again. What is in the library stays there, with its
        labels; ``DELETE /documents`` forgets it."""
        path = absolute(body.path, "path")
        await in_thread(lambda: parts.library.inventory.let_go(path))
        return json_response({"removed": str(path)})

    @routes.get("/browse")
    async def folders_here(
        request: Request, path: Annotated[str, Query(max_length=4000)] = ""
    ) -> Response:
        """The folders of this machine, to pick one; only for who sits at it."""
        check_at_this_machine(request)
        return json_response(await in_thread(lambda: browse(path)))


async def following(
    request: Request, run: Callable[[Callable[[Any], None]], AddReport], *, is_stream: bool
) -> Response:
    """``run``, which reports on every file, as events or, in one piece, as its report."""

    def work(report: Callable[[Any], None], cancel: threading.Event) -> Any:
        return run(report)

    source: Source[Any] = Source(lambda: Work(work))
    if not is_stream:
        return await whole(request, source, lambda s: json_response(asdict(list(s)[-1])))
    return await stream(request, source, _events(source), SSE, error_event)


def absolute(text: str, param: str) -> Path:
    """An absolute path: a client's folder is not the server's."""
    path = Path(text).expanduser() if "\0" not in text else Path()
    if not path.is_absolute():
        raise UsageError(t("server.relative_path", path=text[:200]), param=param)
    return path


def _events(source: Iterator[Any]) -> Iterator[bytes]:
    for item in source:
        yield event("progress" if hasattr(item, "outcome") else "report", asdict(item))


def _file_json(file: ListedFile) -> dict[str, Any]:
    found = labelled_json(file)
    seconds = found.pop("modified_ns") / 1e9
    modified = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    return {**found, "modified_at": modified, "is_upload": uploads.is_upload(file.source)}


def _folder_json(state: FolderState) -> dict[str, Any]:
    folder = state.folder
    return {
        "path": folder.path,
        "collection": folder.collection,
        "sensitivity": sensitivity_word(folder.sensitivity),
        "watch": folder.watch,
        "documents": state.documents,
        "failed": state.failed,
        "is_missing": state.is_missing,
        "is_file": Path(folder.path).is_file(),
    }

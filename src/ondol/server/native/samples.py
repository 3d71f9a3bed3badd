"""Ondol's own endpoints for what a model may learn from: sources the owner agreed to, and their
samples, seen and erased."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from ondol import leftovers
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.json import sensitivity_of
from ondol.parts import Parts
from ondol.personal import collecting, forgetting, importing
from ondol.samples.exporting import lines
from ondol.samples.importing import Reading
from ondol.samples.records import Added, Source
from ondol.server.body import Flag, Lenient, json_response
from ondol.server.native.collections import Text, Word
from ondol.server.native.library import absolute
from ondol.server.native.uploading import receive, too_large
from ondol.server.streaming import in_thread

Kind = Literal["sft", "preference", "thumb"]
Personal = Literal["keep", "skip", "redact"]
Dependents = Literal["stale", "remove", "retrain"]
Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, lt=2**31)]
Name = Annotated[Text, Query(min_length=1, max_length=400)]


class NewSource(Lenient):
    """A file or folder at ``path``, or the feedback of conversations. Without ``consent`` nothing
    is kept: the answer says what would be. ``owners`` are the addresses of the owner's mails."""

    path: Text | None = None
    kind: Literal["feedback"] | None = None
    name: Annotated[Text, Field(max_length=200)] | None = None
    owners: Annotated[list[Text], Field(max_length=50)] = Field(default_factory=list)
    personal: Personal = "keep"
    sensitivity: Word = "private"
    consent: Flag = False


class SamplesGone(Lenient):
    """``dependents`` is what becomes of adapters that learned from them."""

    ids: Annotated[list[Text], Field(max_length=10_000)]
    dependents: Dependents = "stale"


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes about samples and where they are from."""
    _add_sources(routes, parts)
    _add_samples(routes, parts)


def _add_sources(routes: APIRouter, parts: Parts) -> None:
    @routes.get("/sources")
    async def sources() -> Response:
        """What may be learned from, and since when the owner agrees to it."""

        def work() -> dict[str, Any]:
            samples = parts.kept.samples
            counts = samples.counts()
            return {"sources": [one.json(counts.get(one.id)) for one in samples.sources()]}

        return json_response(await in_thread(work))

    @routes.post("/sources")
    async def add(body: NewSource) -> Response:
        """Learn from a file or folder, or from feedback. First without ``consent``, to ask."""
        if (body.path is None) == (body.kind is None):
            raise UsageError(t("samples.what_source"), param="path")
        if body.kind is not None:
            return json_response(*await in_thread(lambda: _feedback(parts, body)))
        path = absolute(body.path or "", "path").resolve()

        def work() -> tuple[dict[str, Any], int]:
            reading = importing.look(path, owners=body.owners)
            return _taken(parts, reading, body, body.name or path.name, str(path))

        return json_response(*await in_thread(work))

    @routes.post("/sources/upload")
    async def upload(
        request: Request,
        name: Name,
        consent: bool = False,
        personal: Personal = "keep",
        owner: Annotated[list[Text] | None, Query(max_length=50)] = None,
    ) -> Response:
        """Learn from a file that has no path here: its bytes are the body. It is read, and erased;
        first without ``consent``, to ask."""
        most_bytes = int(parts.config["retrieval.max_file_mb"]) << 20
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > most_bytes:
            raise too_large(name, most_bytes)
        body = NewSource(
            path=name, owners=owner or [], personal=personal, consent=consent, name=name[:200]
        )
        partial = await receive(request.stream(), name, most_bytes)

        def work() -> tuple[dict[str, Any], int]:
            try:
                reading = importing.look(partial, owners=body.owners, name=Path(name).name)
                return _taken(parts, reading, body, name[:200], "")
            finally:
                leftovers.erase(partial)

        return json_response(*await in_thread(work))

    @routes.delete("/sources/{source}")
    async def remove(source: str, dependents: Dependents = "stale") -> Response:
        """Erase a source with all of its samples, and what came of them."""
        receipt = await in_thread(
            lambda: forgetting.forget_samples(parts, source=source, dependents=dependents)
        )
        return json_response(receipt.json())


def _add_samples(routes: APIRouter, parts: Parts) -> None:
    @routes.get("/samples")
    async def samples(
        source: str | None = None,
        kind: Kind | None = None,
        held_out: bool | None = None,
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Response:
        """Samples in the order in which they came; ``total`` is how many fit."""

        def work() -> dict[str, Any]:
            found = parts.kept.samples.all(source=source, kind=kind, held_out=held_out)
            page = found[offset : offset + limit]
            return {"samples": [one.json() for one in page], "total": len(found)}

        return json_response(await in_thread(work))

    @routes.post("/samples/collect")
    async def collect() -> Response:
        """Make the samples of feedback what the feedback is now; nothing without consent."""

        def work() -> dict[str, Any]:
            done = collecting.collect(parts)
            return {**_added(done.added), "gone": done.gone.json()}

        return json_response(await in_thread(work))

    @routes.get("/samples/export")
    async def export(source: str | None = None, kind: Kind | None = None) -> Response:
        """The samples as JSON lines, in the forms that trainers read."""

        def work() -> bytes:
            return "".join(lines(parts.kept.samples.all(source=source, kind=kind))).encode()

        headers = {"Content-Disposition": 'attachment; filename="samples.jsonl"'}
        return Response(await in_thread(work), 200, headers, media_type="application/jsonl")

    @routes.get("/samples/{id}")
    async def read(id: str) -> Response:
        """One sample, and the ``adapters`` that learned from it."""

        def work() -> dict[str, Any]:
            one = parts.kept.samples.get(id)
            digests = parts.kept.samples.adapters_of([one.id])
            names = sorted(a.full_name for a in parts.adapters.list() if a.digest in digests)
            return {**one.json(), "adapters": names}

        return json_response(await in_thread(work))

    @routes.delete("/samples/{id}")
    async def erase(id: str, dependents: Dependents = "stale") -> Response:
        """Erase a sample, and what came of it."""
        receipt = await in_thread(
            lambda: forgetting.forget_samples(parts, [id], dependents=dependents)
        )
        return json_response(receipt.json())

    @routes.delete("/samples")
    async def erase_many(body: SamplesGone) -> Response:
        """Erase samples, and what came of them."""
        receipt = await in_thread(
            lambda: forgetting.forget_samples(parts, body.ids, dependents=body.dependents)
        )
        return json_response(receipt.json())


def _feedback(parts: Parts, body: NewSource) -> tuple[dict[str, Any], int]:
    if not body.consent:
        said = len(parts.kept.conversations.opinions.all())
        return {"source": None, "question": t("samples.agree_feedback", count=said)}, 200
    collecting.agree(parts, personal=body.personal)
    source = collecting.source_of(parts)
    assert source is not None
    return _answered(parts, source, collecting.collect(parts).added, ()), 201


def _taken(
    parts: Parts, reading: Reading, body: NewSource, name: str, origin: str
) -> tuple[dict[str, Any], int]:
    """What was read, and once the owner agreed, what was kept of it."""
    if not body.consent:
        found = {
            "kind": reading.kind,
            "form": reading.form,
            "files": reading.files,
            "conversations": reading.conversations,
            "drafts": len(reading.drafts),
            "owners": list(reading.owners),
            "skipped": list(reading.skipped),
        }
        return {"source": None, "question": importing.question(reading, name), **found}, 200
    source, added = importing.take(
        parts,
        reading,
        name,
        origin=origin,
        personal=body.personal,
        sensitivity=sensitivity_of(body.sensitivity),
    )
    return _answered(parts, source, added, reading.skipped), 201


def _answered(
    parts: Parts, source: Source, added: Added, skipped: tuple[str, ...]
) -> dict[str, Any]:
    counts = parts.kept.samples.counts()
    found = source.json(counts.get(source.id))
    return {"source": found, **_added(added), "skipped": list(skipped)}


def _added(added: Added) -> dict[str, Any]:
    return {
        "added": len(added.added),
        "duplicates": added.duplicates,
        "refused": dict(added.refused),
    }

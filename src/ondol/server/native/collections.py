"""Ondol's own endpoints about collections and limits, and how a request says which documents count.

A filter has the keys and values of the search box (``in``, ``path``, ``type``, ``after``,
``before``, ``lang``), and ``not``. A key that is not known is refused: ignoring it would widen what
is looked at.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.json import labelled_json, sensitivity_of
from ondol.parts import Parts
from ondol.retrieval import query
from ondol.retrieval.collections import Relabelling, names_of
from ondol.retrieval.filters import Filter
from ondol.server.body import Lenient, json_response
from ondol.server.door.security import check_no_device
from ondol.server.streaming import in_thread
from ondol.types import Sensitivity

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
Word = Literal["private", "trusted", "public"]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Texts = Annotated[list[Text], Field(max_length=100), BeforeValidator(_listed)]


class Excluded(BaseModel):
    """What documents must not be."""

    model_config = ConfigDict(extra="forbid")

    collections: Texts = Field(default_factory=list, alias="in")
    path: Texts = Field(default_factory=list)
    type: Texts = Field(default_factory=list)
    lang: Texts = Field(default_factory=list)

    def values(self) -> dict[str, list[str]]:
        """The values by key, as ``query.read`` takes them."""
        found = {"in": self.collections, "path": self.path, "type": self.type, "lang": self.lang}
        return {key: values for key, values in found.items() if values}


class Wanted(Excluded):
    """Which documents count; of the values of one key any will do, all keys must hold."""

    after: Text | None = None
    before: Text | None = None

    def values(self) -> dict[str, list[str]]:
        days = {"after": self.after, "before": self.before}
        return Excluded.values(self) | {key: [day] for key, day in days.items() if day}

    def read(self) -> Filter:
        """The filter; a value that cannot be is a ``UsageError`` that names its field."""
        try:
            return query.read(self.values())
        except UsageError as error:
            raise UsageError(error.message, error.hint, param=f"filter.{error.param}") from error


class FilterFields(Wanted):
    """Which documents count, and which of them do not."""

    excluded: Excluded | None = Field(default=None, alias="not")

    def values(self) -> dict[str, list[str]]:
        excluded = self.excluded.values() if self.excluded else {}
        return Wanted.values(self) | {f"-{key}": found for key, found in excluded.items()}


class NewCollection(Lenient):
    name: Text
    sensitivity: Word = "private"


class CollectionChange(Lenient):
    name: Text | None = None
    sensitivity: Word | None = None


class NewLimit(Lenient):
    path: Text
    sensitivity: Word


def read_question(text: str, fields: FilterFields | None) -> tuple[str, Filter]:
    """``text`` without the filters it holds, and these with those of ``fields``."""
    rest, said = query.parse(text)
    return rest, said & (fields.read() if fields else None)


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about collections and limits."""

    @routes.get("/collections")
    async def collections() -> Response:
        """Every collection, how far it may travel, and how much is in it."""

        def work() -> list[dict[str, Any]]:
            return [labelled_json(one) for one in parts.library.collections.all()]

        return json_response({"collections": await in_thread(work)})

    @routes.post("/collections")
    async def create(body: NewCollection) -> Response:
        """Make an empty collection."""
        level = sensitivity_of(body.sensitivity)
        made = await in_thread(lambda: parts.library.collections.create(body.name, level))
        return json_response(labelled_json(made), 201)

    @routes.patch("/collections/{collection:path}")
    async def change(request: Request, collection: str, body: CollectionChange) -> Response:
        """Rename or relabel a collection; says how many documents may travel further, or less. A
        phone lets nothing travel further."""

        def work() -> dict[str, Any]:
            known, name, done = parts.library.collections, collection, Relabelling()
            if body.sensitivity:
                now = known.get(collection).sensitivity
                _check_loosening(request, now, sensitivity_of(body.sensitivity))
            # First what may be refused: nothing gets freer in a request that fails.
            if body.name:
                name = known.rename(name, body.name).name
            if body.sensitivity:
                done = known.set_sensitivity(name, sensitivity_of(body.sensitivity))
            return labelled_json(known.get(name)) | asdict(done)

        return json_response(await in_thread(work))

    @routes.delete("/collections/{collection:path}")
    async def remove(collection: str) -> Response:
        """Remove a collection that is empty."""
        await in_thread(lambda: parts.library.collections.remove(collection))
        return json_response({"removed": collection})

    @routes.get("/limits")
    async def limits() -> Response:
        """The files and folders that may travel less far than their collection."""

        def work() -> list[dict[str, Any]]:
            return [labelled_json(one) for one in parts.library.collections.limits()]

        return json_response({"limits": await in_thread(work)})

    @routes.post("/limits")
    async def limit(request: Request, body: NewLimit) -> Response:
        """Limit how far a file, or all in a folder, may travel; ``public`` takes the limit away. A
        phone takes none away."""
        path = Path(body.path) if "\0" not in body.path else Path()
        if not path.is_absolute():
            raise UsageError(t("server.relative_path", path=body.path[:200]), param="path")
        level = sensitivity_of(body.sensitivity)

        def work() -> dict[str, Any]:
            known = parts.library.collections
            names = names_of(path)
            held = [one.sensitivity for one in known.limits() if one.path in names]
            _check_loosening(request, min(held, default=Sensitivity.PUBLIC), level)
            return asdict(known.set_limit(path, level))

        done = await in_thread(work)
        return json_response({"path": str(path), "sensitivity": body.sensitivity} | done)


def _check_loosening(request: Request, now: Sensitivity, then: Sensitivity) -> None:
    """What lets documents travel further is for the owner alone (``ForbiddenError``): a phone that
    was lost, or a program, would send them away with it."""
    if then > now:
        check_no_device(request)

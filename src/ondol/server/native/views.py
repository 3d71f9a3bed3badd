"""Ondol's own endpoints for looking at what an answer quotes: a document at a passage, the page of
a PDF with the passage marked, and every place that matches.

Only what the library lists can be seen, by the name that it lists; see ``retrieval.viewing``.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from ondol.errors import DocumentError
from ondol.json import hit_json, sensitivity_word
from ondol.parts import Parts
from ondol.retrieval.filters import Filter
from ondol.retrieval.highlights import spans
from ondol.retrieval.loaders.page_picture import MOST_WIDTH
from ondol.retrieval.viewing import View
from ondol.server.body import Lenient, json_response
from ondol.server.native import png
from ondol.server.streaming import in_thread
from ondol.types import Hit

Source = Annotated[str, Field(min_length=1, max_length=20_000)]
Offset = Annotated[int, Field(ge=0, lt=2**31)]
MOST_CONTEXT = 200_000
MOST_MATCHES = 1000


class Place(Lenient):
    """A passage: the document's name in the library, and offsets into its text."""

    source: Source
    start: Offset = 0
    end: Offset = 0


class Viewed(Place):
    """How many characters before and after the passage come with it."""

    context: Annotated[int, Field(ge=0, le=MOST_CONTEXT)] = 4000


class PageOf(Place):
    """Without ``page``, the page that the passage is on."""

    page: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    width: Annotated[int, Field(ge=100, le=MOST_WIDTH)] = 1000


class Sought(Lenient):
    """What is looked for, in one document or in all."""

    query: Annotated[str, Field(min_length=1, max_length=4000)]
    source: Source | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_MATCHES)] = 200


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that show documents."""

    @routes.get("/documents/view")
    async def view(place: Annotated[Viewed, Query()]) -> Response:
        """A document at a passage: the text around it, what has become of its file, and where on
        which page of a PDF it stands."""

        def work() -> dict[str, Any]:
            found = parts.library.viewer.view(
                place.source, place.start, place.end, context=place.context
            )
            return view_json(found) | _on_page(parts, found)

        return json_response(await in_thread(work))

    @routes.get("/documents/page", response_class=Response)
    async def page(wanted: Annotated[PageOf, Query()]) -> Response:
        """A page of a PDF as a PNG, the passage marked; 409 where the file has changed since it was
        read, 404 where it is gone."""

        def work() -> bytes:
            found = parts.library.viewer.picture(
                wanted.source, wanted.page, wanted.start, wanted.end, width=wanted.width
            )
            return png.encode(found.width, found.height, found.pixels)

        return Response(await in_thread(work), media_type="image/png")

    @routes.get("/documents/matches")
    async def matches(sought: Annotated[Sought, Query()]) -> Response:
        """Every passage that matches a query, best first, in one document or in all; ``marks`` are
        its words, as offsets into the document; ``total`` counts those beyond ``limit`` too."""

        def work() -> dict[str, Any]:
            where = None
            if sought.source:
                # Named, so that a file of one conversation is found by who looks into it.
                collection = parts.library.viewer.collection(sought.source)
                where = Filter(collections=(collection,), paths=(sought.source,))
            hits = parts.library.search_all(sought.query, where=where)
            if sought.source:
                # A "*" in the name of a file would match others.
                hits = [hit for hit in hits if sought.source in (hit.chunk.source, *hit.also_in)]
            shown = [match_json(hit, sought.query) for hit in hits[: sought.limit]]
            return {"matches": shown, "total": len(hits)}

        return json_response(await in_thread(work))


def view_json(view: View) -> dict[str, Any]:
    """A view, without where on its page the passage is."""
    before, passage, after = view.parts
    return {
        "source": view.source,
        "title": view.title,
        "media_type": view.media_type,
        "collection": view.collection,
        "sensitivity": sensitivity_word(view.sensitivity),
        "added_at": view.added_at,
        "heading": view.heading,
        "before": before,
        "passage": {"text": passage, "start": view.start, "end": view.end},
        "after": after,
        "length": view.length,
        "more_before": view.more_before,
        "more_after": view.begin + len(view.text) < view.length,
        "file": {"status": view.file.status, "message": view.file.message},
        "page": view.page,
        "pages": view.pages,
        "has_pages": view.has_pages,
        "highlight": [],
    }


def match_json(hit: Hit, query: str) -> dict[str, Any]:
    """A passage with the words of ``query`` in it."""
    marks = [[hit.chunk.start + a, hit.chunk.start + b] for a, b in spans(hit.chunk.text, query)]
    return hit_json(hit) | {"marks": marks}


def _on_page(parts: Parts, view: View) -> dict[str, Any]:
    """Where the passage is on the pages of a PDF, as the file has them."""
    if not view.has_pages:
        return {}
    try:
        found = parts.library.viewer.picture(view.source, None, view.start, view.end)
    except DocumentError as error:
        # The text is there all the same.
        return {"has_pages": False, "file": {"status": "changed", "message": error.message}}
    boxes = [dict(zip(("left", "top", "right", "bottom"), box, strict=True)) for box in found.boxes]
    return {"page": found.page, "pages": found.pages, "highlight": boxes}

"""Ondol's own endpoint that forgets documents: by path, by filter, by the words that they hold.

With a look beforehand at what would go."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from ondol.errors import UsageError
from ondol.forget import forget as forget_everywhere
from ondol.i18n import t
from ondol.parts import Parts
from ondol.retrieval.filters import Filter
from ondol.server.body import Flag, Lenient, json_response
from ondol.server.native.collections import FilterFields, Text
from ondol.server.native.library import absolute
from ondol.server.streaming import in_thread

# As many names as anybody looks at before saying yes.
SHOWN = 200


class ForgetRequest(Lenient):
    """What to forget: all that is given must hold. ``dry_run`` only looks."""

    paths: Annotated[list[Text], Field(max_length=10_000)] = Field(default_factory=list)
    filter: FilterFields | None = None
    matching: Annotated[str, Field(max_length=4000)] = ""
    dry_run: Flag = False


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the route that forgets."""

    @routes.delete("/documents")
    async def forget(body: ForgetRequest) -> Response:
        """Remove documents from the library and from this server's memory, and erase uploads; your
        own files stay. With ``dry_run``, only say what would go."""
        files = [absolute(path, "paths") for path in body.paths]
        where = body.filter.read() if body.filter else Filter()
        if not (files or where or body.matching.strip()):
            raise UsageError(t("uploads.what_to_forget"), param="paths")

        def look() -> dict[str, Any]:
            chosen = parts.library.chosen(files, where=where, matching=body.matching)
            return {
                "documents": len(chosen.documents),
                "sources": chosen.sources[:SHOWN],
                "collections": list(chosen.collections),
            }

        def work() -> dict[str, Any]:
            return forget_everywhere(parts, files, where=where, matching=body.matching).json()

        return json_response(await in_thread(look if body.dry_run else work))

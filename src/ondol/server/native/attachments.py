"""Ondol's own endpoints about the files of one conversation."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from ondol.parts import Parts
from ondol.server.body import json_response
from ondol.server.conversing import attaching
from ondol.server.conversing.runs import Runs
from ondol.server.streaming import in_thread


def add_routes(routes: APIRouter, parts: Parts, runs: Runs) -> None:
    """Add the routes that are about files dropped into a conversation."""

    @routes.post("/conversations/{conversation}/attachments")
    async def attach(
        conversation: str, request: Request, name: Annotated[str, Query(max_length=1000)]
    ) -> Response:
        """Drop a file, the body, into a conversation: it is read for this one only, and private.
        Says whether it could be read."""
        content = await request.body()

        def work() -> dict[str, Any]:
            kept = runs.conversations
            return attaching.attach(parts, kept, conversation, name, content).json()

        return json_response(await in_thread(work), 201)

    @routes.delete("/conversations/{conversation}/attachments/{name:path}")
    async def detach(conversation: str, name: str) -> Response:
        """Erase a file of a conversation, and what was read of it."""

        def work() -> None:
            attaching.detach(parts, runs.conversations, conversation, name)

        await in_thread(work)
        return json_response({"removed": name})

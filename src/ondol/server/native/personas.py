"""Ondol's own endpoints for personas: profiles under a name, one of them chosen."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.body import Lenient, json_response
from ondol.server.streaming import in_thread


class PersonaText(Lenient):
    """What chats begin with, and whether they do from now on."""

    text: Annotated[str, Field(max_length=100_000)] | None = None
    is_chosen: bool | None = None


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about personas."""

    @routes.get("/personas")
    async def personas() -> Response:
        """All of them, by name."""
        found = await in_thread(parts.kept.memories.personas.all)
        return json_response({"personas": [asdict(one) for one in found]})

    @routes.put("/personas/{name}")
    async def put(name: str, body: PersonaText) -> Response:
        """Keep a persona, or change it; ``is_chosen`` has chats begin with it, or not."""
        if body.text is None and body.is_chosen is None:
            raise UsageError(t("memory.no_change"), param="text")

        def work() -> dict[str, Any]:
            own = parts.kept.memories.personas
            if body.text is not None:
                own.put(name, body.text)
            found = own.get(name.strip())
            if body.is_chosen is not None and body.is_chosen != found.is_chosen:
                own.choose(found.name if body.is_chosen else None)
            return asdict(own.get(found.name))

        return json_response(await in_thread(work))

    @routes.delete("/personas/{name}")
    async def remove(name: str) -> Response:
        """Erase a persona for good."""
        return json_response(
            {"is_erased": await in_thread(lambda: parts.kept.memories.personas.remove(name))}
        )

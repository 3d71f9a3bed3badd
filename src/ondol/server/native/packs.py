"""Ondol's own endpoints for packs: what is installed, what it measured here, and its removal.

One is installed as all else that a hub offers (``updates``). Raises what ``updating.packs`` raises.
"""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from ondol.parts import Parts
from ondol.server.body import json_response
from ondol.server.native.installing import Tell, Updates
from ondol.server.streaming import in_thread


def add_routes(routes: APIRouter, parts: Parts, updates: Updates) -> None:
    """Add the routes that are about packs; evaluations go on among the ``updates``."""

    @routes.get("/packs")
    async def listed() -> Response:
        """The packs on this machine, with what was measured here without and with each."""

        def work() -> list[dict[str, Any]]:
            from ondol.updating import packs

            return [one.json() for one in packs.all(parts)]

        return json_response({"packs": await in_thread(work)})

    @routes.get("/packs/{pack:path}")
    async def one(pack: str) -> Response:
        """One pack."""

        def work() -> dict[str, Any]:
            from ondol.updating import packs

            return packs.get(parts, pack).json()

        return json_response(await in_thread(work))

    @routes.post("/packs/{pack:path}/evaluate")
    async def evaluate(pack: str) -> Response:
        """Ask the questions of a pack again, without and with it, in the background (201)."""

        def begin() -> Response:
            from ondol.updating import packs

            name = packs.get(parts, pack).name

            def work(tell: Tell, cancel: threading.Event) -> dict[str, Any]:
                def on_progress(done: int, total: int) -> None:
                    tell("evaluate", done, total)

                tell("evaluate", 0, None)
                return packs.evaluate(parts, name, on_progress, cancel).json()

            update, is_new = updates.start("evaluate", {"name": name}, work)
            return json_response(update.json(), 201 if is_new else 200)

        return await in_thread(begin)

    @routes.delete("/packs/{pack:path}")
    async def remove(pack: str) -> Response:
        """Remove a pack and what it brought; prompts of it that the owner changed stay."""

        def work() -> dict[str, Any]:
            from ondol.updating import packs

            found = asdict(packs.remove(parts, pack))
            return {"removed": found.pop("name"), **found}

        return json_response(await in_thread(work))

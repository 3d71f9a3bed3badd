"""Ondol's own endpoints for what answers where only a model is named: activate an adapter that
passed the gate, return to what was before, and look back."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from ondol.parts import Parts
from ondol.personal import activating
from ondol.server.body import Lenient, json_response
from ondol.server.native.collections import Text
from ondol.server.streaming import in_thread


class Rollback(Lenient):
    """``model`` is the chat model where none is named; ``alone`` returns to the model itself,
    however many activations ago that was."""

    model: Text | None = None
    alone: bool = False


def add_routes(routes: APIRouter, parts: Parts) -> None:
    @routes.get("/activations")
    async def activations() -> Response:
        """What answers for each model that an adapter was ever activated for, and the history."""

        def work() -> dict[str, Any]:
            found = parts.kept.activations.history()
            models = dict.fromkeys(one.model for one in found)
            here = {one.name for one in parts.store.list()}
            return {
                "models": [activating.standing(parts, name) for name in models if name in here],
                "activations": [one.json() for one in found],
            }

        return json_response(await in_thread(work))

    @routes.post("/adapters/{adapter:path}/activate")
    async def activate(adapter: str) -> Response:
        """Let the adapter `model:adapter` answer where only its model is named."""
        found = await in_thread(lambda: activating.activate(parts, adapter))
        return json_response(found.json())

    @routes.post("/activations/rollback")
    async def rollback(body: Rollback) -> Response:
        """Return to what answered before the last activation."""
        back = activating.deactivate if body.alone else activating.rollback
        found = await in_thread(lambda: back(parts, body.model))
        return json_response(found.json())

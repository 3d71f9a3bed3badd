"""Ondol's own endpoint for what the owner says of an answer: right, wrong, or nothing any more."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from fastapi.responses import Response

from ondol.parts import Parts
from ondol.server.body import Lenient, json_response
from ondol.server.native_models import Text
from ondol.server.streaming import in_thread


class Feedback(Lenient):
    """``id`` is an answer's ``ledger_id`` or its beginning, by default the latest answer's;
    ``right: null`` takes back what was said."""

    id: Text | None = None
    right: bool | None


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the route that takes feedback."""

    @routes.post("/feedback")
    async def feedback(body: Feedback) -> Response:
        """Say whether an answer was right. ``ondol calibrate`` learns from it."""
        outcome = await in_thread(lambda: parts.oversight.thumb(body.id, body.right))
        return json_response(asdict(outcome))

"""Ondol's own endpoints for what the owner says of answers: right, wrong, why, and how they should
have been; of any answer by its place in the ledger, or of one that is kept in a conversation."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from ondol.conversations.records import Message
from ondol.errors import OndolError
from ondol.parts import Parts
from ondol.personal import collecting
from ondol.server.body import Lenient, json_response
from ondol.server.conversing.runs import Runs
from ondol.server.native.models import Text
from ondol.server.native.runs import Long
from ondol.server.streaming import in_thread


class Feedback(Lenient):
    """``id`` is an answer's ``ledger_id`` or its beginning, by default the latest answer's;
    ``right: null`` takes back what was said."""

    id: Text | None = None
    right: bool | None


class MessageFeedback(Lenient):
    """``reasons`` are codes; ``edited`` is the answer as it should have been."""

    right: bool | None = None
    reasons: Annotated[list[str], Field(max_length=20)] = Field(default_factory=list)
    edited: Long | None = None


def add_routes(routes: APIRouter, parts: Parts, runs: Runs) -> None:
    """Add the routes that take feedback."""

    @routes.post("/feedback")
    async def feedback(body: Feedback) -> Response:
        """Say whether an answer was right. ``ondol calibrate`` learns from it."""
        outcome = await in_thread(lambda: parts.oversight.thumb(body.id, body.right))
        return json_response(asdict(outcome))

    @routes.get("/feedback")
    async def all_feedback() -> Response:
        """All that was said of answers in conversations, the latest first."""

        def work() -> dict[str, Any]:
            return {"feedback": [_placed(one) for one in runs.conversations.opinions.all()]}

        return json_response(await in_thread(work))

    @routes.put("/messages/{message}/feedback")
    async def give(message: str, body: MessageFeedback) -> Response:
        """Say this of an answer, in the place of what was said before."""

        def work() -> dict[str, Any]:
            opinions = runs.conversations.opinions
            found = opinions.give(message, body.right, body.reasons, body.edited)
            _thumb(parts, found, body.right)
            collecting.collect(parts, found.conversation)
            return _placed(found)

        return json_response(await in_thread(work))

    @routes.delete("/messages/{message}/feedback")
    async def take_back(message: str) -> Response:
        """Take back what was said of an answer."""

        def work() -> None:
            found = runs.conversations.opinions.take_back(message)
            _thumb(parts, found, None)
            collecting.collect(parts, found.conversation)

        await in_thread(work)
        return json_response({"feedback": None})


def _placed(message: Message) -> dict[str, Any]:
    own = message.feedback.json() if message.feedback else {}
    return {"conversation": message.conversation, "message": message.id, **own}


def _thumb(parts: Parts, message: Message, right: bool | None) -> None:
    """Tell who calibrates. An answer that no model gave, or that was never written down, has
    nothing to be calibrated."""
    id = (message.answer or {}).get("ledger_id")
    if id:
        with suppress(OndolError):
            parts.oversight.thumb(str(id), right)

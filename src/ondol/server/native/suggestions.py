"""Ondol's own endpoints for what it would remember: seen, looked for, said yes or no to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from ondol.answering import gather
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.json import labelled_json, sensitivity_of
from ondol.memory.proposing import Generate
from ondol.parts import Parts
from ondol.server.body import Lenient, json_response
from ondol.server.conversing import remembering
from ondol.server.generation import find_able
from ondol.server.native.collections import Text, Word
from ondol.server.native.memories import Kind
from ondol.server.native.runs import Name
from ondol.server.streaming import in_thread
from ondol.types import GenerateOptions, Message


class Looking(Lenient):
    """Which conversation to look through; ``model`` also asks a model of this machine for what it
    would remember: "" for none, "default" for the one that answers chats."""

    conversation: Name
    model: Name = ""


class Yes(Lenient):
    """What the owner changes before it is remembered."""

    text: Text | None = None
    kind: Kind | None = None
    sensitivity: Word | None = None


class Declining(Lenient):
    """Either ``ids`` or, with ``all``, everything that waits."""

    ids: Annotated[list[Text], Field(max_length=1000)] | None = None
    all: bool = False


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about suggestions. Before those of memories: "suggestions" is no id
    of one."""

    @routes.get("/memories/suggestions")
    async def suggestions() -> Response:
        """What waits for a yes, the latest first. No chat gets any of it."""
        found = await in_thread(parts.kept.memories.suggestions.all)
        return json_response({"suggestions": [labelled_json(one) for one in found]})

    @routes.post("/memories/suggestions")
    async def look(body: Looking) -> Response:
        """Look through what the owner said in a conversation, by rules and, if wanted, with a
        model: what is new."""

        def work() -> list[dict[str, Any]]:
            return [
                labelled_json(one)
                for one in remembering.look_through(parts, body.conversation, _asking(body.model))
            ]

        return json_response({"suggestions": await in_thread(work)})

    @routes.post("/memories/suggestions/{id}")
    async def accept(id: str, body: Yes) -> Response:
        """Yes: it is remembered from now on."""
        level = None if body.sensitivity is None else sensitivity_of(body.sensitivity)
        memories = parts.kept.memories
        learned = await in_thread(
            lambda: memories.suggestions.accept(
                id, memories, text=body.text, kind=body.kind, sensitivity=level
            )
        )
        return json_response(remembering.learned_json(learned), 201)

    @routes.delete("/memories/suggestions/{id}")
    async def decline(id: str) -> Response:
        """No: it is not suggested again."""
        count = await in_thread(lambda: parts.kept.memories.suggestions.decline([id]))
        return json_response({"declined": count})

    @routes.delete("/memories/suggestions")
    async def decline_many(body: Declining) -> Response:
        """No to ``ids``, or to ``all`` that waits."""
        if body.all == (body.ids is not None):
            raise UsageError(t("memory.which"), param="ids")

        def work() -> int:
            waiting = parts.kept.memories.suggestions
            ids = [one.id for one in waiting.all()] if body.all else body.ids or []
            return waiting.decline(ids)

        return json_response({"declined": await in_thread(work)})

    def _asking(name: str) -> Generate | None:
        if not name:
            return None
        wanted = parts.config["models.chat"] if name == "default" else name
        model = find_able(parts, wanted, "completion", t("server.deed_chat")).name

        def generate(messages: Sequence[Message], options: GenerateOptions) -> str:
            return gather(list(parts.engine(model).generate(messages, options))).text

        return generate

"""Ondol's own endpoints about conversations: kept, found, changed, exported, erased."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from ondol.conversations.exporting import as_json, as_markdown
from ondol.conversations.records import Conversation, Message
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.personal import collecting
from ondol.personal.forgetting import Dependents
from ondol.server.body import Lenient, json_response, to_bytes
from ondol.server.conversing import attaching
from ondol.server.conversing.runs import Runs
from ondol.server.native import attachments as native_attachments
from ondol.server.native import feedback as native_feedback
from ondol.server.native import prompts as native_prompts
from ondol.server.native import runs as native_runs
from ondol.server.native.collections import FilterFields
from ondol.server.native.runs import Long, Name
from ondol.server.streaming import in_thread

Limit = Annotated[int, Query(ge=1, le=200)]


class Fields(Lenient):
    """What can be said of a conversation; what is not said stays as it is."""

    title: Annotated[str, Field(max_length=1000)] | None = None
    folder: Annotated[str, Field(max_length=1000)] | None = None
    pinned: bool | None = None
    model: Name | None = None
    mode: Literal["documents", "chat"] | None = None
    filter: FilterFields | None = None
    wanted: Literal["auto", "here", "home"] | None = None
    draft: Long | None = None
    persona: Name | None = None

    def given(self) -> dict[str, Any]:
        """The values that were said; an empty filter is none."""
        found = {name: getattr(self, name) for name in self.model_fields_set}
        if self.filter is not None:
            # Not before it is known that it can be read.
            self.filter.read()
            dumped = self.filter.model_dump(by_alias=True, exclude_defaults=True)
            found["filter"] = dumped
        elif "filter" in found:
            found["filter"] = {}
        return {name: value for name, value in found.items() if value is not None}


class Changes(Fields):
    leaf: Name | None = None


class Which(Lenient):
    """``dependents`` is what becomes of adapters that learned from feedback in them."""

    ids: Annotated[list[Name], Field(max_length=10_000)] | None = None
    all: bool = False
    dependents: Dependents = "stale"


def add_all(routes: APIRouter, parts: Parts) -> None:
    """Add the routes about conversations and everything in them; their runs end with the server."""
    runs = Runs(parts)

    before = routes.lifespan_context

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        async with before(app) as state:
            yield state
        await in_thread(runs.close)

    routes.lifespan_context = lifespan
    add_routes(routes, parts, runs)
    native_runs.add_routes(routes, parts, runs)
    native_feedback.add_routes(routes, parts, runs)
    native_attachments.add_routes(routes, parts, runs)
    native_prompts.add_routes(routes, runs)


def add_routes(routes: APIRouter, parts: Parts, runs: Runs) -> None:
    """Add the routes that are about conversations."""

    def shown(one: Conversation) -> dict[str, Any]:
        run = runs.of(one.id)
        return one.json(run.id if run else None)

    @routes.get("/conversations")
    async def conversations(
        query: str = "", folder: str | None = None, before: str = "", limit: Limit = 50
    ) -> Response:
        """The pinned ones, then the latest; those that hold every word of ``query`` in their title
        or in what was said. ``next`` is ``before`` of the next page."""

        def work() -> dict[str, Any]:
            page, following = runs.conversations.page(
                query, folder=folder, before=before, limit=limit
            )
            return {"conversations": [shown(one) for one in page], "next": following}

        return json_response(await in_thread(work))

    @routes.post("/conversations")
    async def create(body: Fields) -> Response:
        """Begin a conversation; its first question gives it a title."""

        def work() -> dict[str, Any]:
            return shown(runs.conversations.create(**body.given()))

        return json_response(await in_thread(work), 201)

    @routes.delete("/conversations")
    async def remove_some(body: Which) -> Response:
        """Erase all conversations, or those of ``ids``, with their files: down to their bytes."""
        if body.all == (body.ids is not None):
            raise UsageError(t("conversations.which"), param="ids")

        def work() -> dict[str, Any]:
            ids = runs.conversations.ids() if body.all else body.ids or []
            return _remove(parts, runs, ids, body.dependents)

        return json_response(await in_thread(work))

    @routes.get("/conversations/{conversation}")
    async def read(conversation: str) -> Response:
        """A conversation with all its messages, every branch of them."""

        def work() -> dict[str, Any]:
            # Before and after: a run that ends or begins meanwhile was running.
            around = [runs.of(conversation)]
            found = runs.conversations.get(conversation)
            messages = runs.conversations.messages(conversation)
            around.append(runs.of(conversation))
            running = {run.message.id for run in around if run}
            told = [_told(one, running) for one in messages]
            return {"conversation": shown(found), "messages": told}

        return json_response(await in_thread(work))

    @routes.patch("/conversations/{conversation}")
    async def change(conversation: str, body: Changes) -> Response:
        """Change what is said of a conversation, its draft, or which branch is shown (``leaf``)."""

        def work() -> dict[str, Any]:
            return shown(runs.conversations.change(conversation, **body.given()))

        return json_response(await in_thread(work))

    @routes.delete("/conversations/{conversation}")
    async def remove(conversation: str, dependents: Dependents = "stale") -> Response:
        """Erase a conversation with its files: down to their bytes."""
        return json_response(
            await in_thread(lambda: _remove(parts, runs, [conversation], dependents))
        )

    @routes.get("/conversations/{conversation}/export")
    async def export(conversation: str, format: Literal["md", "json"] = "md") -> Response:
        """The branch that is shown as Markdown, or everything as JSON, as a file."""

        def work() -> tuple[Conversation, bytes]:
            found = runs.conversations.get(conversation)
            if format == "md":
                path = runs.conversations.turns.path(conversation, found.leaf)
                return found, as_markdown(found, path).encode()
            return found, to_bytes(as_json(found, runs.conversations.messages(conversation)))

        found, content = await in_thread(work)
        kind = "text/markdown" if format == "md" else "application/json"
        name = quote(f"{found.title or found.id}.{format}", safe="")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        return Response(content, 200, headers, media_type=f"{kind}; charset=utf-8")


def _told(message: Message, running: set[str]) -> dict[str, Any]:
    """A message as it is. One whose end could not be written down, on a full disk, has stopped."""
    found = message.json()
    if message.status == "running" and message.id not in running:
        return {**found, "status": "stopped"}
    return found


def _remove(parts: Parts, runs: Runs, ids: list[str], dependents: Dependents) -> dict[str, Any]:
    for id in ids:
        runs.conversations.get(id)
    for id in ids:
        runs.leave(id)
        attaching.detach_all(parts, runs.conversations, id)
    learned = collecting.conversations_gone(parts, ids, dependents=dependents)
    done = runs.conversations.delete(ids)
    told = {"conversations": done.conversations, "erased": done.is_erased}
    return {**told, "learned": learned.json()} if learned.samples else told

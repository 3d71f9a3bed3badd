"""Ondol's own endpoints about runs: ask in a conversation, listen, come back, stop.

A run's events are server-sent ones with ids: ``memory``, ``evidence``, ``token``…, ``escalation``,
``answer``, ``error``, and always ``end`` with the message as it is kept.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response
from pydantic import Field
from starlette.responses import StreamingResponse

from ondol.ask import Event
from ondol.conversations.records import Conversation, Message
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.models import scales
from ondol.parts import Parts
from ondol.retrieval import query, sight
from ondol.retrieval.filters import Filter
from ondol.role_marks import harmless
from ondol.server.body import Lenient, json_response, to_bytes
from ondol.server.conversing import remembering, replying
from ondol.server.conversing.confirming import Confirmations
from ondol.server.conversing.remembering import Noted
from ondol.server.conversing.replying import Wish
from ondol.server.conversing.run import Item, Run
from ondol.server.conversing.runs import Runs
from ondol.server.generation import Count, Real, find_able, limit_of, seed_of
from ondol.server.native.collections import FilterFields
from ondol.server.relay import places
from ondol.server.streaming import SSE, in_thread
from ondol.tooling import ToolUse
from ondol.types import GenerateOptions
from ondol.types import Message as Turn

HEARTBEAT_SECONDS = 15.0
Long = Annotated[str, Field(max_length=1_000_000)]
Name = Annotated[str, Field(max_length=400)]


class Options(Lenient):
    temperature: Real | None = None
    top_p: Real | None = None
    top_k: Count | None = None
    min_p: Real | None = None
    seed: int | None = None
    max_tokens: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    system: Long = ""


class RunRequest(Lenient):
    """One of: ``content`` below ``parent`` (by default what is shown), ``regenerate``, ``continue``
    or ``edit`` with ``content``. What else is not said is as in the conversation."""

    content: Long | None = None
    parent: Name | None = None
    regenerate: Name | None = None
    resume: Name | None = Field(default=None, alias="continue")
    edit: Name | None = None
    model: Name | None = None
    mode: Literal["documents", "chat"] | None = None
    filter: FilterFields | None = None
    wanted: Literal["auto", "here", "home"] | None = None
    options: Options = Field(default_factory=Options)


class Confirming(Lenient):
    """What the owner says of a call; ``always`` holds for the tool in this conversation."""

    allow: bool
    always: bool = False


def add_routes(routes: APIRouter, parts: Parts, runs: Runs) -> None:
    """Add the routes that are about runs."""

    @routes.post("/conversations/{conversation}/runs")
    async def start(conversation: str, body: RunRequest) -> Response:
        """Ask in a conversation. The answer is given whoever listens: see the run's events."""

        def work() -> dict[str, Any]:
            run, asked = _start(parts, runs, runs.conversations.get(conversation), body)
            return {
                "run": run.id,
                "user": asked.json() if asked else None,
                "message": run.message.json(),
            }

        return json_response(await in_thread(work), 201)

    @routes.get("/runs/{run}/events")
    async def events(
        run: str,
        after: Annotated[int | None, Query(ge=0)] = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Everything that a run says from event ``after`` on, until its ``end``; with
        ``Last-Event-ID`` it goes on from there."""
        begin = after if after is not None else _number(last_event_id)
        return StreamingResponse(_follow(runs.get(run), begin), media_type=SSE)

    @routes.post("/runs/{run}/calls/{call}")
    async def confirm(run: str, call: str, body: Confirming) -> Response:
        """Let a model call a tool, or not: the call is one that a ``tool_call`` event asked for."""
        runs.get(run).confirmations.answer(call, body.allow, always=body.always)
        return json_response({"allowed": body.allow})

    @routes.delete("/runs/{run}")
    async def stop(run: str) -> Response:
        """Stop a run; what was said until now is kept."""
        message = await in_thread(runs.get(run).stop)
        return json_response({"message": message.json()})


def _start(
    parts: Parts, runs: Runs, conversation: Conversation, body: RunRequest
) -> tuple[Run, Message | None]:
    deeds = [body.regenerate, body.resume, body.edit]
    asks = body.content is not None and not any((body.regenerate, body.resume))
    if sum(deed is not None for deed in deeds) > 1 or not (asks or body.regenerate or body.resume):
        raise UsageError(t("conversations.one_deed"), param="content")
    turns, id = runs.conversations.turns, conversation.id
    mode = body.mode or conversation.mode
    wish = _wish(parts, conversation, body, mode)
    before: dict[str, Message] = {}

    def begin() -> tuple[Message | None, Message]:
        if body.regenerate:
            return turns.regenerate(id, body.regenerate)
        if body.resume:
            before["said"] = turns.get(id, body.resume)
            return None, turns.resume(id, body.resume)
        content = body.content or ""
        if body.edit:
            return turns.edit(id, body.edit, content)
        has_parent = "parent" in body.model_fields_set
        return turns.ask(id, content, body.parent if has_parent else conversation.leaf)

    def answer(message: Message, asked_for: Confirmations) -> Iterator[Event | ToolUse | Noted]:
        *earlier, asked = turns.path(id, message.parent)
        history = _history(remembering.without_stated(earlier))
        if body.resume:
            said = before["said"]
            return replying.rest_of(
                parts, asked.content, history, said.content, said.answer or {}, wish
            )
        noted = remembering.note(parts, asked)
        return remembering.Telling(noted, reply(noted, history, asked_for))

    def reply(
        noted: Noted, history: list[Turn], asked_for: Confirmations
    ) -> Iterator[Event | ToolUse]:
        if not noted.rest:
            return remembering.acknowledged(noted)
        own = _collection(runs.conversations.get(id))
        if mode == "chat":
            among = replying.narrowed(wish, Filter(collections=own)) if own else wish
            box = runs.toolbox
            return replying.plain_reply(parts, noted.rest, history, among, box, asked_for.allow)
        fields = body.filter or FilterFields.model_validate(conversation.filter)
        question, typed = query.parse(noted.rest)
        # What is typed narrows everything; what is chosen narrows the library, not the files.
        among = replying.narrowed(wish, typed & replace(fields.read(), beside=own))
        return replying.from_documents(parts, question, history, among)

    return runs.start(id, begin, answer)


def _collection(conversation: Conversation) -> tuple[str, ...]:
    """The collection of a conversation's files, where any could be read."""
    is_read = any(one.status == "ready" for one in conversation.attachments)
    return (sight.collection_of(conversation.id),) if is_read else ()


def _wish(parts: Parts, conversation: Conversation, body: RunRequest, mode: str) -> Wish:
    """How the answer is wanted; a model that cannot give it, and a filter that cannot be, are
    refused before anything is kept."""
    if body.filter:
        body.filter.read()
    model = body.model or conversation.model or None
    if mode == "chat":
        name = model or parts.config["models.chat"]
        model = find_able(parts, name, "completion", t("server.deed_chat")).name
    elif model:
        scales.of(parts.adapters, model)
    asked, system = body.options, body.options.system
    if mode == "chat":
        system = remembering.instructions(parts, conversation.persona, system, model)
    options = GenerateOptions(
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        min_p=asked.min_p,
        seed=seed_of(asked.seed),
        max_tokens=limit_of(asked.max_tokens),
    )
    wanted = body.wanted or conversation.wanted
    return Wish(model, None, wanted, options, system)  # type: ignore[arg-type]


def _history(messages: list[Message]) -> list[Turn]:
    """What was said before, question and answer in turn: what got no answer is left out. An answer
    may hold a document's words, which open no turn."""
    found: list[Turn] = []
    for one in messages:
        if not one.content.strip():
            continue
        if found and found[-1].role == one.role:
            found.pop()
        is_ours = one.role == "assistant"
        found.append(Turn(one.role, harmless(one.content) if is_ours else one.content))
    if found and found[-1].role == "user":
        found.pop()
    return found


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 0


async def _follow(run: Run, after: int) -> AsyncIterator[bytes]:
    # A run that is still heard when the server ends says so itself.
    stop = threading.Thread(target=run.stop, name="ondol-stop", daemon=True)
    with run.listening() as happened, places().cutting(stop.start):
        while True:
            happened.clear()
            # Looked at before the events are: one that comes in between is heard in the next round.
            has_ended = run.has_ended
            items = run.after(after)
            if items:
                after = items[-1][0]
                yield b"".join(map(_event, items))
            if has_ended:
                return
            try:
                await asyncio.wait_for(happened.wait(), HEARTBEAT_SECONDS)
            except TimeoutError:
                yield b": still here\n\n"


def _event(item: Item) -> bytes:
    number, name, data = item
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, name.encode(), to_bytes(data))

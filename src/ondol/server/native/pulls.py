"""Ondol's own endpoints about pulls that go on in the server: start, follow, pause, give up.

The events of all pulls come in one stream, because a browser opens few connections at a time. Each
event carries the number of the pull's latest state; who comes back with it gets what it missed.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import Response

from ondol.parts import Parts
from ondol.server.body import json_response, to_bytes
from ondol.server.native.installing import Updates
from ondol.server.native.models import NamedModel, error_event
from ondol.server.native.pulling import Pulls
from ondol.server.ollama.models import check_source
from ondol.server.streaming import SSE, Source, in_thread, stream

# Nobody sees more steps than this; a comment now and then shows that the line holds.
PAUSE_SECONDS = 0.2
HEARTBEAT_SECONDS = 15.0
STALL_SECONDS = 3.0
HEARTBEAT = b": \n\n"


class Following:
    """The events of ``pulls`` after number ``after``, as they happen, until it is closed; ``name``
    is what one of them is called."""

    def __init__(self, pulls: Pulls | Updates, after: int, name: str = "pull") -> None:
        self._pulls = pulls
        self._name = name
        self._after = after
        self._waiting: list[bytes] = []
        self._closed = False
        self._is_first = True

    def __iter__(self) -> Following:
        return self

    def __next__(self) -> bytes:
        if not self._waiting:
            self._wait()
        if self._closed or not self._waiting:
            raise StopIteration
        return self._waiting.pop(0)

    def close(self) -> None:
        with self._pulls.changed:
            self._closed = True
            self._pulls.changed.notify_all()

    def _wait(self) -> None:
        pulls = self._pulls
        if not self._is_first:
            time.sleep(PAUSE_SECONDS)
        with pulls.changed:
            if self._is_first:
                self._is_first = False
                self._begin()
                return
            running = [one for one in pulls.list() if one.state == "running"]
            until = time.monotonic() + (STALL_SECONDS if running else HEARTBEAT_SECONDS)
            while pulls.number <= self._after and not (self._closed or pulls.closed):
                if (left := until - time.monotonic()) <= 0:
                    # Of one from which nothing comes, that nothing comes.
                    self._waiting = [_event(self._name, one.json(), self._after) for one in running]
                    self._waiting = self._waiting or [HEARTBEAT]
                    return
                pulls.changed.wait(left)
            if not (self._closed or pulls.closed):
                self._catch_up()

    def _begin(self) -> None:
        found = self._pulls.list()
        if self._after < self._pulls.first_number:
            self._after = self._pulls.number
            everything = {f"{self._name}s": [one.json() for one in found]}
            self._waiting.append(_event(f"{self._name}s", everything, self._after))
            return
        self._catch_up()
        self._waiting = self._waiting or [HEARTBEAT]

    def _catch_up(self) -> None:
        pulls = self._pulls
        news = [(one.number, self._name, one.json()) for one in pulls.list()]
        news += [(number, "removed", {"id": id}) for id, number in pulls.removed.items()]
        for number, name, value in sorted(news, key=lambda one: one[0]):
            if number > self._after:
                self._waiting.append(_event(name, value, number))
        self._after = pulls.number


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about pulls; they end with the app."""
    pulls = Pulls(parts)
    end_with_app(routes, pulls)

    @routes.get("/pulls")
    async def listed() -> Response:
        """The pulls of this server, and those that an earlier one left unfinished, as paused."""
        found = await in_thread(lambda: [pull.json() for pull in pulls.list()])
        return json_response({"pulls": found})

    @routes.post("/pulls")
    async def start(request: Request, body: NamedModel) -> Response:
        """Pull a model in the background (201); one that is under way or paused goes on (200)."""
        check_source(request, body.model)

        def work() -> Response:
            pull, is_new = pulls.start(body.model)
            return json_response(pull.json(), 201 if is_new else 200)

        return await in_thread(work)

    @routes.get("/pulls/events")
    async def events(
        request: Request, after: Annotated[int | None, Query(ge=0, lt=2**63)] = None
    ) -> Response:
        """Follow all pulls: ``pulls`` with the whole list at first, then ``pull`` and ``removed``
        as they happen. With ``after`` or ``Last-Event-ID``, only what came since."""
        begin = seen(request) if after is None else after
        source: Source[bytes] = Source(lambda: Following(pulls, begin))
        return await stream(request, source, source, SSE, error_event)

    @routes.post("/pulls/{pull}/pause")
    async def pause(pull: str) -> Response:
        """Stop a pull and keep what has arrived."""
        return json_response(await in_thread(lambda: pulls.pause(pull).json()))

    @routes.post("/pulls/{pull}/resume")
    async def resume(pull: str) -> Response:
        """Go on with a pull that is paused, waits or failed, now."""
        return json_response(await in_thread(lambda: pulls.resume(pull).json()))

    @routes.delete("/pulls/{pull}")
    async def remove(pull: str) -> Response:
        """Give a pull up and delete what has arrived; of one that is done, only stop listing it."""
        await in_thread(lambda: pulls.remove(pull))
        return json_response({"removed": pull})


def seen(request: Request) -> int:
    """The number of the event that the client says it saw last."""
    told = request.headers.get("last-event-id", "")
    return int(told) if told.isdecimal() and len(told) < 20 else 0


def _event(name: str, value: dict[str, Any], number: int) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, name.encode(), to_bytes(value))


def end_with_app(routes: APIRouter, pulls: Pulls | Updates) -> None:
    """Stop what goes on there when the app ends."""
    before = routes.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with before(app) as state:
            try:
                yield state
            finally:
                await in_thread(pulls.close)

    routes.lifespan_context = lifespan

"""Requests that are being answered end when the key they came with does.

Each has an event; a task that lives only while there are such requests looks every second whether
their keys still open. To be used from the server's event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import Message, Receive, Send

from ondol.callers import Caller
from ondol.errors import OndolError
from ondol.i18n import t
from ondol.server.errors import UnauthorizedError

LOOK_SECONDS = 1.0


class Presence:
    """Who is being answered; ``holds`` says whether a caller's key still opens."""

    def __init__(self, holds: Callable[[Caller], bool]) -> None:
        self._holds = holds
        self._present: dict[asyncio.Event, Caller] = {}
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def of(self, caller: Caller, receive: Receive, send: Send) -> Iterator[tuple[Receive, Send]]:
        """Inside the block ``caller`` is answered with what this gives in place of ``receive`` and
        ``send``: its client is gone, for the app, as soon as its key is."""
        ended = asyncio.Event()
        self._present[ended] = caller
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

        async def sending(message: Message) -> None:
            if ended.is_set():
                raise UnauthorizedError(t("keys.worthless"), t("keys.worthless_hint"))
            await send(message)

        try:
            yield (lambda: _until(ended, receive)), sending
        finally:
            del self._present[ended]

    async def _look(self) -> None:
        while self._present:
            for ended, caller in list(self._present.items()):
                if not self._is_held(caller):
                    ended.set()
            await asyncio.sleep(LOOK_SECONDS)

    def _is_held(self, caller: Caller) -> bool:
        try:
            return self._holds(caller)
        except OndolError:
            return False


async def _until(ended: asyncio.Event, receive: Receive) -> Message:
    """What ``receive`` gives, or that the client is gone."""
    if ended.is_set():
        return {"type": "http.disconnect"}
    tasks: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(receive()),
        asyncio.ensure_future(ended.wait()),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            message: Message = tasks[0].result()
            return message
        return {"type": "http.disconnect"}
    finally:
        for task in tasks:
            task.cancel()

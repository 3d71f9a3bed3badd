"""Conversations with the owner's MCP servers, by the official SDK: what they offer, and calls.

A server is connected when it is first needed and stays so until ``close``; the SDK is asynchronous,
so that it has a thread of its own here. A program gets a clean environment and, unless its owner
said otherwise, no network. Raises ``ToolServerError`` for a server that does not do as it should,
and ``EgressError``.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ondol.connections.doorway import MOST_ANSWER_BYTES, Doorway
from ondol.connections.lines import Reader, install, reader
from ondol.connections.offers import Offer, offers_of, result_text
from ondol.connections.servers import ToolServer
from ondol.egress import Egress
from ondol.errors import EgressError, ToolServerError
from ondol.i18n import t
from ondol.types import Sensitivity

if TYPE_CHECKING:
    import anyio
    from anyio.from_thread import BlockingPortal
    from mcp import Client

START_SECONDS = 30.0
CALL_SECONDS = 60.0
CLOSE_SECONDS = 10.0
MOST_PAGES = 10


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool gave, as a model reads it."""

    text: str
    is_error: bool = False


class Sessions:
    """The servers of one conversation, or of one process. Safe to use from several threads."""

    def __init__(
        self,
        egress: Egress,
        *,
        start_seconds: float = START_SECONDS,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._egress = egress
        self._start_seconds, self._call_seconds = start_seconds, call_seconds
        self._lock = threading.RLock()
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._open: dict[str, _Session] = {}

    def offers(self, server: ToolServer) -> tuple[list[Offer], list[str]]:
        """The tools of ``server`` that a model can be given, and the names of its others."""
        return self._session(server).offers

    def call(
        self, server: ToolServer, tool: str, arguments: dict[str, Any], label: Sensitivity
    ) -> Result:
        """What ``tool`` gives for ``arguments``, which may travel as far as ``label`` says. A
        session that broke is opened anew by the next call."""
        session = self._session(server)
        try:
            return session.call(tool, arguments, label, self._call_seconds)
        except BaseException:
            with self._lock:
                self._open.pop(server.name, None)
            session.close()
            raise

    def close(self) -> None:
        """End every conversation, and every program that was started for one."""
        with self._lock:
            sessions, self._open = list(self._open.values()), {}
            for session in sessions:
                session.close()
            self._portal = None
            self._stack.close()

    def _session(self, server: ToolServer) -> _Session:
        with self._lock:
            if server.name not in self._open:
                from anyio.from_thread import start_blocking_portal

                if self._portal is None:
                    self._portal = self._stack.enter_context(start_blocking_portal())
                made = _Session(self._portal, self._egress, server, self._start_seconds)
                self._open[server.name] = made
            return self._open[server.name]


class _Session:
    """One server that is connected."""

    def __init__(
        self, portal: BlockingPortal, egress: Egress, server: ToolServer, start_seconds: float
    ) -> None:
        self._portal = portal
        self._server = server
        self._lock = threading.Lock()
        self._reader = Reader(MOST_ANSWER_BYTES)
        secrets = tuple(server.headers.values())
        self._doorway = Doorway(egress, server.url, secrets) if server.url else None
        self._client: Client
        self._closing: anyio.Event
        self.offers: tuple[list[Offer], list[str]]
        self._life, self.offers = self._told(lambda: portal.start_task(self._live, start_seconds))

    def call(
        self, tool: str, arguments: dict[str, Any], label: Sensitivity, seconds: float
    ) -> Result:
        with self._lock:
            found: Result = self._told(
                lambda: self._portal.call(partial(self._call, tool, arguments, label, seconds))
            )
            return found

    def close(self) -> None:
        """End it; what has gone already has ended, however it went."""
        with suppress(Exception):
            self._portal.call(self._closing.set)
        with suppress(Exception):
            self._life.result(CLOSE_SECONDS)
        if self._doorway is not None:
            self._doorway.close()

    async def _live(self, seconds: float, *, task_status: Any) -> None:
        """Be connected until ``close``; ``seconds`` are for the handshake and the list of tools."""
        import anyio

        self._closing = anyio.Event()
        has_started = False
        with anyio.CancelScope(deadline=anyio.current_time() + seconds) as scope:
            reader.set(self._reader)
            install()
            async with _client(self._server, self._doorway) as client:
                self._client = client
                offers = await self._list()
                has_started, scope.deadline = True, math.inf
                task_status.started(offers)
                await self._closing.wait()
        if not has_started:
            raise TimeoutError

    async def _call(
        self, tool: str, arguments: dict[str, Any], label: Sensitivity, seconds: float
    ) -> Result:
        import anyio

        if self._doorway is not None:
            self._doorway.label = label
        try:
            with anyio.fail_after(seconds):
                found = await self._client.call_tool(tool, arguments)
        finally:
            if self._doorway is not None:
                self._doorway.label = Sensitivity.PUBLIC
        raw = found.model_dump(mode="json", by_alias=True)
        text = result_text(raw.get("content") or [], raw.get("structuredContent"))
        return Result(text, bool(found.is_error))

    async def _list(self) -> tuple[list[Offer], list[str]]:
        listed: list[dict[str, Any]] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await self._client.list_tools(cursor=cursor)
            listed += [
                tool.model_dump(mode="json", by_alias=True, exclude_none=True)
                for tool in page.tools
            ]
            cursor = page.next_cursor
            if not cursor:
                break
        return offers_of(self._server.name, listed)

    def _told(self, work: Callable[[], Any]) -> Any:
        """``work``; what goes wrong in it, in a sentence that repeats nothing it was told."""
        try:
            return work()
        except BaseException as error:
            found = _first(error)
            refusal = self._doorway.refusal if self._doorway is not None else None
            if isinstance(refusal or found, EgressError):
                raise (refusal or found) from None
            if not isinstance(found, Exception):
                raise
            reason = "timeout" if isinstance(found, TimeoutError) else type(found).__name__
            name = self._server.name
            if self._reader.is_cut:
                told = t("mcp.line_too_long", name=name, megabytes=self._reader.most_letters >> 20)
                raise ToolServerError(told, t("mcp.server_failed_hint", name=name)) from None
            raise ToolServerError(
                t("mcp.server_failed", name=name, reason=reason),
                t("mcp.server_failed_hint", name=name),
            ) from None


@asynccontextmanager
async def _client(server: ToolServer, doorway: Doorway | None) -> AsyncIterator[Client]:
    """A client that has shaken hands with ``server``."""
    import httpx2
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamable_http_client

    # It logs what servers say.
    logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)
    if doorway is None:
        command = [*_WITHOUT_NETWORK, *server.command] if not server.has_network else server.command
        how = StdioServerParameters(
            command=command[0], args=list(command[1:]), env=dict(server.variables)
        )
        with open(os.devnull, "w") as nowhere:
            async with Client(stdio_client(how, errlog=nowhere)) as client:
                yield client
        return
    async with httpx2.AsyncClient(
        headers=dict(server.headers),
        transport=doorway.transport(),
        timeout=httpx2.Timeout(CALL_SECONDS, connect=5.0),
        trust_env=False,
    ) as http:
        async with Client(streamable_http_client(server.url, http_client=http)) as client:
            yield client


_WITHOUT_NETWORK = (sys.executable, "-P", "-m", "ondol.connections.launch", "--")


def _first(error: BaseException) -> BaseException:
    """What an exception group is about."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

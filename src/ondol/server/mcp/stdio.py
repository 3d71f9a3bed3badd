"""MCP over this process's stdin and stdout, for programs that start their servers themselves.

Each call goes to the Ondol that runs, if there is one, so that its models and its ledger are the
only ones; else the house is opened here, when it is first needed. Nothing but messages is written
to stdout (the SDK sees to that), and the end of stdin ends it.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from anyio.to_thread import run_sync

from ondol.callers import OWNER
from ondol.egress import guard
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.background import running
from ondol.server.mcp import routes as mcp
from ondol.server.mcp.exposure import Exposure, client_of

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import CallToolResult, ListResourcesResult, ReadResourceResult

    from ondol.server.address_file import ServerInfo

CONNECT_SECONDS = 5.0

T = TypeVar("T")


class Running:
    """The Ondol that was ``found`` running, asked for the client ``name``."""

    def __init__(self, found: ServerInfo, api_key: str, name: str) -> None:
        self._url = f"{found.url}/mcp?client={quote(name)}"
        self._trust = found.trust
        self._key = api_key

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        return await self._once(lambda session: session.call_tool(tool, arguments))

    async def resources(self, cursor: str) -> ListResourcesResult:
        return await self._once(lambda session: session.list_resources(cursor=cursor or None))

    async def read(self, uri: str) -> ReadResourceResult:
        return await self._once(lambda session: session.read_resource(uri))

    async def _once(self, work: Callable[[Client], Awaitable[T]]) -> T:
        """What ``work`` makes of a connection of its own; its errors as the client's."""
        import mcp_types as types
        from mcp.shared.exceptions import MCPError

        refused: MCPError | None = None
        try:
            async with self._session() as session:
                try:
                    return await work(session)
                except MCPError as error:
                    refused = error
        except Exception:
            # It ended in the middle, or asks for another key: the next call looks for it again.
            told = t("mcp.failed", code="server_gone")
            raise MCPError(types.INTERNAL_ERROR, told) from None
        raise refused

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Client]:
        import httpx2
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        # A model may take minutes to load; the client has its own patience.
        timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)
        with guard.own_server(self._url):
            async with httpx2.AsyncClient(
                headers=headers, timeout=timeout, trust_env=False, verify=self._trust
            ) as http:
                transport = streamable_http_client(self._url, http_client=http)
                async with Client(transport, mode="auto") as session:
                    yield session


def serve(parts: Parts, name: str) -> None:
    """Answer the client ``name`` until its end of the pipe is closed."""
    import anyio

    anyio.run(_serve, parts, name)


async def _serve(parts: Parts, name: str) -> None:
    from mcp.server.stdio import stdio_server

    async def find(context: Any) -> mcp.Backend:
        found = await run_sync(running)
        if found is not None:
            return Running(found, parts.config["server.api_key"], name)
        client = await run_sync(lambda: client_of(parts, OWNER, name, is_here=True))
        return mcp.House(Exposure(parts, client))

    server = mcp.make_server(find)
    with suppress(BrokenPipeError):
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
    sys.stderr.flush()

"""``/mcp`` of the running server: MCP's streamable HTTP, a request at a time, without sessions.

``SecurityMiddleware`` has looked at Host, Origin and key before anything arrives here, as for every
other path; nothing is kept between two requests, so there is nothing to fill up or to take over.
Whose request it is says its key, or with the owner's key (or none) ``?client=NAME``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ondol.callers import OWNER
from ondol.egress import is_loopback
from ondol.parts import Parts
from ondol.server.door.admission import CALLER
from ondol.server.door.security import PASSED_ON
from ondol.server.mcp import routes as mcp
from ondol.server.mcp.exposure import Exposure, client_of

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

PATH = "/mcp"
MOST_BODY_BYTES = 1 << 20


class Endpoint:
    """The ASGI app behind ``PATH``; nothing of the SDK is loaded before its first request."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            # Who listens for what the server says by itself would wait for ever.
            raise HTTPException(405, headers={"Allow": "POST"})
        failure: BaseException | None = None
        async with self._running() as manager:
            try:
                await _unless_gone(manager.handle_request, scope, receive, send)
            except* Exception as failed:
                # A group of one would be nobody's error.
                failure = failed.exceptions[0]
        if failure is not None:
            raise failure

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[StreamableHTTPSessionManager]:
        """A manager for one request: without sessions it has nothing to keep, and none has to be
        ended with the server."""
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        manager = StreamableHTTPSessionManager(
            mcp.make_server(self._find),
            json_response=True,
            stateless=True,
            max_request_body_size=MOST_BODY_BYTES,
        )
        async with manager.run():
            yield manager

    async def _find(self, context: Any) -> mcp.House:
        """The house as the request in ``context`` may see it."""
        request: Request = context.request
        caller = request.scope.get(CALLER, OWNER)
        name = request.query_params.get("client", "")[:64]
        client = await run_sync(
            lambda: client_of(self._parts, caller, name, is_here=_is_here(request))
        )
        return mcp.House(Exposure(self._parts, client, caller))


def route(parts: Parts) -> Route:
    """The route; it takes every method, for the SDK knows which there are."""
    return Route(PATH, endpoint=Endpoint(parts), include_in_schema=False)


async def _unless_gone(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run ``app``, and stop it when the client hangs up: a model that nobody waits for rests."""
    has_body, is_gone = anyio.Event(), anyio.Event()

    async def heard() -> Message:
        if has_body.is_set():
            await is_gone.wait()
            return {"type": "http.disconnect"}
        message = await receive()
        if not message.get("more_body"):
            has_body.set()
        return message

    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            await has_body.wait()
            while (await receive())["type"] != "http.disconnect":
                pass
            is_gone.set()
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        try:
            await app(scope, heard, send)
        finally:
            tasks.cancel_scope.cancel()


def _is_here(request: Request) -> bool:
    """Whether who asks is on this machine, and no proxy that asks for others."""
    host = request.client.host if request.client else ""
    return is_loopback(host) and not any(name in request.headers for name in PASSED_ON)

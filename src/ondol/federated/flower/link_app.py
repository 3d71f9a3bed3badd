"""The HTTP side of a home's SuperLink: Flower's Fleet API, and nothing else.

Flower serves its Control and Runtime APIs on the same port, open to whoever reaches it: anyone
could register a key of their own there, and start a run. Ours has neither. Before a body is read,
its key must be known and its length said; a node answers for itself only; and a node that asks for
messages waits here for a while instead of asking again and again.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from flwr.proto.fleet_pb2 import PullMessagesRequest, PushMessagesRequest
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER
from flwr.supercore.error import http_error_translator
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.protobuf.translation import ProtobufTranslationMiddleware
from flwr.superlink.routers.fleet.node_auth import NodeAuthMiddleware
from flwr.superlink.routers.fleet.router import router as fleet_router
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint

from ondol.federated.flower.messages import MOST_OBJECTS, PART_BYTES
from ondol.federated.flower.superlink import HomeState

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MOST_REQUEST_BYTES = PART_BYTES + (64 << 10)
"""A part of a body, with room for what is around it."""
HOLD_SECONDS = 20.0
"""How long a node that asks for messages waits here; its own patience is 30 s."""
PATHS = frozenset(
    f"/v1/fleet/{name}"
    for name in (
        *("activate-node", "deactivate-node", "send-node-heartbeat", "get-run"),
        *("pull-messages", "push-messages", "pull-object", "push-object"),
        "confirm-message-received",
    )
)


class Mail:
    """Wakes those who wait for messages. Its events belong to the loop of the server."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._events: dict[int, asyncio.Event] = {}

    def came(self, node: int) -> None:
        """There is something for ``node``; called from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake, node)

    async def wait(self, node: int, is_there: Callable[[int], bool]) -> None:
        """Return when something is there, or after ``HOLD_SECONDS``."""
        self._loop = asyncio.get_running_loop()
        event = self._events.setdefault(node, asyncio.Event())
        event.clear()
        if not is_there(node):
            try:
                await asyncio.wait_for(event.wait(), HOLD_SECONDS)
            except TimeoutError:
                pass

    def _wake(self, node: int) -> None:
        if (event := self._events.get(node)) is not None:
            event.set()


class KnownOnly:
    """Outermost: other paths, unknown keys and bodies without a fair length end here, unread."""

    def __init__(self, app: Any, state: HomeState) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif (status := self._refused(scope)) != 0:
            await Response(status_code=status)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refused(self, scope: Scope) -> int:
        if scope["path"] not in PATHS or scope["method"] != "POST":
            return 404
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        try:
            key = base64.b64decode(headers[FLEET_HTTP_PUBLIC_KEY_HEADER], validate=True)
        except (KeyError, binascii.Error):
            return 401
        if self._state.get_node_id_by_public_key(key) is None:
            return 401
        length = headers.get("content-length", b"")
        if not length.isdigit() or "transfer-encoding" in headers:
            return 411
        return 413 if int(length) > MOST_REQUEST_BYTES else 0


class OwnAnswers(BaseHTTPMiddleware):
    """After Flower's authentication: what a node pushes is in its own name."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        asked = getattr(request.state, "protobuf_request", None)
        if isinstance(asked, PushMessagesRequest):
            names = {one.metadata.src_node_id for one in asked.messages_list}
            if names != {asked.node.node_id} or len(asked.messages_list) != 1:
                raise HTTPException(403)
            trees = asked.message_object_trees
            if len(trees) != 1 or sum(1 for _ in iterate_object_tree(trees[0])) > MOST_OBJECTS:
                raise HTTPException(413)
        return await call_next(request)


class Waiting(BaseHTTPMiddleware):
    """Innermost: a node that asks for messages is answered when there is one."""

    def __init__(self, app: Any, state: HomeState, mail: Mail) -> None:
        super().__init__(app)
        self._state, self._mail = state, mail

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        asked = getattr(request.state, "protobuf_request", None)
        if isinstance(asked, PullMessagesRequest):
            await self._mail.wait(asked.node.node_id, self._state.has_mail)
        return await call_next(request)


class _Factory:
    """What Flower's handlers ask for the state."""

    def __init__(self, state: HomeState) -> None:
        self._state = state

    def state(self) -> HomeState:
        return self._state


def create_app(state: HomeState, mail: Mail) -> FastAPI:
    """The app. ``mail`` is told of messages through ``state.on_mail``."""
    app = FastAPI(
        title="Ondol federation",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        middleware=[
            Middleware(KnownOnly, state=state),
            Middleware(BaseHTTPMiddleware, dispatch=http_error_translator),
            Middleware(ProtobufTranslationMiddleware),
            Middleware(NodeAuthMiddleware),
            Middleware(OwnAnswers),
            Middleware(Waiting, state=state, mail=mail),
        ],
    )
    app.state.linkstate_factory = _Factory(state)
    app.state.enable_supernode_auth = True
    app.state.fleet_event_log_plugin = None
    app.include_router(fleet_router)
    return app

"""The second door: TLS for the phones in the owner's own network, open while the owner wants it.

Whoever comes in by it needs a key, and an address that is not of the internet. Knows sockets,
names and the certificate; who has a key is in ``pairing``. Raises ``ConfigError`` and
``AddressInUseError``.
"""

from __future__ import annotations

import asyncio
import platform
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio import to_thread

from ondol import paths
from ondol.config import Config
from ondol.egress.addresses import is_private
from ondol.errors import ConfigError
from ondol.i18n import t
from ondol.server.door import authority, network
from ondol.server.door.admission import PHONE_DOOR
from ondol.server.door.tls import Certificate

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ondol.server.door.authority import Issued

ANYWHERE = "0.0.0.0"
REFRESH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a phone finds this machine: ``names`` is all that the certificate is for."""

    address: str
    port: int
    names: tuple[str, ...]

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"


class PhoneDoor:
    """One server's. To be used from the server's event loop; ``bind`` from any thread before."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._listener: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._turn: asyncio.Lock | None = None
        self.place: Place | None = None
        self.issued: Issued | None = None

    @property
    def is_open(self) -> bool:
        return self._server is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which a phone may call this machine; none while the door is shut."""
        return self.place.names if self.place and self.is_open else ()

    def bind(self) -> None:
        """Take the port and have the certificate ready, so that what is wrong is said early."""
        from ondol.server.listening import PHONES, listen

        address, names = self._names()
        issued = authority.issue(paths.data_dir(), names)
        if self._listener is None:
            port = self._config["server.phone_port"]
            self._listener = listen(ANYWHERE, port, crowd=PHONES, speaks_tls=True)
        port = self._listener.getsockname()[1]
        self.place, self.issued = Place(address, port, names), issued

    async def open(self, app: ASGIApp) -> None:
        """Serve ``app`` to phones until ``close``; nothing where it is open already."""
        from ondol.server.listening import server_for

        async with self._one_at_a_time():
            if self.is_open:
                return
            if self._listener is None:
                await to_thread.run_sync(self.bind)
            assert self.issued is not None and self._listener is not None
            started = asyncio.Event()
            shown = Certificate(self.issued.file, self.issued.file)
            server = server_for(_FromPhones(app), started.set, certificate=shown, is_second=True)
            serving = asyncio.create_task(server.serve(sockets=[self._listener]))
            waiting = asyncio.create_task(started.wait())
            await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if serving.done():
                serving.result()
            self._server = server
            self._tasks = [serving, asyncio.create_task(self._follow_the_network())]

    async def close(self) -> None:
        """Let nobody in any more."""
        async with self._one_at_a_time():
            if self._server is not None:
                self._server.should_exit = True
                serving, following = self._tasks
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following
                await serving
            if self._listener is not None:
                self._listener.close()
            self._server, self._listener, self.place, self._tasks = None, None, None, []

    async def refresh(self) -> None:
        """Follow this machine into another network: a certificate for the addresses of now."""
        _, names = self._names()
        if self.place is None or self._server is None or names == self.place.names:
            return
        await to_thread.run_sync(self.bind)
        context = self._server.config.ssl
        if context is not None and self.issued is not None:
            context.load_cert_chain(self.issued.file)

    async def _follow_the_network(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            with suppress(ConfigError):  # no network at all: it will be back
                await self.refresh()

    def _names(self) -> tuple[str, tuple[str, ...]]:
        """What the phone is told, and all that the certificate is for."""
        wanted = str(self._config["server.phone_address"]).strip().lower()
        found = [a for a in network.addresses() if authority.may_vouch_for(a)]
        if not (wanted or found):
            raise ConfigError(t("phone.no_network"), t("phone.no_network_hint"))
        own = re.sub(r"[^a-z0-9-]", "", platform.node().partition(".")[0].lower())
        names = [wanted, *found, f"{own}.local" if own else ""]
        return wanted or found[0], tuple(dict.fromkeys(name for name in names if name))

    def _one_at_a_time(self) -> asyncio.Lock:
        if self._turn is None:
            self._turn = asyncio.Lock()
        return self._turn


class _FromPhones:
    """Marks what comes in by this door, and turns away who is not of the owner's network."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = str((scope.get("client") or ("",))[0])
        if scope["type"] != "http" or not client or not is_private(client):
            return await _hang_up(scope, send)
        await self._app({**scope, PHONE_DOOR: True}, receive, send)


async def _hang_up(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    elif scope["type"] == "http":
        headers = [(b"content-length", b"0"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

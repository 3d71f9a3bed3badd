"""Sockets and the uvicorn run. Knows nothing of the address file.

Sockets are bound before anything slow starts, so a taken port is one clear sentence
(``AddressInUseError``) with the program that holds it, where the system tells.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn

from ondol.egress import guard, is_loopback
from ondol.errors import AddressInUseError, ConfigError
from ondol.i18n import t
from ondol.server.door.connection import Connection
from ondol.server.door.greeting import greeted
from ondol.server.relay import places

if TYPE_CHECKING:
    from types import FrameType

    from starlette.types import ASGIApp

    from ondol.server.door.tls import Certificate

# Less than the ten that a container is given to end in.
GRACE_SECONDS = 7
# And then so many for the last words of what was cut short.
LAST_SECONDS = 1
# Longer than any client keeps an idle connection, so that it is the client that closes first.
KEEP_ALIVE_SECONDS = 75
BACKLOG = 512
# As much as one request's address and headers (see ``sizes``) while they are not complete yet.
MOST_HEAD_BYTES = 96 * 1024
# An answer is made in one thread and sent by another. Left at Python's 5 ms, who sends waits that
# long for who writes the last answer down (``benchmarks/gateway/canned.py``).
SWITCH_SECONDS = 0.0005
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many connections at a time, in all and of one address: anybody in the network may knock,
    and need never say a word. With ``spares_this_machine`` its own always get through."""

    most: int
    most_of_one: int
    spares_this_machine: bool = True


PHONES = Crowd(256, 64, spares_this_machine=False)
NETWORK = Crowd(1024, 256)


class _Listener(socket.socket):
    """Takes so many connections of a ``crowd`` at a time and no more: one that nobody closes costs
    something, before its TLS handshake too. Where it ``speaks_tls`` it says so to who does not."""

    def __init__(
        self, family: int, kind: int, protocol: int, crowd: Crowd | None, *, speaks_tls: bool
    ) -> None:
        super().__init__(family, kind, protocol)
        self._crowd = crowd
        self._speaks_tls = speaks_tls
        self._open: list[tuple[socket.socket, str]] = []

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection; ``ConnectionAbortedError`` where it is one too many."""
        connection, address = super().accept()
        connection = greeted(connection) if self._speaks_tls else connection
        crowd = self._crowd
        if crowd is None or (crowd.spares_this_machine and is_loopback(address[0])):
            return connection, address
        self._open = [one for one in self._open if one[0].fileno() >= 0]
        of_this_address = sum(known == address[0] for _, known in self._open)
        if len(self._open) >= crowd.most or of_this_address >= crowd.most_of_one:
            connection.close()
            raise ConnectionAbortedError
        self._open.append((connection, address[0]))
        return connection, address


def listen(
    host: str, port: int, *, crowd: Crowd | None = None, speaks_tls: bool = False
) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. One for a ``crowd`` takes so many
    connections at a time; one that ``speaks_tls`` refuses plain HTTP with a sentence."""
    host = host.strip("[]")
    try:
        with guard.permit(host.lower(), (), port):
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(t("server.no_such_host", host=host), t("server.host_hint")) from error
    listener = _Listener(family, kind, protocol, crowd, speaks_tls=speaks_tls)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Listening at once, because two sockets may be bound to a port but only one may listen.
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _explain(error, host, port) from error
    return listener


def run(
    app: ASGIApp,
    sockets: Sequence[socket.socket],
    on_started: Callable[[], None],
    *,
    certificate: Certificate | None = None,
) -> None:
    """Serve ``app`` until a signal; then let running responses finish for a few seconds. A second
    signal ends it at once."""
    server = server_for(app, on_started, certificate=certificate)
    sys.setswitchinterval(SWITCH_SECONDS)
    asyncio.run(server.serve(sockets=list(sockets)))


def server_for(
    app: ASGIApp,
    on_started: Callable[[], None],
    *,
    certificate: Certificate | None = None,
    is_second: bool = False,
) -> uvicorn.Server:
    """uvicorn as Ondol runs it. In the main thread it ends at a signal. With a ``certificate`` it
    speaks TLS 1.3 and nothing else. One that ``is_second``
    serves an app that runs already: it leaves signals and the app's lifespan to the first."""
    config = uvicorn.Config(
        app,
        log_config=None,
        # uvicorn's tracebacks may quote a request. Our own log names the place and no more.
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        lifespan="off" if is_second else "on",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS + LAST_SECONDS,
        http=Connection,
        ws="none",
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
        # What one request set is not there for the next one of its connection.
        reset_contextvars=True,
        ssl_certfile=certificate.chain if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
        ssl_context_factory=_modern if certificate else None,
    )
    return _Server(config, on_started, is_first=not is_second)


def _modern(config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


class _Server(uvicorn.Server):
    """Says when it has started, and returns after a signal instead of dying of it."""

    def __init__(
        self, config: uvicorn.Config, on_started: Callable[[], None], *, is_first: bool
    ) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._is_first = is_first

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if not self._is_first:
            await super().shutdown(sockets)
            return
        here = places()
        here.close()
        cut = self._loop.call_later(GRACE_SECONDS, here.cut)
        try:
            await super().shutdown(sockets)
        finally:
            cut.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal asks to end, the next one says at once."""
        if self.should_exit:
            self.force_exit = True
            self._loop.call_soon_threadsafe(self._hang_up)
        self.should_exit = True

    def _hang_up(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        is_main = threading.current_thread() is threading.main_thread()
        if not (is_main and self._is_first):
            yield
            return
        before = {sig: signal.signal(sig, self.handle_exit) for sig in SIGNALS}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


def _explain(error: OSError, host: str, port: int) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        holder = _holder(port)
        message = (
            t("server.port_taken_by", port=port, program=holder)
            if holder
            else t("server.port_taken", port=port)
        )
        return AddressInUseError(message, t("server.port_taken_hint"))
    if error.errno == errno.EACCES:
        return ConfigError(t("server.port_forbidden", port=port), t("server.port_taken_hint"))
    return ConfigError(
        t("server.cannot_listen", host=host, port=port, reason=error.strerror or error),
        t("server.host_hint"),
    )


def _holder(port: int) -> str:
    """The program that listens on ``port``, if the system lets us see it."""
    import psutil

    try:
        for connection in psutil.net_connections(kind="tcp"):
            address = connection.laddr
            if connection.status == psutil.CONN_LISTEN and address and address.port == port:
                if connection.pid:
                    return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return ""

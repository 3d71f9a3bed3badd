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
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from ondol.egress import guard
from ondol.errors import AddressInUseError, ConfigError
from ondol.i18n import t

if TYPE_CHECKING:
    from starlette.types import ASGIApp

GRACE_SECONDS = 5
# Longer than any client keeps an idle connection, so that it is the client that closes first.
KEEP_ALIVE_SECONDS = 75
BACKLOG = 512
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one."""
    host = host.strip("[]")
    try:
        with guard.permit(host.lower(), (), port):
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(t("server.no_such_host", host=host), t("server.host_hint")) from error
    listener = socket.socket(family, kind, protocol)
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
    certificate: Path | None = None,
) -> None:
    """Serve ``app`` until a signal; then let running responses finish for a few seconds."""
    server = server_for(app, on_started, certificate=certificate)
    asyncio.run(server.serve(sockets=list(sockets)))


def server_for(
    app: ASGIApp, on_started: Callable[[], None], *, certificate: Path | None = None
) -> uvicorn.Server:
    """uvicorn as Ondol runs it. In the main thread it ends at a signal. With a ``certificate`` (its
    private key is in the same file) it speaks TLS 1.3 and nothing else."""
    config = uvicorn.Config(
        app,
        log_config=None,
        # uvicorn's tracebacks may quote a request. Our own log names the place and no more.
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=certificate,
        ssl_context_factory=_modern if certificate else None,
    )
    return _Server(config, on_started)


def _modern(config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


class _Server(uvicorn.Server):
    """Says when it has started, and returns after a signal instead of dying of it."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
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

"""A server on a socket that keeps every byte it gets: what is not in ``received`` has not left."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from ondol.lab.redteam.egress.serving import OK, certificate, is_whole

__all__ = ["OK", "Listener", "certificate", "listening"]

Answer = bytes | Callable[[bytes], bytes]


@dataclass
class Listener:
    """What came in, one item for each connection."""

    port: int
    received: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def listening(
    answer: Answer = OK, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> Iterator[Listener]:
    """Answer every request with ``answer``, or with what it makes of the request."""
    server = socket.create_server((host, 0))
    kept = Listener(server.getsockname()[1])
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            with suppress(OSError):
                connection, _ = server.accept()
                if over.is_set():
                    connection.close()
                    return
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        connection.settimeout(10)
        place: int | None = len(kept.received)
        kept.received.append(b"")
        with suppress(OSError), connection:
            with tls.wrap_socket(connection, server_side=True) if tls else connection as stream:
                while part := stream.recv(65536):
                    if place is None:
                        place = len(kept.received)
                        kept.received.append(b"")
                    kept.received[place] += part
                    if is_whole(kept.received[place]):
                        said = answer(kept.received[place]) if callable(answer) else answer
                        stream.sendall(said)
                        if b"Connection: close" in said:
                            stream.shutdown(socket.SHUT_WR)
                        else:
                            place = None  # that of this connection's next request

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        over.set()
        with suppress(OSError):
            socket.create_connection((host, kept.port), 1).close()
        thread.join(5)
        server.close()

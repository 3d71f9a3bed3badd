"""Servers in a process of their own that keep every byte they get.

One for each part: the owner's home (TLS), a remote model, a vector store, a mirror for downloads, a
liar with another certificate, and a stranger. ``take`` gives what came since, by part.
"""

from __future__ import annotations

import json
import multiprocessing
import selectors
import socket
import ssl
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ondol.lab.redteam.egress.serving import OK, certificate, is_whole

PARTS = ("home", "remote-model", "vectors", "mirror", "liar", "stranger")


class Sink:
    """The servers at ``host``; ``ports`` by part, ``fingerprint`` is home's."""

    def __init__(self, host: str, folder: Path) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_serve, args=(host, folder, theirs), daemon=True)
        self._process.start()
        said = self._ours.recv()
        self.ports: dict[str, int] = said["ports"]
        self.fingerprint: str = said["fingerprint"]
        self.host = host

    def url(self, part: str) -> str:
        scheme = "https" if part in ("home", "liar") else "http"
        return f"{scheme}://{self.host}:{self.ports[part]}"

    def take(self) -> dict[str, bytes]:
        """What each part got since the last time."""
        self._ours.send("take")
        got: dict[str, bytes] = self._ours.recv()
        return got

    def close(self) -> None:
        self._process.kill()
        self._process.join()


def _serve(host: str, folder: Path, pipe: Connection) -> None:
    home, fingerprint = certificate(folder)
    liar, _ = certificate(folder)
    received: list[tuple[str, bytes]] = []
    lock = threading.Lock()
    chooser = selectors.DefaultSelector()
    ports = {}
    for part in PARTS:
        server = socket.create_server((host, 0))
        chooser.register(server, selectors.EVENT_READ, part)
        ports[part] = server.getsockname()[1]
    contexts = {"home": home, "liar": liar}

    def accept() -> None:
        while True:
            for key, _ in chooser.select():
                server: Any = key.fileobj
                with suppress(OSError):
                    connection, _ = server.accept()
                    arguments = (connection, key.data)
                    threading.Thread(target=talk, args=arguments, daemon=True).start()

    def talk(connection: socket.socket, part: str) -> None:
        connection.settimeout(5)
        with suppress(OSError), connection:
            context: ssl.SSLContext | None = contexts.get(part)
            with context.wrap_socket(connection, server_side=True) if context else connection as s:
                request = b""
                while data := s.recv(65536):
                    request += data
                    with lock:
                        received.append((part, data))
                    if is_whole(request):
                        s.sendall(_answer(request))
                        s.shutdown(socket.SHUT_WR)

    threading.Thread(target=accept, daemon=True).start()
    pipe.send({"ports": ports, "fingerprint": fingerprint})
    while True:
        pipe.recv()
        with lock:
            got = {part: b"".join(d for p, d in received if p == part) for part in PARTS}
            received.clear()
        pipe.send(got)


def _answer(request: bytes) -> bytes:
    """A server that sends on to ``?to=``, with the status ``?status=``, and sets a cookie."""
    target = request.split(b" ", 2)[1].decode("latin-1")
    query = parse_qs(urlsplit(target).query)
    if "to" not in query:
        return OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: seen=1; Path=/\r\n\r\n")
    status = query.get("status", ["302"])[0]
    lines = [f"HTTP/1.1 {status} Moved", f"Location: {query['to'][0]}"]
    return "\r\n".join([*lines, "Content-Length: 0", "Connection: close", "", ""]).encode()


def dumps(value: object) -> bytes:
    """JSON as clients send it, with every letter as it is."""
    return json.dumps(value, ensure_ascii=False).encode()

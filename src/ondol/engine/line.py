"""One streamed request to a child of ours, by the standard library's HTTP client: an answer is a
few hundred small pieces, and this one costs a tenth of the processor time of ``httpx2`` for each.

Raises what ``httpx2`` raises (``TransportError``, ``ReadTimeout``), so that nobody has to know.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Generator, Mapping
from contextlib import closing, suppress
from typing import Any
from urllib.parse import urlsplit

from ondol.engine.generation import Cancellation

CONNECT_SECONDS = 10.0
PART_BYTES = 64 * 1024
MAX_ERROR_BYTES = 64 * 1024


class NoAnswer(Exception):
    """The server answered with an error: its ``status``, and the beginning of its ``body``."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status, self.body = status, body


class Line(http.client.HTTPConnection):
    """A connection to ``address``, an http address or ``unix:`` and a path."""

    def __init__(self, address: str) -> None:
        kind, _, self._path = address.partition(":")
        self._is_file = kind == "unix"
        parts = urlsplit(address)
        host, port = ("engine", 80) if self._is_file else (parts.hostname or "", parts.port)
        super().__init__(host, port, timeout=CONNECT_SECONDS)

    def connect(self) -> None:
        """Open it."""
        if not self._is_file:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_SECONDS)
        self.sock.connect(self._path)


def post(
    address: str,
    key: str,
    path: str,
    body: Mapping[str, Any],
    cancellation: Cancellation,
    silence_seconds: float | None,
) -> Generator[bytes]:
    """The parts of the answer as they come; ``NoAnswer`` for an error. ``cancellation`` ends it in
    mid-wait."""
    import httpx2

    try:
        with closing(Line(address)) as line:
            line.connect()
            opened = line.sock
            opened.settimeout(silence_seconds)
            with cancellation.calling(lambda: _shut(opened)):
                headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
                line.request("POST", path, json.dumps(body).encode(), headers)
                cancellation.waiting()
                with line.getresponse() as response:
                    if response.status != 200:
                        raise NoAnswer(response.status, response.read(MAX_ERROR_BYTES))
                    while part := response.read1(PART_BYTES):
                        yield part
    except TimeoutError as error:
        raise httpx2.ReadTimeout(str(error)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise httpx2.ReadError(type(error).__name__) from error


def _shut(opened: socket.socket) -> None:
    with suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)

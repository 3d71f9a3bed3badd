"""Server-sent events over HTTP: bytes to JSON objects, cancellable while waiting.

Knows no model and no dialect. Raises ``Refused`` for an HTTP error status, ``Garbled`` for what is
not an event stream, the HTTP library's ``TransportError`` for a lost connection.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ondol.engine.generation import Cancellation

if TYPE_CHECKING:
    import httpx2

MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024

# What llama-server puts before the fault of a JSON schema; it blames a template instead.
_PARSER = "Automatic parser generation failed: "


class Refused(Exception):
    """The server answered with an error. ``error`` is the body's error object, or what it said."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.error = error

    @property
    def reason(self) -> str:
        """What the server said, on one line, without its full stop."""
        said = str(self.error.get("message") or f"HTTP {self.status}")
        return " ".join(said.split()).rpartition(_PARSER)[2][:300].rstrip(".")


class Garbled(Exception):
    """The answer is not what an OpenAI-compatible server sends."""


def connect(address: str, key: str) -> httpx2.Client:
    """A client for a child of ours, at an http address or ``unix:`` and a path. No proxy, and no
    kept connection: the server's own keep-alive ends just when a pooled one would be used again."""
    import httpx2

    kind, _, path = address.partition(":")
    return httpx2.Client(
        base_url="http://engine" if kind == "unix" else address,
        headers={"Authorization": f"Bearer {key}"},
        timeout=httpx2.Timeout(None, connect=10),
        transport=httpx2.HTTPTransport(
            uds=path if kind == "unix" else None,
            limits=httpx2.Limits(max_keepalive_connections=0),
            trust_env=False,
            verify=False,
        ),
        trust_env=False,
    )


def stream_events(
    client: httpx2.Client, url: str, body: Mapping[str, Any], cancellation: Cancellation
) -> Generator[dict[str, Any]]:
    """POST ``body`` and yield the JSON object of every event until ``[DONE]`` or the end."""
    connection = _Connection()
    with cancellation.calling(connection.shut):
        with client.stream(
            "POST", url, json=body, extensions={"trace": connection.trace}
        ) as response:
            if response.status_code != 200:
                raise Refused(response.status_code, error_of(_head(response)))
            with closing(_lines(response.iter_bytes())) as lines:
                yield from parse_events(lines)


def parse_events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON objects of an event stream's lines."""
    for line in lines:
        field, _, value = line.partition(b":")
        if field not in (b"data", b"error"):
            continue
        if value.strip() == b"[DONE]":
            return
        event = _object(value)
        yield event if field == b"data" or "error" in event else {"error": event}


def error_of(body: bytes) -> dict[str, Any]:
    """The error object of a response body, whatever shape the server gave it."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    error = value.get("error", value) if isinstance(value, dict) else value
    return error if isinstance(error, dict) else {"message": str(error)}


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise Garbled from None
    if not isinstance(value, dict):
        raise Garbled
    return value


def _head(response: httpx2.Response) -> bytes:
    head = b""
    for part in response.iter_bytes():
        head += part
        if len(head) > MAX_ERROR_BYTES:
            break
    return head[:MAX_ERROR_BYTES]


def _lines(parts: Iterator[bytes]) -> Generator[bytes]:
    # Not iter_lines(): it also breaks at U+2028 and U+0085, which are legal inside JSON strings.
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise Garbled
        for line in lines:
            yield line.removesuffix(b"\r")
    if rest:
        yield rest


class _Connection:
    """The socket of one request, caught as it connects so that another thread can shut it."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._shut = False

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.connect_unix_socket.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
            if self._shut:
                self.shut()

    def shut(self) -> None:
        self._shut = True
        if self._socket is not None:
            try:
                # The plain socket's own method: TLS would say goodbye first, and might wait.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                pass

"""Server-sent events over HTTP: bytes to JSON objects, cancellable while waiting.

Knows no model and no dialect. Raises ``Refused`` for an HTTP error status, ``Garbled`` for what is
not an event stream, ``Stalled`` after a silence, the HTTP library's ``TransportError`` for a lost
connection.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ondol.chat_dialect import LineTooLong, lines
from ondol.engine.generation import Cancellation
from ondol.engine.line import NoAnswer, post

if TYPE_CHECKING:
    import httpx2

MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024

# The field of an error that names the id which is none of the model's tokens.
NO_TOKEN = "no_token"
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


class Stalled(Exception):
    """The server said nothing for longer than it may."""


def connect(address: str, key: str) -> httpx2.Client:
    """A client for a child of ours, at an http address or ``unix:`` and a path. No proxy, and no
    kept connection: the server's own keep-alive ends just when a pooled one would be used again."""
    import httpx2

    class Client(httpx2.Client):
        """It knows where it leads to, for whoever goes there by a shorter way (``line``)."""

        place = address, key

    kind, _, path = address.partition(":")
    return Client(
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


def whole(
    client: httpx2.Client,
    method: str,
    url: str,
    body: Mapping[str, Any] | None,
    cancellation: Cancellation,
    seconds: float | None = None,
) -> httpx2.Response:
    """The response in one piece, within ``seconds``. Raises ``Cancelled`` when ``cancellation``
    ends the wait for it."""
    import httpx2

    connection = _Connection()
    try:
        with cancellation.calling(connection.shut):
            how = {"trace": connection.trace}
            return client.request(method, url, json=body, timeout=seconds, extensions=how)
    except httpx2.TransportError:
        # Shutting the socket is how a wait is ended, so what it raises is not a failure then.
        cancellation.check()
        raise


def stream_events(
    client: httpx2.Client,
    url: str,
    body: Mapping[str, Any],
    cancellation: Cancellation,
    silence_seconds: float | None = None,
) -> Generator[dict[str, Any]]:
    """POST ``body`` and yield the JSON object of every event until ``[DONE]`` or the end. Raises
    ``Stalled`` when none comes for ``silence_seconds``."""
    import httpx2

    place: tuple[str, str] | None = getattr(client, "place", None)
    if place is not None:
        pieces = post(*place, url, body, cancellation, silence_seconds)
        yield from _short_way(pieces, silence_seconds)
        return
    connection = _Connection()
    given: dict[str, Any] = {}
    if silence_seconds is not None:
        given["timeout"] = httpx2.Timeout(silence_seconds, connect=10)
    with cancellation.calling(connection.shut):
        try:
            with client.stream(
                "POST", url, json=body, extensions={"trace": connection.trace}, **given
            ) as response:
                if response.status_code != 200:
                    raise Refused(response.status_code, error_of(_head(response)))
                parts = _spoken(response.iter_bytes(), silence_seconds)
                with closing(lines(parts, MAX_LINE_BYTES)) as found:
                    yield from parse_events(found)
        except httpx2.ReadTimeout:
            if silence_seconds is None:
                raise
            raise Stalled from None
        except LineTooLong:
            raise Garbled from None


def _short_way(parts: Generator[bytes], silence_seconds: float | None) -> Generator[dict[str, Any]]:
    import httpx2

    try:
        spoken = _spoken(parts, silence_seconds)
        with closing(parts), closing(lines(spoken, MAX_LINE_BYTES)) as found:
            yield from parse_events(found)
    except NoAnswer as refusal:
        raise Refused(refusal.status, error_of(refusal.body)) from None
    except httpx2.ReadTimeout:
        raise Stalled from None
    except LineTooLong:
        raise Garbled from None


def parse_events(found: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON objects of an event stream's lines."""
    for line in found:
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


def _spoken(parts: Iterator[bytes], silence_seconds: float | None) -> Iterator[bytes]:
    """``parts``, as long as there is more among them than a sign of life: llama-server's HTTP says
    that it is there however its model fares."""
    heard = time.monotonic()
    for part in parts:
        now = time.monotonic()
        if not part.startswith(b":"):
            heard = now
        elif silence_seconds is not None and now - heard > silence_seconds:
            raise Stalled
        yield part


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

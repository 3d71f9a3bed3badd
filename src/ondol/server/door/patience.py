"""How long a client may take to ask: uvicorn's connection, which waits for no trickle.

A client that sends its headers or its body a byte at a time holds a connection, and memory, for
nothing ("slowloris"). Only what the client still owes is timed: an answer may take
as long as it takes, and a body that the server itself does not read yet is not late.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# Browsers connect before they have anything to ask.
SILENT_SECONDS = 75.0
# From the first byte of a request's head to its last.
HEAD_SECONDS = 20.0
# So many bytes of a body at least in so many seconds: a hundredth of what a modem did.
BODY_SECONDS = 30.0
BODY_BYTES = 2048

# Who has its answer and goes on sending is listened to that long, so that it reads the answer.
REST_SECONDS = 10.0
REST_BYTES = 64 * 1024 * 1024

Owed = Literal["", "word", "head", "body", "rest"]


class Patience(H11Protocol):
    """HTTP/1.1 on one socket, from a client that may be slow to ask, but not for ever."""

    _owed: Owed = ""
    _timer: asyncio.TimerHandle | None = None
    _arrived_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(transport)
        self._follow()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._owe("", 0.0)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A piece of what it has to say."""
        self._arrived_bytes += len(data)
        if self._owed == "rest" and self._arrived_bytes > REST_BYTES:
            self.transport.abort()
            return
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """It has its answer, and may have asked for more already."""
        super().on_response_complete()
        self._follow()

    def _follow(self) -> None:
        """Time what the client owes now; what was being timed goes on."""
        if self.transport.is_closing():
            return self._owe("", 0.0)
        state = self.conn.their_state
        if state is h11.SEND_BODY and self.cycle.response_complete:
            self._owe("rest", REST_SECONDS)
        elif state is h11.SEND_BODY:
            self._owe("body", BODY_SECONDS)
        elif state is not h11.IDLE:
            self._owe("", 0.0)
        elif self.conn.trailing_data[0]:
            self._owe("head", HEAD_SECONDS)
        elif self.timeout_keep_alive_task is None:
            self._owe("word", SILENT_SECONDS)
        else:
            self._owe("", 0.0)  # uvicorn times who has been answered

    def _owe(self, owed: Owed, seconds: float) -> None:
        if owed == self._owed:
            return
        self._owed = owed
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if owed:
            self._arrived_bytes = 0
            self._timer = self.loop.call_later(seconds, self._is_late)

    def _is_late(self) -> None:
        is_ours = self.flow.read_paused or (
            self.cycle is not None and self.cycle.waiting_for_100_continue
        )
        if self._owed == "body" and (is_ours or self._arrived_bytes >= BODY_BYTES):
            self._owed = ""
            self._follow()
        elif not self.transport.is_closing():
            self.transport.abort()

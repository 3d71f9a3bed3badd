"""One client's connection: uvicorn's, which hangs up on who takes nothing of what it asked for.

A client may read slowly, but not stand still: what is written and not taken fills memory here.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from ondol.server.door.patience import Patience

# Who takes fewer than so many bytes in so many seconds, while more wait to be sent, stands still.
STALL_SECONDS = 30.0
STALL_BYTES = 4096
# What the kernel keeps for one client (twice that, as it counts), who may read nothing of it: left
# to itself it takes megabytes.
SEND_BYTES = 256 * 1024


class Connection(Patience):
    """HTTP/1.1 on one socket."""

    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        opened = transport.get_extra_info("socket")
        if opened is not None:
            with suppress(OSError):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """More waits to be sent than should."""
        super().pause_writing()
        self._watch_taking()

    def resume_writing(self) -> None:
        """Enough of it was taken."""
        self._unwatch()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._unwatch()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """A response has been written, though perhaps not taken."""
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._watch_taking()

    def timeout_keep_alive_handler(self) -> None:
        """The client has asked for nothing more. Closing waits until it has taken everything."""
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():
            self._watch_taking()

    def _watch_taking(self) -> None:
        self._unwatch()
        before = self.transport.get_write_buffer_size()
        self._watch = self.loop.call_later(STALL_SECONDS, self._look, before)

    def _look(self, before: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left and left > before - STALL_BYTES:
            self.transport.abort()
        elif left:
            self._watch_taking()

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

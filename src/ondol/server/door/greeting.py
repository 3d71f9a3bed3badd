"""What a port that speaks TLS says to who speaks HTTP without it: a sentence, in plain HTTP.

TLS itself has no words for it: such a client would only see its connection end.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from ondol.i18n import t, use_language


class Greeting(socket.socket):
    """A connection that was just accepted."""

    _has_begun = False

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """What the client says; the end, where its first byte is the first of an HTTP method. That
        of TLS is the type of a record (RFC 8446 5.1), which is no letter."""
        count = super().recv_into(buffer, nbytes, flags)
        if self._has_begun or not count:
            return count
        self._has_begun = True
        if not bytes(memoryview(buffer)[:1]).isalpha():
            return count
        self._refuse()
        return 0

    def _refuse(self) -> None:
        with use_language("en"):
            body = f"{t('tls.plain_http')}\n".encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        with suppress(OSError):
            self.send(head.encode() + body)


def greeted(connection: socket.socket) -> Greeting:
    """``connection``, which must not be used any more, as one that is greeted."""
    return Greeting(fileno=connection.detach())

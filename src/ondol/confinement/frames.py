"""What parent and child say to each other: frames of a length and JSON, or of plain bytes.

Whatever the child says is taken for hostile: lengths and types are checked before anything is kept.
Raises ``ValueError`` for what makes no sense, ``EOFError`` when the other side is gone,
``TimeoutError`` after the deadline.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

MAX_FRAME_BYTES = 4 * 1024 * 1024
MAX_SENTENCE_CHARACTERS = 2000

_LENGTH = struct.Struct(">I")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Incoming:
    """The frames that come through ``connection``; ``bytes_left`` of them in all."""

    def __init__(self, connection: socket.socket, bytes_left: int) -> None:
        self._connection = connection
        self._bytes_left = bytes_left

    def frame(
        self, deadline: float | None = None, limit_bytes: int = MAX_FRAME_BYTES
    ) -> dict[str, Any]:
        """The next frame, an object; ``deadline`` is a time of ``time.monotonic``."""
        try:
            content = json.loads(self.block(deadline, limit_bytes))
        except RecursionError as error:
            raise ValueError("nested") from error
        if not isinstance(content, dict):
            raise ValueError("not an object")
        return content

    def block(self, deadline: float | None, limit_bytes: int) -> bytes:
        """The next frame as it is."""
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size, deadline))
        if length > min(limit_bytes, self._bytes_left):
            raise ValueError("too long")
        self._bytes_left -= length
        return self._exactly(length, deadline)

    def _exactly(self, length: int, deadline: float | None) -> bytes:
        parts = []
        while length:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            self._connection.settimeout(left)
            part = self._connection.recv(min(length, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


def send(connection: socket.socket, content: Mapping[str, object]) -> None:
    """One frame."""
    send_bytes(connection, well_formed(json.dumps(content, ensure_ascii=False)).encode())


def send_bytes(connection: socket.socket, content: bytes) -> None:
    connection.sendall(_LENGTH.pack(len(content)))
    if content:  # who has read that nothing follows may have gone
        connection.sendall(content)


def sentence(content: object) -> str:
    """A sentence that is to be shown: printable, and not too long."""
    checked = text(content, MAX_FRAME_BYTES)[:MAX_SENTENCE_CHARACTERS]
    return "".join(character for character in checked if character.isprintable())


def text(content: object, limit: int) -> str:
    """A text of at most ``limit`` characters that any program can store."""
    if not isinstance(content, str) or len(content) > limit or _SURROGATE.search(content):
        raise ValueError("not a text")
    return content


def well_formed(content: str) -> str:
    """Halves of a character, which no encoding has, are replaced; the length stays."""
    return content if content.isascii() else _SURROGATE.sub("\ufffd", content)

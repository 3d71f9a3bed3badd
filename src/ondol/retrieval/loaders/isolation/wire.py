"""What parent and child say to each other: frames of a length and JSON, a text as plain bytes.

Whatever the child says is taken for hostile: lengths, counts and types are checked before anything
is kept, and no member may carry the name of a file outside its container. Raises ``ValueError`` for
what makes no sense, ``EOFError`` when the other side is gone, ``TimeoutError`` after the deadline.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ondol.retrieval.loaders.extract import MAX_CHARACTERS
from ondol.retrieval.loaders.loader import MAX_TITLE_CHARACTERS
from ondol.retrieval.loaders.members import MAX_MEMBERS
from ondol.types import Document, Page

MAX_FRAME_BYTES = 4 * 1024 * 1024
MAX_TEXT_BYTES = 4 * MAX_CHARACTERS
MAX_ANSWER_BYTES = MAX_TEXT_BYTES + 256 * 1024 * 1024
MAX_SENTENCE_CHARACTERS = 2000
MAX_SOURCE_CHARACTERS = 20_000
# A page or a member that could not be read, and a note on each container.
MAX_SKIPPED = 2 * MAX_MEMBERS

_LENGTH = struct.Struct(">I")
_SURROGATE = re.compile("[\ud800-\udfff]")
_HASH = re.compile("[0-9a-f]{64}")


class Incoming:
    """The frames that come through ``connection``; ``bytes_left`` of them in all."""

    def __init__(self, connection: socket.socket, bytes_left: int = MAX_ANSWER_BYTES) -> None:
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
    send_bytes(connection, _well_formed(json.dumps(content, ensure_ascii=False)).encode())


def send_bytes(connection: socket.socket, content: bytes) -> None:
    connection.sendall(_LENGTH.pack(len(content)))
    if content:  # who has read that nothing follows may have gone
        connection.sendall(content)


def send_document(connection: socket.socket, document: Document) -> None:
    """``document`` and its members, for ``receive_document``."""
    counts = {"members": len(document.members), "skipped": len(document.skipped)}
    send(connection, {"kind": "document"} | counts | _described(document))
    send_bytes(connection, _well_formed(document.text).encode())
    for source, reason in document.skipped:
        send(connection, {"source": source, "reason": reason})
    for member in document.members:
        send(connection, _described(member))
        send_bytes(connection, _well_formed(member.text).encode())


def receive_document(
    incoming: Incoming, first: Mapping[str, Any], source: str, deadline: float
) -> Document:
    """The document whose ``first`` frame has come; it is that of ``source``, whatever it says."""
    characters_left = [MAX_CHARACTERS]
    document = _document(incoming, {**first, "source": source}, characters_left, deadline)
    skipped = tuple(
        (inside(frame.get("source"), source), sentence(frame.get("reason")))
        for frame in _frames(incoming, first.get("skipped"), MAX_SKIPPED, deadline)
    )
    members = []
    for frame in _frames(incoming, first.get("members"), MAX_MEMBERS, deadline):
        member = _document(incoming, frame, characters_left, deadline)
        members.append(replace(member, source=inside(member.source, source)))
    return replace(document, members=tuple(members), skipped=skipped)


def sentence(content: object) -> str:
    """A sentence that is to be shown: printable, and not too long."""
    checked = text(content, MAX_FRAME_BYTES)[:MAX_SENTENCE_CHARACTERS]
    return "".join(character for character in checked if character.isprintable())


def text(content: object, limit: int) -> str:
    """A text of at most ``limit`` characters that any program can store."""
    if not isinstance(content, str) or len(content) > limit or _SURROGATE.search(content):
        raise ValueError("not a text")
    return content


def inside(name: object, source: str) -> str:
    """The name of something in the file ``source``, or of the file itself."""
    checked = text(name, MAX_SOURCE_CHARACTERS)
    member = checked.removeprefix(f"{source}/")
    if checked != source and (member == checked or ".." in member.split("/")):
        raise ValueError("not inside")
    return checked


def _described(document: Document) -> dict[str, object]:
    return {
        "source": document.source,
        "media_type": document.media_type,
        "title": document.title,
        "content_hash": document.content_hash,
        "pages": [[page.number, page.start] for page in document.pages],
    }


def _document(
    incoming: Incoming, frame: Mapping[str, Any], characters_left: list[int], deadline: float
) -> Document:
    content = incoming.block(deadline, MAX_TEXT_BYTES).decode()
    characters_left[0] -= len(content)
    content_hash = text(frame.get("content_hash"), 64)
    if characters_left[0] < 0 or not _HASH.fullmatch(content_hash):
        raise ValueError("not a document")
    return Document(
        source=text(frame.get("source"), MAX_SOURCE_CHARACTERS),
        text=content,
        media_type=text(frame.get("media_type"), 200),
        title=text(frame.get("title"), MAX_TITLE_CHARACTERS),
        pages=tuple(_pages(frame.get("pages"), len(content))),
        content_hash=content_hash,
    )


def _pages(pages: object, length: int) -> Iterator[Page]:
    if not isinstance(pages, list):
        raise ValueError("not pages")
    for page in pages:
        if not isinstance(page, list) or [type(part) for part in page] != [int, int]:
            raise ValueError("not a page")
        if not (0 <= page[0] < 2**31 and 0 <= page[1] <= length):
            raise ValueError("not in the text")
        yield Page(page[0], page[1])


def _frames(
    incoming: Incoming, count: object, limit: int, deadline: float
) -> Iterator[dict[str, Any]]:
    if type(count) is not int or not 0 <= count <= limit:
        raise ValueError("not a count")
    for _ in range(count):
        yield incoming.frame(deadline)


def _well_formed(content: str) -> str:
    """Halves of a character, which no encoding has, are replaced; the length stays."""
    return content if content.isascii() else _SURROGATE.sub("\ufffd", content)

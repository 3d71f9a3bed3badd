"""How the child says what is in a document: frames of JSON, and texts as plain bytes.

Whatever the child says is taken for hostile: lengths, counts and types are checked before anything
is kept, and no member may carry the name of a file outside its container. Raises ``ValueError`` for
what makes no sense, ``EOFError`` when the other side is gone, ``TimeoutError`` after the deadline.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ondol.confinement.frames import Incoming, send, send_bytes, sentence, text, well_formed
from ondol.retrieval.loaders.extract import MAX_CHARACTERS
from ondol.retrieval.loaders.loader import MAX_TITLE_CHARACTERS
from ondol.retrieval.loaders.members import MAX_MEMBERS
from ondol.types import Document, Page

MAX_TEXT_BYTES = 4 * MAX_CHARACTERS
MAX_ANSWER_BYTES = MAX_TEXT_BYTES + 256 * 1024 * 1024
MAX_SOURCE_CHARACTERS = 20_000
# A page or a member that could not be read, and a note on each container.
MAX_SKIPPED = 2 * MAX_MEMBERS

_HASH = re.compile("[0-9a-f]{64}")


def send_document(connection: socket.socket, document: Document) -> None:
    """``document`` and its members, for ``receive_document``."""
    counts = {"members": len(document.members), "skipped": len(document.skipped)}
    send(connection, {"kind": "document"} | counts | _described(document))
    send_bytes(connection, well_formed(document.text).encode())
    for source, reason in document.skipped:
        send(connection, {"source": source, "reason": reason})
    for member in document.members:
        send(connection, _described(member))
        send_bytes(connection, well_formed(member.text).encode())


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

"""A document of the library at a passage: its text around it, and the page of the file itself.

The text is the library's own, as it was read; the file is only opened where it still has the very
bytes that were. Nothing but what the library lists is ever opened, by the name that it lists.
Raises ``DocumentNotFoundError``, ``DocumentChangedError`` and ``DocumentError``.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from ondol.database import Connection
from ondol.errors import DocumentChangedError, DocumentError, DocumentNotFoundError
from ondol.i18n import t
from ondol.retrieval.chunking import CODE_TYPES, TABLE_TYPES
from ondol.retrieval.loaders import contents, media_types
from ondol.retrieval.loaders.page_picture import PagePicture, Wanted
from ondol.types import Sensitivity

# What stands before a passage, to tell it from another like it on the same page.
BEFORE_CHARACTERS = 60
# A longer passage is found by its beginning.
MOST_SOUGHT = 4000
# Pages drawn at a time: each is a process.
AT_ONCE = 2


class Draws(Protocol):
    """Draws pages in a confined process (``isolation.Reader``)."""

    def draw(
        self, path: Path, content_hash: str, wanted: Wanted, *, max_bytes: int
    ) -> PagePicture: ...


class File(NamedTuple):
    """What has become of a document's file: ``status`` is "same", "changed", "missing", "part" (of
    a container) or "none" (it never was a file), ``message`` a sentence about it, if needed."""

    status: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """Text of the document ``source`` from ``begin`` on; ``start`` and ``end`` are the passage's
    offsets in the document, as far as it has them, ``length`` where the document ends. ``page`` is
    where the passage begins, ``heading`` what it stands under."""

    source: str
    title: str
    media_type: str
    collection: str
    sensitivity: Sensitivity
    added_at: str
    text: str
    begin: int
    start: int
    end: int
    length: int
    more_before: bool
    page: int | None
    pages: int | None
    heading: str
    file: File

    @property
    def has_pages(self) -> bool:
        """Whether ``picture`` can show it."""
        return self.media_type == media_types.PDF and self.file.status == "same"

    @property
    def parts(self) -> tuple[str, str, str]:
        """The text before the passage, the passage, and after it."""
        a, b = self.start - self.begin, self.end - self.begin
        return self.text[:a], self.text[a:b], self.text[b:]


class _Row(NamedTuple):
    """A document, and which one holds its chunks."""

    source: str
    title: str
    media_type: str
    collection: str
    added_at: str
    content_hash: str
    size_bytes: int
    container: str | None
    holder: int
    sensitivity: int


class Viewer:
    """Documents of one library, to be looked at; safe to use from several threads."""

    def __init__(
        self,
        connection: Connection,
        lock: threading.RLock,
        make_reader: Callable[[], Draws],
        *,
        max_bytes: int,
    ) -> None:
        self._connection = connection
        self._lock = lock
        self._make_reader = make_reader
        self._max_bytes = max_bytes
        self._drawing = threading.BoundedSemaphore(AT_ONCE)

    def view(self, source: str, start: int = 0, end: int = 0, *, context: int = 4000) -> View:
        """The document at ``start`` to ``end``, with about ``context`` characters before and after
        it (whole passages)."""
        row = self._find(source)
        with self._lock:
            first, length, pages = self._connection.execute(
                'SELECT coalesce(min(start), 0), coalesce(max("end"), 0), max(page) '
                "FROM chunks WHERE document_id = ?",
                (row.holder,),
            ).fetchone()
            start, end = min(start, length), min(max(end, start), length)
            chunks = self._connection.execute(
                'SELECT start, "end", page, heading, text FROM chunks '
                'WHERE document_id = ? AND "end" >= ? AND start <= ? ORDER BY start',
                (row.holder, start - context, end + context),
            ).fetchall()
        text, begin = _joined(chunks, row.media_type)
        here = [c for c in chunks if c[0] <= start] or chunks[:1]
        return View(
            source=row.source,
            title=row.title,
            media_type=row.media_type,
            collection=row.collection,
            sensitivity=Sensitivity(row.sensitivity),
            added_at=row.added_at,
            text=text,
            begin=begin,
            start=max(start, begin),
            end=max(end, begin),
            length=length,
            more_before=begin > first,
            page=here[-1][2] if here else None,
            pages=pages,
            heading=here[-1][3] if here else "",
            file=self._file(row),
        )

    def collection(self, source: str) -> str:
        """The collection that ``source`` is in: who looks into one document need not know it."""
        return self._find(source).collection

    def picture(
        self, source: str, page: int | None, start: int, end: int, *, width: int = 0
    ) -> PagePicture:
        """A page of a PDF, with the passage from ``start`` to ``end`` marked; without ``page`` the
        one that it is on, without a ``width`` only where on it it is."""
        row = self._find(source)
        view = self.view(source, start, end, context=BEFORE_CHARACTERS)
        if row.media_type != media_types.PDF:
            raise DocumentError(t("views.no_pages", name=_name(row.source)))
        if row.container is not None or not row.source.startswith("/"):
            raise DocumentError(self._file(row).message)
        before, passage, _ = view.parts
        wanted = Wanted(
            page=page or view.page or 1,
            width=width,
            passage=passage[:MOST_SOUGHT],
            before=before[-BEFORE_CHARACTERS:],
            is_fixed=page is not None,
        )
        with self._drawing:
            return self._make_reader().draw(
                Path(row.source), row.content_hash, wanted, max_bytes=self._max_bytes
            )

    def _find(self, source: str) -> _Row:
        with self._lock:
            found = self._connection.execute(
                "SELECT d.source, d.title, d.media_type, d.collection, d.added_at, d.content_hash, "
                "d.size_bytes, d.container, coalesce(d.duplicate_of, d.id), l.sensitivity "
                "FROM documents d JOIN labels l ON l.document_id = d.id WHERE d.source = ?",
                (source,),
            ).fetchone()
        if found is None:
            message = t("views.not_in_library", name=_name(source))
            raise DocumentNotFoundError(message, t("views.not_in_library_hint"))
        return _Row(*found)

    def _file(self, row: _Row) -> File:
        name = _name(row.source)
        if row.container is not None:
            return File("part", t("views.part", name=name, container=_name(row.container)))
        if not row.source.startswith("/"):
            return File("none", t("views.no_file", name=name))
        try:
            self._check(Path(row.source), row)
        except DocumentNotFoundError:
            return File("missing", t("views.missing", name=name))
        except DocumentChangedError as error:
            return File("changed", error.message)
        except DocumentError as error:
            return File("changed", t("views.unreadable", name=name, reason=error.message))
        return File("same")

    def _check(self, path: Path, row: _Row) -> None:
        """Raise unless the file at ``path`` has the bytes that were read."""
        with contents.opened(path) as descriptor:
            data = b""
            if os.fstat(descriptor).st_size == row.size_bytes:
                data = contents.read_opened(descriptor, path.name, max_bytes=self._max_bytes)
        if hashlib.sha256(data).hexdigest() != row.content_hash:
            raise DocumentChangedError(t("views.changed", name=_name(row.source)))


def _joined(
    chunks: list[tuple[int, int, int | None, str, str]], media_type: str
) -> tuple[str, int]:
    """The text of neighbouring chunks and where it begins. What stood between two of them was white
    space, of which only the length is known."""
    by_line = media_type.startswith((*TABLE_TYPES, *CODE_TYPES))
    parts: list[str] = []
    begin = position = chunks[0][0] if chunks else 0
    for start, end, _, _, text in chunks:
        gap = start - position
        if gap == 1:
            parts.append("\n" if by_line else " ")
        elif gap > 1:
            parts.append(" " * (gap - 2) + "\n\n")
        parts.append(text)
        position = end
    return "".join(parts), begin


def _name(source: str) -> str:
    return PurePosixPath(source).name or source

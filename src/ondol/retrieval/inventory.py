"""What is in the library and what is not: every file with its status, and the folders behind them.

Lists pages of any length without reading one document; knows rows, not files. Raises
``CollectionNotFoundError`` for a filter that names none, ``DocumentNotFoundError`` for a folder
that nobody added.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ondol import database
from ondol.database import Connection
from ondol.errors import DocumentNotFoundError
from ondol.i18n import t
from ondol.retrieval import files, folders, rows
from ondol.retrieval.filters import Filter
from ondol.retrieval.folders import Folder
from ondol.retrieval.sight import is_out_of_sight
from ondol.types import Sensitivity

Status = Literal["read", "copy", "empty", "failed"]

ORDERS = {
    "source": "d.source",
    "added": "d.added_at",
    "size": "d.size_bytes",
    "type": "d.media_type",
    "status": "d.status",
}

# Documents and failures in one table; of a file that failed, no more is known than its name.
_ALL = """WITH files AS (
    SELECT d.source, d.title, d.media_type, d.size_bytes, d.modified_ns, d.num_chunks,
        d.collection, d.added_at, d.language, h.source AS copy_of, d.container, '' AS reason,
        CASE WHEN d.duplicate_of IS NOT NULL THEN 'copy' WHEN d.num_chunks = 0 THEN 'empty'
            ELSE 'read' END AS status,
        d.sensitivity AS own_limit, l.sensitivity AS label
    FROM documents d LEFT JOIN documents h ON h.id = d.duplicate_of
        JOIN labels l ON l.document_id = d.id
    UNION ALL
    SELECT f.source, '', '', f.size_bytes, f.modified_ns, 0, f.collection, f.failed_at, '', NULL,
        NULL, f.reason, 'failed', 2, coalesce(c.sensitivity, 0)
    FROM failures f LEFT JOIN collections c ON c.name = f.collection
) """
_COLUMNS = (
    "d.source, d.title, d.media_type, d.size_bytes, d.modified_ns, d.num_chunks, d.collection, "
    "d.added_at, d.language, d.status, d.reason, d.copy_of, d.container, d.own_limit, d.label"
)


@dataclass(frozen=True, slots=True)
class LibraryDocument:
    """A document as the library lists it. ``limit`` is its own, ``sensitivity`` how far it may
    really travel (see ``collections``)."""

    source: str
    title: str
    media_type: str
    size_bytes: int
    num_chunks: int
    collection: str
    added_at: str
    language: str
    limit: Sensitivity
    sensitivity: Sensitivity
    duplicate_of: str | None = None
    container: str | None = None


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file, or a part of one, and what became of it: ``read``, a ``copy`` of ``copy_of``, without
    text (``empty``), or ``failed`` for ``reason``; then ``added_at`` is when it was tried."""

    source: str
    title: str
    media_type: str
    size_bytes: int
    modified_ns: int
    num_chunks: int
    collection: str
    added_at: str
    language: str
    status: Status
    reason: str
    copy_of: str | None
    container: str | None
    limit: Sensitivity
    sensitivity: Sensitivity


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some of the files that pass, how many there are in all, and how many of each status."""

    files: list[ListedFile]
    total: int
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class FolderState:
    """A remembered file or folder, and how many documents and failures are in it."""

    folder: Folder
    documents: int
    failed: int
    is_missing: bool


class Inventory:
    """Lists of one library; ``lock`` guards its ``connection``, ``check`` refuses filters that name
    what is not there."""

    def __init__(
        self, connection: Connection, lock: threading.RLock, check: Callable[[Filter], Filter]
    ) -> None:
        self._connection = connection
        self._lock = lock
        self._check = check

    def documents(self, where: Filter | None = None) -> list[LibraryDocument]:
        """Every document, or what ``where`` lets through, by source."""
        with self._lock:
            text, values = self._check(where or Filter()).where()
            found = self._connection.execute(
                "SELECT d.source, d.title, d.media_type, d.size_bytes, d.num_chunks, d.collection, "
                "d.added_at, d.language, h.source, d.container, d.sensitivity, l.sensitivity "
                "FROM documents d LEFT JOIN documents h ON h.id = d.duplicate_of "
                f"JOIN labels l ON l.document_id = d.id WHERE {text} ORDER BY d.source",
                values,
            ).fetchall()
        return [
            LibraryDocument(*row[:-4], *map(Sensitivity, row[-2:]), *row[-4:-2]) for row in found
        ]

    def collections(self) -> dict[str, bool]:
        """Every collection in sight by name, and whether any document is in it."""
        with self._lock:
            found = self._connection.execute(
                "SELECT l.name, EXISTS(SELECT 1 FROM documents d WHERE d.collection = l.name) "
                "FROM collections l ORDER BY l.name"
            ).fetchall()
        return {name: bool(is_filled) for name, is_filled in found if not is_out_of_sight(name)}

    def count_stricter(self, where: Filter, least: Sensitivity) -> int:
        """How many passages ``where`` lets through that may not travel as far as ``least``."""
        with self._lock:
            text, values = self._check(where).where()
            (count,) = self._connection.execute(
                "SELECT coalesce(sum(d.num_chunks), 0) FROM documents d "
                "JOIN labels l ON l.document_id = d.id "
                f"WHERE d.duplicate_of IS NULL AND l.sensitivity < ? AND ({text})",
                [int(least), *values],
            ).fetchone()
        return int(count)

    def files(
        self,
        where: Filter | None = None,
        *,
        words: Sequence[str] = (),
        statuses: Sequence[Status] = (),
        order: str = "source",
        descending: bool = False,
        offset: int = 0,
        limit: int = 100,
    ) -> FilePage:
        """A page of all files that pass ``where`` and have every one of ``words`` in their name or
        title, in an ``order`` of ``ORDERS``. The counts are of all of them, whatever their
        status."""
        with self._lock:
            condition, values = self._check(where or Filter()).where()
            for word in words:
                condition += " AND (d.source LIKE ? ESCAPE '!' OR d.title LIKE ? ESCAPE '!')"
                pattern = f"%{_escaped(word)}%"
                values = [*values, pattern, pattern]
            counts = dict(
                self._connection.execute(
                    f"{_ALL} SELECT d.status, count(*) FROM files d WHERE {condition} "
                    "GROUP BY d.status",
                    values,
                ).fetchall()
            )
            wanted = [status for status in counts if not statuses or status in statuses]
            marks = ",".join("?" * len(wanted))
            direction = "DESC" if descending else "ASC"
            found = self._connection.execute(
                f"{_ALL} SELECT {_COLUMNS} FROM files d WHERE {condition} "
                f"AND d.status IN ({marks}) ORDER BY {ORDERS[order]} {direction}, d.source "
                "LIMIT ? OFFSET ?",
                [*values, *wanted, limit, offset],
            ).fetchall()
        listed = [ListedFile(*row[:-2], *map(Sensitivity, row[-2:])) for row in found]
        return FilePage(listed, sum(counts[status] for status in wanted), counts)

    def folders(self) -> list[FolderState]:
        """The remembered files and folders, by path, with what is in them."""
        with self._lock:
            known = folders.all_folders(self._connection)
            return [
                FolderState(
                    one,
                    self._count("documents", one.path),
                    self._count("failures", one.path),
                    folders.is_missing(one),
                )
                for one in known
            ]

    def follow(self, path: Path, watch: bool) -> Folder:
        """Have a server follow a remembered folder from now on, or not any more."""
        with self._lock:
            source = str(files.absolute(path))
            self._refuse_unknown(source)
            with database.transaction(self._connection) as connection:
                # Nothing else of it: where its disk is mounted is known from when it was read.
                connection.execute(
                    "UPDATE folders SET watch = ? WHERE path = ?", (int(watch), source)
                )
            return next(one for one in folders.all_folders(self._connection) if one.path == source)

    def let_go(self, path: Path) -> None:
        """Remember a folder no longer: neither a sync nor a server looks at it again. What is in
        the library stays there, under the same labels."""
        with self._lock:
            source = str(files.absolute(path))
            self._refuse_unknown(source)
            with database.transaction(self._connection) as connection:
                folders.leave(connection, source)

    def _refuse_unknown(self, source: str) -> None:
        if all(one.path != source for one in folders.all_folders(self._connection)):
            message = t("library.not_remembered", path=source)
            raise DocumentNotFoundError(message, t("library.not_remembered_hint", path=source))

    def _count(self, table: str, path: str) -> int:
        own = " AND container IS NULL" if table == "documents" else ""
        (count,) = self._connection.execute(
            f"SELECT count(*) FROM {table} WHERE (source = ? OR (source > ? AND source < ?)){own}",
            (path, *rows.inside(path)),
        ).fetchone()
        return int(count)


def _escaped(word: str) -> str:
    return "".join(f"!{letter}" if letter in "!%_" else letter for letter in word)

"""The bytes of deleted rows: erased from every page of the database, and from its WAL.

Deleting rows is not enough. SQLite keeps copies of cells that it moved in the free part of its
pages, even with ``secure_delete``; FTS5 keeps the words of deleted rows until segments are merged;
the WAL keeps old pages. So the index is merged, every page is written anew, the WAL is emptied and
looked at. What could not be finished (a reader, a full disk, a kill) is marked in the database and
finished when the library is opened next.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ondol import database
from ondol.database import Connection
from ondol.errors import OndolError

# The mark in ``library_settings``: the pages have to be rewritten; only the WAL has to be emptied.
MARK = "erasing"
REWRITE, EMPTY_WAL = "rewrite", "wal"

# A reader finishes its statement meanwhile; who reads for longer is not waited for.
ATTEMPTS = 4
ATTEMPT_MS = 500


def begin(connection: Connection) -> None:
    """Say that there will be bytes to erase; call in the transaction that deletes the rows."""
    _mark(connection, REWRITE)


def finish(connection: Connection, *, is_patient: bool = True) -> bool:
    """Erase what there is to erase; whether nothing is left. Call outside of transactions."""
    from sqlcipher3 import dbapi2 as sqlite

    mark = _marked(connection)
    if mark is None:
        return True
    with _busy_timeout(connection, ATTEMPT_MS if is_patient else 0):
        try:
            if mark == REWRITE:
                _rewrite(connection)
                _mark(connection, EMPTY_WAL)
            for _ in range(ATTEMPTS if is_patient else 1):
                if _empty_wal(connection):
                    connection.execute("DELETE FROM library_settings WHERE name = ?", (MARK,))
                    return True
                time.sleep(0.05)
        except (sqlite.DatabaseError, OndolError, MemoryError):
            # A full disk, a writer, too little memory: the rows are gone, and the mark stays.
            return False
    return False


def _rewrite(connection: Connection) -> None:
    connection.execute("INSERT INTO chunk_terms(chunk_terms) VALUES ('optimize')")
    connection.execute("VACUUM")


def _empty_wal(connection: Connection) -> bool:
    """Move what is in the WAL into the database and cut it to nothing; whether it is."""
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    file = connection.execute("PRAGMA database_list").fetchone()[2]
    if busy or not file:
        return not busy
    with suppress(FileNotFoundError):
        return os.stat(f"{file}-wal").st_size == 0
    return True


def _mark(connection: Connection, stage: str) -> None:
    connection.execute("INSERT OR REPLACE INTO library_settings VALUES (?, ?)", (MARK, stage))


def _marked(connection: Connection) -> str | None:
    row = connection.execute(
        "SELECT value FROM library_settings WHERE name = ?", (MARK,)
    ).fetchone()
    return str(row[0]) if row else None


@contextmanager
def _busy_timeout(connection: Connection, milliseconds: int) -> Iterator[None]:
    connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {database.BUSY_SECONDS * 1000}")

"""The one SQLite file: connect and migrate.

SQLite comes from sqlcipher3, the same build on every machine: it has FTS5, and a passphrase can
encrypt everything later. Migrations are numbered functions, forward only. Raises ``StorageError``
when the file cannot be written and ``DocumentError`` when it is damaged or from a newer Ondol.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ondol import paths
from ondol.errors import DocumentError, StorageError
from ondol.i18n import t

# The type of a connection is sqlcipher3's own; it follows DB-API 2.0 but ships no type hints.
Connection = Any

IN_MEMORY = Path(":memory:")

# How long a writer waits for another one.
BUSY_SECONDS = 30


def connect(file: Path) -> Connection:
    """Open (and create, and migrate) the database; one connection belongs to one thread at a time.

    Transactions are explicit: use ``transaction(connection)``.
    """
    from sqlcipher3 import dbapi2 as sqlite

    if file != IN_MEMORY:
        paths.ensure(file.parent)
    try:
        connection = sqlite.connect(
            str(file), isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS
        )
        _prepare(connection)
        migrate(connection)
    except sqlite.DatabaseError as error:
        raise _explain(error, file) from error
    if file != IN_MEMORY:
        file.chmod(0o600)
    return connection


@contextmanager
def transaction(connection: Connection) -> Iterator[Connection]:
    """All or nothing. Takes the write lock at once, so two writers queue instead of failing.

    Raises ``StorageError`` when the disk is full or read-only; nothing is changed then.
    """
    from sqlcipher3 import dbapi2 as sqlite

    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite.DatabaseError):
            raise _explain(error, _file_of(connection)) from error
        raise


def migrate(connection: Connection) -> None:
    """Bring the schema to the newest version; a database from the future is refused."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise DocumentError(t("core.newer_database"), t("core.newer_database_hint"))
    for number in range(version, len(MIGRATIONS)):
        with transaction(connection):
            # Another process may have migrated while this one waited for the lock.
            if connection.execute("PRAGMA user_version").fetchone()[0] == number:
                MIGRATIONS[number](connection)
                connection.execute(f"PRAGMA user_version = {number + 1}")


def _prepare(connection: Connection) -> None:
    _switch_to_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")


def _switch_to_wal(connection: Connection) -> None:
    """Two first openings at once: SQLite refuses the later switch instead of waiting."""
    from sqlcipher3 import dbapi2 as sqlite

    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _file_of(connection: Connection) -> Path:
    return Path(connection.execute("PRAGMA database_list").fetchone()[2] or IN_MEMORY)


def _explain(error: Exception, file: Path) -> Exception:
    text = str(error)
    if "disk is full" in text or "disk I/O" in text:
        return paths.storage_error(OSError(28, text), file)
    if "locked" in text:
        return StorageError(t("core.database_busy", file=file), t("core.database_busy_hint"))
    if "readonly" in text or "unable to open" in text:
        return paths.storage_error(OSError(30, text), file)
    return DocumentError(t("core.damaged_database", file=file), t("core.damaged_database_hint"))


def _library(connection: Connection) -> None:
    """Documents, their chunks and sentences, the keyword index and the vectors."""
    for statement in (
        """CREATE TABLE documents (
            id INTEGER PRIMARY KEY,
            source TEXT NOT NULL UNIQUE,
            content_hash TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            modified_ns INTEGER NOT NULL,
            media_type TEXT NOT NULL,
            title TEXT NOT NULL,
            collection TEXT NOT NULL,
            sensitivity INTEGER NOT NULL,
            num_chunks INTEGER NOT NULL,
            embedding_model TEXT NOT NULL,
            added_at TEXT NOT NULL
        )""",
        # A chunk id is never used twice: the vector index in RAM knows chunks by id.
        """CREATE TABLE chunks (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            document_id INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
            start INTEGER NOT NULL,
            "end" INTEGER NOT NULL,
            page INTEGER,
            heading TEXT NOT NULL,
            text TEXT NOT NULL,
            vector BLOB NOT NULL
        )""",
        "CREATE INDEX chunks_document ON chunks(document_id)",
        """CREATE TABLE sentences (
            chunk_id INTEGER NOT NULL REFERENCES chunks(id) ON DELETE CASCADE,
            start INTEGER NOT NULL,
            "end" INTEGER NOT NULL,
            vector BLOB NOT NULL,
            PRIMARY KEY (chunk_id, start)
        ) WITHOUT ROWID""",
        """CREATE VIRTUAL TABLE chunk_terms USING fts5(
            terms, content='', contentless_delete=1,
            tokenize='unicode61 remove_diacritics 2'
        )""",
        "INSERT INTO chunk_terms(chunk_terms, rank) VALUES ('secure-delete', 1)",
        "CREATE VIRTUAL TABLE chunk_vocabulary USING fts5vocab(chunk_terms, row)",
        "CREATE TABLE changes (counter INTEGER NOT NULL)",
        "INSERT INTO changes VALUES (0)",
    ):
        connection.execute(statement)


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_library,)

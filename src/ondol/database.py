"""The one SQLite file: connect and migrate.

SQLite comes from sqlcipher3, the same build on every machine: it has FTS5, and a passphrase can
encrypt everything later. Migrations are numbered functions, forward only. Raises ``StorageError``
when the file cannot be written and ``DocumentError`` when it is damaged or from a newer Ondol.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ondol import cipher, leftovers, paths
from ondol.errors import DocumentError, LockedError, OndolError, StorageError
from ondol.i18n import t
from ondol.schema import MIGRATIONS

# The type of a connection is sqlcipher3's own; it follows DB-API 2.0 but ships no type hints.
Connection = Any

IN_MEMORY = Path(":memory:")

# How long a writer waits for another one.
BUSY_SECONDS = 30

# In SQLite's words: damaged pages, no database at all, and no room.
_DAMAGE = ("malformed", "not a database", "corrupt", "disk is full", "disk I/O")

_creating = threading.Lock()

_open_transactions = threading.local()


def connect(file: Path) -> Connection:
    """Open (and create, and migrate) the database; one connection belongs to one thread at a time.

    Transactions are explicit: use ``transaction(connection)``. Raises ``LockedError`` when the file
    is encrypted and no passphrase opens it.
    """
    from sqlcipher3 import dbapi2 as sqlite

    if file == IN_MEMORY:
        return _open(file)
    paths.ensure(file.parent)
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        before = _create(file)
        try:
            connection = _open(file)
        except (sqlite.DatabaseError, LockedError) as error:
            if before == _identity(file) or time.monotonic() > deadline:
                raise explain(error, file) from error
            continue
        # Another process may have put a locked copy in its place while this one opened it. From
        # here on the connection's own lock keeps everybody from doing so.
        if before == _identity(file):
            break
        connection.close()
    leftovers.tidy(file)
    return connection


@contextmanager
def transaction(connection: Connection) -> Iterator[Connection]:
    """All or nothing. Takes the write lock at once, so two writers queue instead of failing.

    Raises ``StorageError`` when the disk is full or read-only; nothing is changed then.
    """
    from sqlcipher3 import dbapi2 as sqlite

    try:
        connection.execute("BEGIN IMMEDIATE")
        _open_transactions.count = getattr(_open_transactions, "count", 0) + 1
        try:
            yield connection
        finally:
            _open_transactions.count -= 1
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite.DatabaseError):
            raise explain(error, _file_of(connection)) from error
        raise


def in_transaction() -> bool:
    """Whether this thread is inside ``transaction``: then it would wait for itself if it wrote
    through another connection."""
    return getattr(_open_transactions, "count", 0) > 0


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


def _open(file: Path) -> Connection:
    connection = cipher.open_file(file, timeout_seconds=BUSY_SECONDS)
    try:
        _prepare(connection)
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(file: Path) -> tuple[int, int]:
    """Make sure that ``file`` is there, for its owner alone from the first byte; its identity."""
    try:
        # Closing a file drops the locks that other threads have on it through SQLite, so that none
        # may open the new one in between.
        with _creating:
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise paths.storage_error(error, file) from error
    if not file.is_file():
        raise paths.storage_error(OSError(errno.EISDIR, os.strerror(errno.EISDIR)), file)
    try:
        if file.stat().st_mode & 0o077:
            file.chmod(0o600)
    except OSError as error:
        raise paths.storage_error(error, file) from error
    return _identity(file)


def _identity(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except FileNotFoundError:
        return (0, 0)
    return found.st_dev, found.st_ino


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


def damage(error: BaseException) -> Exception | None:
    """The sentence for what SQLite says, wherever it says it, of a library that is damaged or has
    no room; None for any other error."""
    if type(error).__module__.partition(".")[0] != "sqlcipher3":
        return None
    if not any(words in str(error) for words in _DAMAGE):
        return None
    return explain(Exception(str(error)), paths.database_file())


def explain(error: Exception, file: Path) -> Exception:
    if isinstance(error, OndolError):
        return error
    text = str(error)
    if "disk is full" in text or "disk I/O" in text:
        return paths.storage_error(OSError(28, text), file)
    if "locked" in text:
        return StorageError(t("core.database_busy", file=file), t("core.database_busy_hint"))
    if "readonly" in text or "unable to open" in text:
        return paths.storage_error(OSError(30, text), file)
    return DocumentError(t("core.damaged_database", file=file), t("core.damaged_database_hint"))

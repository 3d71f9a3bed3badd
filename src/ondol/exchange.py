"""Writes the whole database anew, under another key or none, and puts the copy in its place.

Whenever the process is killed, the file is the old database or the new one, whole. Nobody else may
have it open meanwhile. A copy is compared with what it was made of before anything depends on it.
Raises ``StorageError`` while somebody has the database open, and ``DocumentError`` for a bad copy.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ondol import carrying, cipher, database, keys, leftovers, paths
from ondol.cipher import Connection
from ondol.errors import DocumentError, StorageError
from ondol.i18n import t
from ondol.keys import Key

# Commands are short; who has the file open for longer is a server.
PATIENCE_SECONDS = 3.0
ATTEMPT_MS = 100
DIGEST_BYTES = 16
# PENDING_BYTE, RESERVED_BYTE and the shared range of SQLite's file format.
FIRST_LOCK_BYTE, LOCK_BYTES = 0x40000000, 512

# Table → how many rows, and the sum of their digests, which no order of rows changes.
Contents = dict[str, tuple[int, str]]


@contextmanager
def alone(file: Path) -> Iterator[Connection]:
    """A connection beside which nobody has, or gets, another one to ``file``; everything is in the
    one file meanwhile, no WAL. Raises ``StorageError`` when somebody else has it open."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    connection = database.connect(file)
    while not _is_alone(connection, file):
        # Two that want it stand in each other's way until one of them lets go.
        connection.close()
        if time.monotonic() > deadline:
            raise in_use(file)
        time.sleep(random.uniform(0.01, 0.2))
        connection = database.connect(file)
    try:
        yield connection
    finally:
        connection.close()


def _is_alone(connection: Connection, file: Path) -> bool:
    """Try to get the file for this connection alone."""
    from sqlcipher3 import dbapi2 as sqlite

    connection.execute(f"PRAGMA busy_timeout = {ATTEMPT_MS}")
    try:
        # Leaving WAL needs the file for oneself, and empties the WAL into it.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA main.locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
        # In between somebody may have come, gone back to WAL, and be there still.
        (mode,) = connection.execute("PRAGMA main.journal_mode").fetchone()
        return bool(mode == "delete")
    except sqlite.DatabaseError as error:
        if "locked" in str(error):
            return False
        connection.close()
        raise database.explain(error, file) from error


@contextmanager
def alone_with_unreadable(file: Path) -> Iterator[None]:
    """Like ``alone``, for a file that SQLite cannot open: holds the bytes that SQLite locks."""
    descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, LOCK_BYTES, FIRST_LOCK_BYTE)
        except OSError as error:
            raise in_use(file) from error
        yield
    finally:
        os.close(descriptor)


def in_use(file: Path) -> StorageError:
    """Somebody else has the library open."""
    return StorageError(t("encryption.in_use", file=file), t("encryption.in_use_hint"))


def exchange(file: Path, make: Callable[[Connection, Path], None]) -> None:
    """Replace ``file`` by what ``make(connection, target)`` writes to ``target`` and has checked.
    The bytes of the old ``file`` are overwritten afterwards."""
    target, old = leftovers.new(file), leftovers.old(file)
    with alone(file) as connection:
        own = file.stat()
        try:
            leftovers.erase(target)
            leftovers.erase(old, keep=file)
            make(connection, target)
            put(target, file)
        except OSError as error:
            raise paths.storage_error(error, file) from error
        finally:
            # From the moment that the new file has the name, or this connection is closed, another
            # process may be exchanging: then what has these two names is not ours.
            if leftovers.names(file, own):
                leftovers.erase(target)
            connection.close()
            if leftovers.names(old, own):
                leftovers.erase(old, keep=file)
    leftovers.sync(file.parent)


def put(target: Path, file: Path, *, keep_name: bool = True) -> None:
    """Give the finished ``target`` the name ``file``, for good. What had the name keeps another, so
    that who comes after a kill can overwrite its bytes. Call while nobody can write to ``file``."""
    target.chmod(0o600)
    leftovers.sync(target)
    # A kill long ago may have left one that no longer counts; beside another file it would.
    for ending in ("-journal", "-wal", "-shm"):
        Path(f"{file}{ending}").unlink(missing_ok=True)
    if keep_name:
        # On a file system without second names a kill leaves nothing to find.
        with suppress(OSError):
            os.link(file, leftovers.old(file))
    target.replace(file)
    leftovers.sync(file.parent)


def copy(connection: Connection, target: Path, key: Key | None) -> Contents:
    """Write all that is in ``connection``'s database to the new file ``target``, encrypted with
    ``key`` or plain. Others may write to the database meanwhile: the copy, and the contents that
    are returned, are those of one moment. Not yet checked: see ``verify``."""
    from sqlcipher3 import dbapi2 as sqlite

    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        connection.execute("ATTACH ? AS copy KEY ?", (str(target), key.raw if key else ""))
        try:
            # Nobody needs half a copy: no journal.
            connection.execute("PRAGMA copy.journal_mode = OFF")
            connection.execute("PRAGMA copy.synchronous = OFF")
            connection.execute("BEGIN")
            found = contents(connection)
            (version,) = connection.execute("PRAGMA main.user_version").fetchone()
            connection.execute("SELECT sqlcipher_export('copy')")
            connection.execute("COMMIT")
            connection.execute(f"PRAGMA copy.user_version = {version}")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.execute("DETACH copy")
    except sqlite.DatabaseError as error:
        raise database.explain(error, target) from error
    if key is not None:
        keys.remember(key)
    return found


def verify(file: Path, expected: Contents) -> None:
    """Raise ``DocumentError`` unless ``file`` is sound and holds ``expected``, row for row."""
    with closing(open_copy(file)) as connection:
        check_sound(connection, file)
        if contents(connection) != expected:
            raise DocumentError(t("encryption.bad_copy"), t("encryption.bad_copy_hint"))


def open_copy(file: Path) -> Connection:
    """A connection to a copy, as it is: nothing is migrated, and no file comes to be beside it."""
    from sqlcipher3 import dbapi2 as sqlite

    try:
        connection = cipher.open_file(file, timeout_seconds=0)
        connection.execute("PRAGMA journal_mode = MEMORY")
        return connection
    except sqlite.DatabaseError as error:
        raise database.explain(error, file) from error


def check_sound(connection: Connection, file: Path) -> None:
    """Read every page of the database; raise ``DocumentError`` when one is damaged."""
    from sqlcipher3 import dbapi2 as sqlite

    try:
        answer = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except MemoryError:
        # A damaged length asks SQLite for more memory than there is.
        answer = "database disk image is malformed"
    except sqlite.DatabaseError as error:
        raise database.explain(error, file) from error
    if answer != "ok":
        raise database.explain(sqlite.DatabaseError(answer), file)


def contents(connection: Connection, without: str = "") -> Contents:
    """What every table holds, those behind the keyword index included."""
    names = [
        row[0]
        for row in connection.execute(
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND rootpage > 0 "
            "AND name NOT LIKE 'sqlite_stat%' ORDER BY name"
        )
    ]
    return {name: _table(connection, name) for name in names if name != without}


def num_rows(connection: Connection) -> int:
    """How many rows of somebody's the database holds: all but those that a new one has too, and
    what Ondol writes about itself."""
    own = contents(connection)
    with closing(database.connect(database.IN_MEMORY)) as fresh:
        given = contents(fresh)
    tables = [
        row[0]
        for row in connection.execute(
            "SELECT name FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
    ]
    counted = (n for n in tables if n in own and n not in carrying.TABLES)
    return sum(max(0, own[n][0] - given.get(n, (0, ""))[0]) for n in counted)


def _table(connection: Connection, name: str) -> tuple[int, str]:
    count, total = 0, 0
    quoted = '"' + name.replace('"', '""') + '"'
    for row in connection.execute(f"SELECT * FROM main.{quoted}"):
        count += 1
        total += int.from_bytes(_digest(row), "big")
    return count, f"{total % (1 << (8 * DIGEST_BYTES)):0{2 * DIGEST_BYTES}x}"


def _digest(row: tuple[object, ...]) -> bytes:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for value in row:
        raw = value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass")
        digest.update(f"{type(value).__name__} {len(raw)} ".encode())
        digest.update(raw)
    return digest.digest()

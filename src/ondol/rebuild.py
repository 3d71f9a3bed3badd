"""A new library in the place of a damaged one: what can still be read of its order, no content.

The damaged file is moved aside, whole. Collections, followed folders, limits, and the hashes of
what was forgotten are taken over as far as they can be read; documents are read again from their
files by the sync that follows. A locked library stays locked, with its key. Raises
``LockedError``, ``UsageError`` for a library that is sound, ``StorageError``.
"""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from ondol import backup, cipher, database, exchange, keychain, keys
from ondol.cipher import Connection
from ondol.errors import DocumentError, LockedError, UsageError
from ondol.i18n import t
from ondol.keys import Key

# What is worth keeping, each before what refers to it.
TABLES = ("collections", "folders", "limits", "forgotten", "library_settings")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Where the damaged library is now, and how many followed files and folders were read from
    it; ``has_all`` says that all of the order was."""

    kept: tuple[str, ...]
    places: int
    has_all: bool
    is_locked: bool


def rebuild(file: Path, *, force: bool = False) -> Rebuilt:
    """Put a new library in the place of ``file``; one that is sound only with ``force``."""
    if not file.exists() or (is_sound(file) and not force):
        raise UsageError(t("rebuild.sound"), t("rebuild.sound_hint"))
    found, has_all = _salvage(file)
    key = _key(file)
    with closing(database.connect(database.IN_MEMORY)) as fresh:
        _fill(fresh, found)

        def write(target: Path) -> None:
            exchange.verify(target, exchange.copy(fresh, target, key))

        kept = backup.replace_unreadable(file, write)
    return Rebuilt(kept, len(found.get("folders", ())), has_all, key is not None)


def _key(file: Path) -> Key | None:
    """That of the damaged library; where nothing can be read, what the owner gives in advance
    decides whether the new one is locked."""
    if not cipher.is_encrypted(file):
        return None
    passphrase = keys.given() or keychain.read()
    return cipher.key_of(file) or (keys.new_key(passphrase) if passphrase else None)


def is_sound(file: Path) -> bool:
    """Whether the library opens and every page of it is as it should be. A wrong passphrase is a
    ``LockedError``: it says nothing about the pages."""
    from sqlcipher3 import dbapi2 as sqlite

    try:
        with closing(database.connect(file)) as connection:
            exchange.check_sound(connection, file)
            connection.execute("INSERT INTO chunk_terms(chunk_terms) VALUES ('integrity-check')")
    except LockedError:
        raise
    except (DocumentError, sqlite.DatabaseError):
        return False
    return True


Rows = dict[str, list[dict[str, object]]]


def _salvage(file: Path) -> tuple[Rows, bool]:
    """The rows of ``TABLES`` that can be read, by column, and whether all of them could."""
    from sqlcipher3 import dbapi2 as sqlite

    found: Rows = {}
    try:
        connection = cipher.open_file(file, timeout_seconds=0)
    except sqlite.DatabaseError:
        return found, False
    has_all = True
    with closing(connection):
        for table in TABLES:
            found[table] = []
            try:
                rows = connection.execute(f"SELECT * FROM {table}")
                names = [column[0] for column in rows.description]
                for row in rows:
                    found[table].append(dict(zip(names, row, strict=True)))
            except sqlite.DatabaseError:
                has_all = False
    return found, has_all


def _fill(fresh: Connection, found: Rows) -> None:
    from sqlcipher3 import dbapi2 as sqlite

    for table in TABLES:
        for row in found.get(table, ()):
            marks = ", ".join("?" * len(row))
            # A row that was damaged too breaks a rule of the new library.
            with suppress(sqlite.DatabaseError):
                fresh.execute(
                    f"INSERT OR REPLACE INTO {table} ({', '.join(row)}) VALUES ({marks})",
                    list(row.values()),
                )

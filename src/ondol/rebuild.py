"""A new library in the place of a damaged one: what can still be read of its order, no content.

The damaged file is moved aside, whole. Collections, followed folders, limits, and the hashes of
what was forgotten are taken over as far as they can be read, and so are memories and conversations,
which are nowhere else; documents are read again from their files by the sync that follows. A locked
library stays locked, with its key. Raises ``LockedError``, ``UsageError`` for a sound library,
``StorageError``.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from ondol import backup, carrying, cipher, database, exchange, keychain, keys
from ondol.cipher import Connection
from ondol.errors import DocumentError, LockedError, UsageError
from ondol.i18n import t
from ondol.keys import Key

# What is worth keeping, each before what refers to it.
HOMES = ("homes", "home_devices", "home_usage")
OWN = ("collections", "folders", "limits", "forgotten", "library_settings", "pins")
STATED = ("memories", "memory_history", "personas")
CONNECTED = ("clients", "client_collections", "tool_servers", "approved_tools")
SAID = ("conversations", "messages", "feedback", "attachments", "prompts")
SAMPLES = ("sample_sources", "samples", "sample_marks", "samples_let_go", "adapter_samples")
LEARNED = ("memory_suggestions", *SAMPLES, "private_adapters", "activations")
FEDERATED = (
    "federations",
    "federation_sources",
    "federation_rounds",
    "federation_samples",
    "home_federations",
    "home_federation_members",
    "home_federation_rounds",
)
EVALUATED = ("evaluations", "evaluation_scores", "evaluation_golden")
UPDATING = ("hubs", "installs", "install_events", "packs", "pack_prompts")
TABLES = (
    *OWN,
    *STATED,
    *CONNECTED,
    *SAID,
    *LEARNED,
    *carrying.TABLES,
    *HOMES,
    *FEDERATED,
    *UPDATING,
    *EVALUATED,
)

# A page of 4096 random bytes has 7.95 bits a byte, one of vectors 7.3, one of text less.
NOISE_BITS = 7.8
SAMPLED_PAGES = 256


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
    decides with what the new one is locked. It is never plain where the old one was not."""
    if not cipher.is_encrypted(file):
        return None
    if (key := cipher.key_of(file)) is not None:
        return key
    if passphrase := keys.given() or keychain.read():
        return keys.new_key(passphrase)
    if _looks_encrypted(file):
        raise LockedError(t("encryption.locked", file=file), t("encryption.locked_hint"))
    return None


def _looks_encrypted(file: Path) -> bool:
    """Whether ``file``, which does not begin as a plain library does, was a locked one: what is
    left of that is noise, while a plain one is full of text and zeros."""
    with file.open("rb") as stream:
        data = stream.read(SAMPLED_PAGES * cipher.PAGE_BYTES)
    ends = range(cipher.PAGE_BYTES, len(data) + 1, cipher.PAGE_BYTES)
    noisy = [_entropy(data[end - cipher.PAGE_BYTES : end]) > NOISE_BITS for end in ends]
    # Of less than a page nothing can be said.
    return 2 * sum(noisy) >= len(noisy) if noisy else any(data)


def _entropy(data: bytes) -> float:
    """Bits a byte."""
    shares = [count / len(data) for count in Counter(data).values()]
    return -sum(share * math.log2(share) for share in shares)


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

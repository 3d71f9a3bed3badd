"""Which analyser made a library's terms: recorded when the library is empty, and until ``ondol
library reindex`` changes it.

The record means that the terms of every Korean chunk have their morphemes, so that a question may
use its own. Where the analyser is missing, questions use bigrams, which every chunk has; a Korean
chunk that is written without it ends the record. While a reindexing is under way, new terms are
what it makes. "" is the analyser of the base install, bigrams alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from ondol.database import Connection
from ondol.retrieval import korean

_RECORDED, _UNDER_WAY = "analyser", "reindexing"


class UnderWay(NamedTuple):
    """A reindexing: the analyser it goes to, and the last chunk that has its terms."""

    analyser: str
    done_to: int


def recorded(connection: Connection) -> str:
    """The analyser that the library's terms are of; an empty library takes the installed one."""
    if not _has_chunks(connection):
        return korean.analyser()
    return _setting(connection, _RECORDED) or ""


def answers_with_morphemes(connection: Connection) -> bool:
    """Whether a question's morphemes can be looked up here."""
    return bool(korean.analyser() and recorded(connection))


def writes_morphemes(connection: Connection) -> bool:
    """Whether the terms of what comes into the library have morphemes."""
    return bool(korean.analyser() and _wanted(connection))


def settle(connection: Connection) -> bool:
    """``writes_morphemes``, recorded if the library is empty. Inside a transaction that writes
    chunks."""
    if not _has_chunks(connection):
        record(connection, korean.analyser())
    return writes_morphemes(connection)


def note_plain(connection: Connection, texts: Sequence[str]) -> None:
    """``texts`` come into the library without morphemes. Inside the transaction."""
    if _wanted(connection) and any(map(korean.has_hangul, texts)):
        record(connection, "")


def record(connection: Connection, analyser: str) -> None:
    """From here on every chunk's terms are of ``analyser``; no reindexing is under way."""
    connection.execute(
        "INSERT OR REPLACE INTO library_settings VALUES (?, ?)", (_RECORDED, analyser)
    )
    connection.execute("DELETE FROM library_settings WHERE name = ?", (_UNDER_WAY,))


def under_way(connection: Connection) -> UnderWay | None:
    """The reindexing that was begun and is not done."""
    value = _setting(connection, _UNDER_WAY)
    return None if value is None else UnderWay(*json.loads(value))


def mark(connection: Connection, state: UnderWay) -> None:
    """How far a reindexing is. Inside the transaction that writes the terms."""
    connection.execute(
        "INSERT OR REPLACE INTO library_settings VALUES (?, ?)", (_UNDER_WAY, json.dumps(state))
    )


def _wanted(connection: Connection) -> str:
    state = under_way(connection) if _has_chunks(connection) else None
    return state.analyser if state else recorded(connection)


def _has_chunks(connection: Connection) -> bool:
    return connection.execute("SELECT 1 FROM chunks LIMIT 1").fetchone() is not None


def _setting(connection: Connection, name: str) -> str | None:
    row = connection.execute(
        "SELECT value FROM library_settings WHERE name = ?", (name,)
    ).fetchone()
    return None if row is None else str(row[0])

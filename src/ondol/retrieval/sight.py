"""Collections out of sight: the files of one conversation, which only a filter that names their
collection finds. Everybody else searches, lists and asks as if they were not there."""

from __future__ import annotations

from collections.abc import Sequence

from ondol.database import Connection

PREFIX = "conversation:"
_FIRST, _PAST = PREFIX, PREFIX[:-1] + chr(ord(PREFIX[-1]) + 1)
_IS_ONE = f"(d.collection >= '{_FIRST}' AND d.collection < '{_PAST}')"

CHUNKS = f"SELECT c.id FROM documents d JOIN chunks c ON c.document_id = d.id WHERE {_IS_ONE}"
"""A query for the ids of all chunks that are out of sight."""


def collection_of(conversation: str) -> str:
    """The collection of a conversation's files."""
    return f"{PREFIX}{conversation}"


def is_out_of_sight(collection: str) -> bool:
    """Whether a collection is one of these. No other may be called so."""
    return collection.startswith(PREFIX)


def has_any(connection: Connection) -> bool:
    """Whether there is anything to hide."""
    found = connection.execute(
        "SELECT 1 FROM collections WHERE name >= ? AND name < ? LIMIT 1", (_FIRST, _PAST)
    )
    return found.fetchone() is not None


def condition(named: Sequence[str]) -> tuple[str, list[object]]:
    """The condition, with its parameters, that a document ``d`` may be seen by who names the
    collections ``named``."""
    own = [name for name in named if is_out_of_sight(name)]
    marks = ", ".join("?" * len(own))
    return f"NOT {_IS_ONE}" + (f" OR d.collection IN ({marks})" if own else ""), list(own)


def sources(connection: Connection) -> set[str]:
    """The documents in such collections, by name."""
    return {s for (s,) in connection.execute(f"SELECT d.source FROM documents d WHERE {_IS_ONE}")}


def chunks(connection: Connection) -> set[int]:
    """The ids of all chunks in such collections."""
    return {id for (id,) in connection.execute(CHUNKS)}

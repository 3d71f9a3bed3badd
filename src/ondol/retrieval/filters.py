"""Which documents a search may look at: by collection, place, kind, date and language.

A ``Filter`` becomes a condition in SQL over the rows of ``documents``, so that a search looks only
inside it and its results are the best of what is there. A document whose chunks another one holds
(a duplicate) counts with its own path, kind and date. Knows no syntax: that is ``query``.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from ondol import database
from ondol.database import Connection
from ondol.retrieval import kinds, sight
from ondol.retrieval.language_codes import language_code
from ondol.types import Hit, Sensitivity

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Condition = tuple[str, list[object]]

_LATEST_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Filter:
    """What a document must be. Within one field any value will do, all fields must hold.

    ``paths`` are files or folders from the root on (``/home/me/notes``), or parts of a path that
    may stand anywhere (``notes/2025``, ``*.md``); ``*`` is any letters and ``?`` is one.
    ``types`` are words that ``kinds`` knows. ``after`` is the first day on which a file may have
    been changed last, ``before`` the first day that is too late. ``languages`` are ISO 639 codes.
    ``excluded`` are what a document must not be, ``also`` further filters it must pass. What is in
    the collections ``beside`` passes whatever else is asked; ``hides`` keeps out of sight what only
    those who name it may see (see ``sight``), ``seals`` even from them. With ``least`` its label
    must be that or freer.
    """

    collections: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    after: date | None = None
    before: date | None = None
    languages: tuple[str, ...] = ()
    excluded: Filter | None = None
    also: tuple[Filter, ...] = ()
    beside: tuple[str, ...] = ()
    hides: bool = False
    seals: bool = False
    least: Sensitivity | None = None

    def __bool__(self) -> bool:
        """Whether it asks for anything."""
        return bool(self._conditions() or self.beside or self.hides or self.seals)

    def __and__(self, other: Filter | None) -> Filter:
        """What passes both: a request can narrow what it is given, and never widen it."""
        if not other:
            return self
        return replace(self, also=(*self.also, other)) if self else other

    @property
    def only_hides(self) -> bool:
        """Whether everything in sight passes."""
        return replace(self, hides=True, seals=False) == Filter(hides=True)

    def where(self) -> Condition:
        """The condition, with its parameters, over the table ``documents`` called ``d``."""
        conditions = self._conditions() or [("1", [])]
        sql = " AND ".join(f"({text})" for text, _ in conditions)
        values = [value for _, values in conditions for value in values]
        if self.beside:
            sql = f"({sql}) OR d.collection IN ({', '.join('?' * len(self.beside))})"
            values += self.beside
        if self.hides or self.seals:
            seen, named = sight.condition(() if self.seals else self.asked_for)
            sql, values = f"({sql}) AND ({seen})", [*values, *named]
        return sql, values

    def _conditions(self) -> list[Condition]:
        found = [
            *_is_one_of("d.collection", self.collections),
            *_any_of([_path_condition(path) for path in self.paths]),
            *_any_of([kinds.condition(kind) for kind in self.types]),
            *_any_of([("d.language = ?", [code]) for code in self.languages]),
        ]
        if self.after:
            found.append(("d.modified_ns >= ?", [midnight_ns(self.after)]))
        if self.before:
            found.append(("d.modified_ns < ?", [midnight_ns(self.before)]))
        if self.least:
            label = "SELECT l.sensitivity FROM labels l WHERE l.document_id = d.id"
            found.append((f"({label}) >= ?", [int(self.least)]))
        if self.excluded:
            # Each of them is out, not only what is all of them.
            for text, values in self.excluded._conditions():
                found.append((f"NOT ({text})", values))
        return [*found, *(one.where() for one in self.also if one)]

    @property
    def named_collections(self) -> tuple[str, ...]:
        """Every collection that is named anywhere in it."""
        inner = (*self.also, *([self.excluded] if self.excluded else []))
        return (
            self.collections
            + self.beside
            + tuple(name for one in inner for name in one.named_collections)
        )

    @property
    def asked_for(self) -> tuple[str, ...]:
        """Every collection that it names to be looked into; what it leaves out does not count."""
        own = self.collections + self.beside
        return own + tuple(name for one in self.also for name in one.asked_for)

    @property
    def asks_for_language(self) -> bool:
        """Whether the language of documents matters."""
        inner = (*self.also, *([self.excluded] if self.excluded else []))
        return bool(self.languages) or any(one.asks_for_language for one in inner)


def is_within(where: Filter, chunk_id: str) -> Condition:
    """The condition that ``where`` lets through the chunk whose id ``chunk_id`` names in a query:
    one look at a row for each chunk that is asked about, and none at the others."""
    if where.only_hides:
        return f"{chunk_id} NOT IN ({sight.CHUNKS})", []
    text, values = where.where()
    return (
        f"(SELECT document_id FROM chunks WHERE id = {chunk_id}) IN "
        f"(SELECT coalesce(d.duplicate_of, d.id) FROM documents d WHERE {text})",
        values,
    )


def chunks_within(where: Filter) -> Condition:
    """A query for the ids of all chunks that ``where`` lets through."""
    text, values = where.where()
    return (
        "SELECT id FROM chunks WHERE document_id IN "
        f"(SELECT coalesce(d.duplicate_of, d.id) FROM documents d WHERE {text})",
        values,
    )


def chunk_ids(connection: Connection, where: Filter) -> npt.NDArray[np.int64]:
    """The ids of all chunks that ``where`` lets through, sorted."""
    import numpy as np

    text, values = chunks_within(where)
    # One long text of numbers is read many times faster than a row for each.
    (listed,) = connection.execute(f"SELECT group_concat(id) FROM ({text})", values).fetchone()
    return np.sort(np.array((listed or "").split(",") if listed else [], dtype=np.int64))


def count_chunks(connection: Connection, where: Filter, *, at_most: int) -> int:
    """How many chunks ``where`` lets through; of more than ``at_most``, ``at_most``."""
    text, values = chunks_within(where) if where else ("SELECT id FROM chunks", [])
    counted = connection.execute(f"SELECT count(*) FROM ({text} LIMIT ?)", [*values, at_most])
    (count,) = counted.fetchone()
    return int(count)


def under_matching_names(connection: Connection, where: Filter, hits: Sequence[Hit]) -> list[Hit]:
    """``hits`` under the name of a document that passes: where only a duplicate of the one that
    holds the chunk does, that is the duplicate's."""
    text, values = where.where()
    marks = ",".join("?" * len(hits))
    rows = connection.execute(
        f"""SELECT c.id, d.source FROM chunks c
            JOIN documents d ON d.id = c.document_id OR d.duplicate_of = c.document_id
            WHERE c.id IN ({marks}) AND {text} ORDER BY d.duplicate_of IS NULL, d.id DESC""",
        [*(hit.chunk.id for hit in hits), *values],
    )
    # The last one wins: the holder itself where it passes, else the oldest of its duplicates.
    names: dict[int, str] = dict(rows.fetchall())
    return [
        replace(hit, chunk=replace(hit.chunk, source=names.get(hit.chunk.id, hit.chunk.source)))
        for hit in hits
    ]


def fill_languages(connection: Connection) -> None:
    """Tell the language of the documents that came before languages were told, by their chunks."""
    rows = connection.execute(
        "SELECT d.id, (SELECT text FROM chunks c WHERE c.document_id = coalesce(d.duplicate_of, "
        "d.id) ORDER BY start LIMIT 1) FROM documents d WHERE d.language = ''"
    ).fetchall()
    if not rows:
        return
    found = [(language_code(text or ""), document_id) for document_id, text in rows]
    with database.transaction(connection):
        connection.executemany("UPDATE documents SET language = ? WHERE id = ?", found)


def midnight_ns(day: date) -> int:
    """The beginning of ``day`` where this machine is, in nanoseconds since 1970, as far as the
    database can count them (1678 to 2262)."""
    return max(-_LATEST_NS, min(int(time.mktime(day.timetuple())) * 10**9, _LATEST_NS))


def _any_of(conditions: Sequence[Condition]) -> list[Condition]:
    """One condition, or none where nothing was asked."""
    if not conditions:
        return []
    text = " OR ".join(f"({text})" for text, _ in conditions)
    return [(text, [value for _, values in conditions for value in values])]


def _is_one_of(column: str, names: Sequence[str]) -> list[Condition]:
    """One condition however many names: SQLite takes no chain of a thousand of them."""
    return [(f"{column} IN ({', '.join('?' * len(names))})", list(names))] if names else []


def _path_condition(path: str) -> Condition:
    """macOS writes Hangul decomposed, keyboards do not: both spellings are one path."""
    spellings = dict.fromkeys(
        [path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path)]
    )
    return _any_of([_spelled(one) for one in spellings])[0]


def _spelled(path: str) -> Condition:
    if "*" in path or "?" in path or not path.startswith("/"):
        pattern = path.replace("[", "[[]")
        beginnings = [""] if path.startswith("/") else ["", "*/"]
        patterns = [begin + pattern + end for begin in beginnings for end in ("", "/*")]
        return " OR ".join(["d.source GLOB ?"] * len(patterns)), list(patterns)
    # Everything under a folder is one range of the index on the names: "0" comes after "/".
    folder = path.rstrip("/")
    return (
        "d.source = ? OR (d.source > ? AND d.source < ?)",
        [path, f"{folder}/", f"{folder}0"],
    )

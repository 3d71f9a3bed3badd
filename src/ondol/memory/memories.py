"""The memories in the one database: kept, found, changed, contradicted, and erased so that no byte
is left.

Knows nothing of chats; ``prompt`` chooses which of them a prompt gets. Raises ``UsageError`` for a
memory that cannot be, ``MemoryNotFoundError``, and what the database raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from ondol import erasing
from ondol.database import Connection
from ondol.errors import MemoryNotFoundError, UsageError
from ondol.folding import fold
from ondol.i18n import t
from ondol.memory import claims, records
from ondol.memory.carrying import Carrying
from ondol.memory.history import History, note_version
from ondol.memory.likeness import Likeness
from ondol.memory.personas import Personas
from ondol.memory.records import (
    KINDS,
    LONGEST_LETTERS,
    OWNER,
    SELECT,
    Erased,
    Learned,
    Memory,
    memory_of,
    valid_kind,
    valid_text,
)
from ondol.memory.suggestions import Suggestions
from ondol.place import Place, Placed
from ondol.types import Sensitivity

__all__ = ["KINDS", "LONGEST_LETTERS", "MOST", "OWNER", "Erased", "Memories", "Memory"]

MOST = 10_000
SHORTEST_PREFIX = 4


class Memories(Placed):
    """Facts and preferences. Safe to use from several threads; ``close`` it. ``history`` is what
    they said before, ``suggestions`` what waits for a yes, ``personas`` the profiles, ``carrying``
    takes all of it along; ``likeness`` compares them with a question."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.history = History(place, self._find)
        self.suggestions = Suggestions(place)
        self.personas = Personas(place)
        self.carrying = Carrying(place, self.personas, lambda: MOST)
        self.likeness = Likeness()

    @classmethod
    def open(cls, file: Path | None = None) -> Self:
        """What is in the database ``file``, by default the owner's own. Opened when first used."""
        return cls(Place.in_file(file))

    def all(self, query: str = "", *, kind: str = "") -> list[Memory]:
        """Those that hold every word of ``query``, of one ``kind`` if given; the latest first."""
        with self.place.reading() as connection:
            rows = connection.execute(f"{SELECT} ORDER BY created_at DESC, rowid DESC")
            found = [memory_of(row) for row in rows.fetchall()]
        words = fold(query).text.casefold().split()
        return [
            one
            for one in found
            if kind in ("", one.kind) and all(w in fold(one.text).text.casefold() for w in words)
        ]

    def get(self, id: str) -> Memory:
        """The memory with this id, or with the one id that begins so."""
        with self.place.reading() as connection:
            return self._find(connection, id)

    def add(
        self,
        text: str,
        *,
        kind: str = KINDS[0],
        sensitivity: Sensitivity = Sensitivity.PRIVATE,
        source: str = OWNER,
    ) -> Memory:
        """Remember ``text``, as ``learn`` does."""
        return self.learn(text, kind=kind, sensitivity=sensitivity, source=source).memory

    def learn(
        self,
        text: str,
        *,
        kind: str = KINDS[0],
        sensitivity: Sensitivity = Sensitivity.PRIVATE,
        source: str = OWNER,
        beside: bool = False,
        replaces: str | None = None,
    ) -> Learned:
        """Remember ``text``. What is remembered already is given back as it is. What it contradicts
        (``claims``), or ``replaces`` by its id, becomes a version of it; with ``beside`` nothing
        does. A program contradicts nothing but what it said itself."""
        text, kind = valid_text(text), valid_kind(kind)
        now = records.now()
        with self.place.writing() as connection:
            before = [memory_of(row) for row in connection.execute(f"{SELECT} ORDER BY rowid DESC")]
            made = Memory(records.new_id(), kind, text, sensitivity, source, now, now)
            known = next((one for one in before if one.text == text), None)
            if known is None and not beside:
                alike = (one for one in before if claims.says_the_same(one.text, text))
                known = next((one for one in alike if one.is_owners or not made.is_owners), None)
            if known is not None:
                return Learned(known, is_new=False)
            old = None if beside else _contradicted(made, before, replaces)
            if old is not None:
                version = note_version(connection, old)
                self._write(connection, old.id, made)
                return Learned(self._find(connection, old.id), is_new=False, replaced=version)
            if len(before) >= MOST:
                raise UsageError(t("memory.too_many", most=MOST), param="text")
            connection.execute(
                "INSERT INTO memories VALUES (?, ?, ?, ?, ?, ?, ?)",
                [made.id, kind, text, int(sensitivity), source, now, now],
            )
        return Learned(made)

    def edit(
        self,
        id: str,
        *,
        text: str | None = None,
        kind: str | None = None,
        sensitivity: Sensitivity | None = None,
    ) -> Memory:
        """Change what is given. An old text was a mistake: it is erased like a memory that goes,
        and no version of it is kept."""
        with self.place.reading():
            with self.place.writing() as connection:
                before = self._find(connection, id)
                after = Memory(
                    before.id,
                    before.kind if kind is None else valid_kind(kind),
                    before.text if text is None else valid_text(text),
                    before.sensitivity if sensitivity is None else sensitivity,
                    before.source,
                    before.created_at,
                    records.now(),
                    before.versions,
                )
                self._write(connection, after.id, after)
                if after.text != before.text:
                    erasing.begin(connection)
            if after.text != before.text:
                self.place.erase()
        return after

    def erase(self, ids: Sequence[str] | None = None) -> Erased:
        """Forget these memories with their versions, or with ``None`` everything but personas, for
        good. An id that is not known is an error, and nothing goes then."""
        with self.place.reading():
            with self.place.writing() as connection:
                if ids is None:
                    gone = connection.execute("SELECT id FROM memories").fetchall()
                    known = [str(id) for (id,) in gone]
                    suggested = connection.execute(
                        "DELETE FROM memory_suggestions RETURNING id"
                    ).fetchall()
                else:
                    known = list(dict.fromkeys(self._find(connection, id).id for id in ids))
                    suggested = _forget_suggested(connection, known)
                connection.executemany("DELETE FROM memories WHERE id = ?", [[id] for id in known])
                if known or suggested:
                    erasing.begin(connection)
            is_erased = self.place.erase() if known or suggested else True
        return Erased(len(known), is_erased)

    def _write(self, connection: Connection, id: str, after: Memory) -> None:
        connection.execute(
            "UPDATE memories SET kind = ?, text = ?, sensitivity = ?, source = ?, updated_at = ?"
            " WHERE id = ?",
            [after.kind, after.text, int(after.sensitivity), after.source, after.updated_at, id],
        )

    def _find(self, connection: Connection, id: str) -> Memory:
        rows: list[Any] = []
        if len(id) >= SHORTEST_PREFIX:
            rows = connection.execute(
                f"{SELECT} WHERE substr(id, 1, ?) = ? LIMIT 2", [len(id), id]
            ).fetchall()
        if len(rows) != 1:
            key = "ambiguous" if rows else "not_found"
            told = {"ambiguous": t("memory.ambiguous", id=id), "not_found": t("memory.none", id=id)}
            raise MemoryNotFoundError(told[key], t("memory.none_hint"))
        return memory_of(rows[0])


def _forget_suggested(connection: Connection, ids: Sequence[str]) -> list[Any]:
    """Erase the suggestions that say what these memories say or said."""
    return [
        row
        for id in ids
        for row in connection.execute(
            "DELETE FROM memory_suggestions WHERE text IN (SELECT text FROM memories WHERE id = ?"
            " UNION SELECT text FROM memory_history WHERE memory = ?) RETURNING id",
            [id, id],
        ).fetchall()
    ]


def may_replace(new: Memory, old: Memory) -> bool:
    """Whether what ``new`` says counts more than ``old``: the owner's word does, and a program's
    only where the old one is its own too."""
    return new.is_owners or new.source == old.source


def _contradicted(new: Memory, before: Sequence[Memory], replaces: str | None) -> Memory | None:
    for one in before:
        if one.id == replaces or claims.contradicts(one.text, new.text):
            if may_replace(new, one):
                return one
    return None

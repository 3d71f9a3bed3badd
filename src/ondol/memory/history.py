"""What memories said before something contradicted them: seen, restored, erased byte for byte.

Called inside the place that memories have. Raises ``MemoryNotFoundError``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ondol import erasing
from ondol.database import Connection
from ondol.errors import MemoryNotFoundError
from ondol.i18n import t
from ondol.memory import records
from ondol.memory.records import Erased, Memory, Version
from ondol.place import Place
from ondol.types import Sensitivity


class History:
    """The versions of all memories; ``find`` gives a memory by its id, or the beginning of it."""

    def __init__(self, place: Place, find: Callable[[Connection, str], Memory]) -> None:
        self._place = place
        self._find = find

    def of(self, id: str) -> list[Version]:
        """What the memory ``id`` said before, the latest first."""
        with self._place.reading() as connection:
            return versions_of(connection, self._find(connection, id).id)

    def restore(self, id: str, number: int, *, beside: bool = False) -> Memory:
        """Have the memory say again what version ``number`` said; what it says now becomes a
        version. With ``beside`` both hold from now on: the old text is a memory of its own."""
        with self._place.writing() as connection:
            now = self._find(connection, id)
            old = _version(connection, now.id, number)
            connection.execute("DELETE FROM memory_history WHERE number = ?", [number])
            at, target = records.now(), now.id
            if beside:
                target = records.new_id()
                connection.execute(
                    "INSERT INTO memories VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [target, now.kind, old.text, int(old.sensitivity), old.source, at, at],
                )
            else:
                note_version(connection, now)
                connection.execute(
                    "UPDATE memories SET text = ?, sensitivity = ?, source = ?, updated_at = ?"
                    " WHERE id = ?",
                    [old.text, int(old.sensitivity), old.source, at, target],
                )
            return self._find(connection, target)

    def erase(self, id: str, number: int | None = None) -> Erased:
        """Forget version ``number`` of a memory, or all of them, for good. How many went is in
        ``memories`` of the result."""
        with self._place.reading():
            with self._place.writing() as connection:
                memory = self._find(connection, id)
                gone = versions_of(connection, memory.id)
                if number is not None:
                    gone = [_version(connection, memory.id, number)]
                connection.executemany(
                    "DELETE FROM memory_history WHERE number = ?", [[one.number] for one in gone]
                )
                if gone:
                    erasing.begin(connection)
            is_erased = self._place.erase() if gone else True
        return Erased(len(gone), is_erased)


def note_version(connection: Connection, memory: Memory) -> Version:
    """Write down what ``memory`` says, before it says something else."""
    made = Version(0, memory.text, memory.sensitivity, memory.source, records.now())
    (number,) = connection.execute(
        "INSERT INTO memory_history (memory, text, sensitivity, source, at)"
        " VALUES (?, ?, ?, ?, ?) RETURNING number",
        [memory.id, made.text, int(made.sensitivity), made.source, made.at],
    ).fetchone()
    return replace(made, number=number)


def versions_of(connection: Connection, memory: str) -> list[Version]:
    """Those of the memory with this whole id, the latest first."""
    rows = connection.execute(
        "SELECT number, text, sensitivity, source, at FROM memory_history"
        " WHERE memory = ? ORDER BY number DESC",
        [memory],
    ).fetchall()
    return [
        Version(number, text, Sensitivity(level), source, at)
        for number, text, level, source, at in rows
    ]


def _version(connection: Connection, memory: str, number: int) -> Version:
    found = next((v for v in versions_of(connection, memory) if v.number == number), None)
    if found is None:
        raise MemoryNotFoundError(t("memory.no_version", number=number), t("memory.none_hint"))
    return found

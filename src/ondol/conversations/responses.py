"""Responses of ``/v1/responses`` that are kept so that a program can go on from them.

Each belongs to who asked for it, and nobody else comes across it. They go when they are too old,
when they are deleted, and when a document that they quote is forgotten. Raises
``ResponseNotFoundError`` and what the database raises.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ondol import erasing
from ondol.conversations import rows
from ondol.database import Connection
from ondol.errors import ResponseNotFoundError
from ondol.i18n import t
from ondol.place import Placed

_COLUMNS = "id, previous, items, body"


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """``items`` is what was sent with it, ``body`` the response as it was given, ``previous`` the
    one that it goes on from."""

    id: str
    previous: str | None
    items: list[dict[str, Any]]
    body: dict[str, Any]


class Responses(Placed):
    """All of them. Safe to use from several threads; ``close`` it. A ``caller`` is the id of who
    asks (``callers.Caller``)."""

    def keep(
        self, caller: str, response: KeptResponse, sources: Collection[str] = (), *, days: int
    ) -> None:
        """Keep ``response``, which quotes the documents ``sources``; those of anybody that are
        older than ``days`` go."""
        with self.place.writing() as connection:
            dropped = _drop(connection, "created_at < ?", [_before(days)])
            connection.execute(
                f"INSERT INTO responses (caller, created_at, sources, {_COLUMNS}) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    caller,
                    rows.now(),
                    json.dumps(sorted(sources)),
                    response.id,
                    response.previous,
                    json.dumps(response.items),
                    json.dumps(response.body),
                ),
            )
        if dropped:
            self.place.on_erase()

    def get(self, caller: str, id: str, *, days: int) -> KeptResponse:
        """The response ``id``, no older than ``days``."""
        with self.place.reading() as connection:
            return _one(connection, caller, id, days)

    def chain(self, caller: str, id: str, *, days: int) -> list[KeptResponse]:
        """The response ``id`` and all that it goes on from, the first one first. One that is gone
        is missed: what it said cannot be told again."""
        found: list[KeptResponse] = []
        with self.place.reading() as connection:
            wanted: str | None = id
            while wanted is not None:
                one = _one(connection, caller, wanted, days)
                found.insert(0, one)
                wanted = one.previous
        return found

    def item(self, caller: str, id: str, *, days: int) -> dict[str, Any] | None:
        """The item ``id`` of what ``caller`` sent or was given."""
        if not id:
            return None
        with self.place.reading() as connection:
            # The latest first: what is referred to was mostly just said.
            found = connection.execute(
                "SELECT items, body FROM responses WHERE caller = ? AND created_at >= ? "
                "AND (instr(body, ?) OR instr(items, ?)) ORDER BY number DESC",
                (caller, _before(days), id, id),
            )
            for items, body in found:
                for item in (*json.loads(body)["output"], *json.loads(items)):
                    if item.get("id") == id:
                        return dict(item)
        return None

    def delete(self, caller: str, id: str) -> bool:
        """Delete one; whether no byte of it is left."""
        with self.place.writing() as connection:
            if not _drop(connection, "caller = ? AND id = ?", [caller, id]):
                raise missing(id)
        return self.place.erase()

    def erase(self, caller: str | None = None) -> tuple[int, bool]:
        """Delete all of ``caller``'s, or everybody's: how many those were, and whether no byte is
        left."""
        condition, values = ("caller = ?", [caller]) if caller is not None else ("1", [])
        with self.place.writing() as connection:
            count = _drop(connection, condition, values)
        return count, self.place.erase()

    def expire(self, days: int = 0) -> int:
        """Erase those of anybody that are older than ``days``; how many that were."""
        with self.place.reading() as connection:
            if not connection.execute("SELECT 1 FROM responses LIMIT 1").fetchone():
                return 0
        with self.place.writing() as connection:
            count = _drop(connection, "created_at < ?", [_before(days)])
        if count:
            self.place.erase()
        return count

    def forget(self, sources: Collection[str]) -> int:
        """Delete those that quote any of the documents ``sources``; how many that were. The bytes
        go with the next erasing."""
        with self.place.writing() as connection:
            return _drop(
                connection,
                "EXISTS (SELECT 1 FROM json_each(sources) quoted JOIN json_each(?) gone "
                "ON quoted.value = gone.value)",
                [json.dumps(list(sources))],
            )


def missing(id: str) -> ResponseNotFoundError:
    """Nobody may learn whether there is one that is somebody else's."""
    return ResponseNotFoundError(t("responses.not_found", id=id[:80]))


def _one(connection: Connection, caller: str, id: str, days: int) -> KeptResponse:
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM responses WHERE caller = ? AND id = ? AND created_at >= ?",
        (caller, id, _before(days)),
    ).fetchone()
    if row is None:
        raise missing(id)
    return KeptResponse(row[0], row[1], json.loads(row[2]), json.loads(row[3]))


def _drop(connection: Connection, condition: str, values: Sequence[str]) -> int:
    count = int(connection.execute(f"DELETE FROM responses WHERE {condition}", values).rowcount)
    if count:
        erasing.begin(connection)
    return count


def _before(days: int) -> str:
    oldest = datetime.now(UTC) - timedelta(days=days)
    return oldest.isoformat(timespec="microseconds")

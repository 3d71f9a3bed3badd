"""The federations that this device belongs to, as the database knows them: what was agreed, what
may teach, what each round was, and which samples taught.

Raises ``FederationNotFoundError``, ``UsageError``, and what the database raises.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ondol.database import Connection
from ondol.errors import FederationNotFoundError, UsageError
from ondol.federated.members import Member
from ondol.federated.plan import Plan
from ondol.household.records import Federation, Round, State
from ondol.i18n import t
from ondol.place import Placed

__all__ = ["Federation", "Federations", "Round", "State"]

SHORTEST_PREFIX = 4


class Federations(Placed):
    """All of them. Safe to use from several threads and processes; ``close`` it."""

    def all(self) -> list[Federation]:
        """The first one joined first."""
        with self.place.reading() as connection:
            rows = connection.execute(f"{_SELECT} ORDER BY joined_at, id").fetchall()
            return [_federation(connection, row) for row in rows]

    def get(self, wanted: str = "") -> Federation:
        """That of this name or id, or of the one id that begins so; with "" the only one. Raises
        ``FederationNotFoundError``."""
        found = self.all()
        for one in found:
            if wanted in (one.id, one.name):
                return one
        starts = len(wanted) >= SHORTEST_PREFIX or not wanted
        matching = [one for one in found if starts and one.id.startswith(wanted)]
        if len(matching) != 1:
            names = ", ".join(one.name for one in found)
            if not found:
                told, hint = t("household.none"), t("household.none_hint")
            elif wanted:
                told = t("household.no_such", name=wanted)
                hint = t("household.which_hint", names=names)
            else:
                told, hint = t("household.which"), t("household.which_hint", names=names)
            raise FederationNotFoundError(told, hint)
        return matching[0]

    def has(self, id: str) -> bool:
        """Whether the device belongs to it (still)."""
        with self.place.reading() as connection:
            return id in _names(connection)

    def add(self, one: Federation) -> Federation:
        """Keep a membership. A name that another one has gets a number behind it. Raises
        ``UsageError`` where the device belongs to it already."""
        with self.place.writing() as connection:
            taken = {
                id: name for id, name in connection.execute("SELECT id, name FROM federations")
            }
            if one.id in taken:
                raise UsageError(t("household.joined_before", name=taken[one.id]), param="code")
            kept = replace(one, name=_free(one.name, set(taken.values())), joined_at=now())
            connection.execute(
                "INSERT INTO federations (id, name, home, url, plan, members, epsilon, joined_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    kept.id,
                    kept.name,
                    kept.home,
                    kept.url,
                    json.dumps(kept.plan.json()),
                    _members_json(kept.members, kept.me),
                    kept.epsilon,
                    kept.joined_at,
                ),
            )
            _agree(connection, kept.id, kept.sources, kept.folders)
        return self.get(kept.id)

    def check_new(self, id: str) -> None:
        """Raise ``UsageError`` where the device belongs to it already."""
        with self.place.reading() as connection:
            if name := _names(connection).get(id):
                raise _joined_before(name)

    def agree(self, id: str, sources: Sequence[str], folders: Sequence[str]) -> Federation:
        """From now on these, and no others, may teach."""
        with self.place.writing() as connection:
            _agree(connection, id, sources, folders)
        return self.get(id)

    def agreed(self, id: str) -> dict[str, str]:
        """Since when each source (its id) or folder may teach."""
        with self.place.reading() as connection:
            rows = connection.execute(
                "SELECT coalesce(source, folder), consented_at FROM federation_sources"
                " WHERE federation = ?",
                (id,),
            ).fetchall()
        return {str(what): str(at) for what, at in rows}

    def pin(self, id: str, members: Iterable[Member]) -> Federation:
        """Keep whose keys these are. Raises ``UsageError`` where this device is not among them."""
        one, wanted = self.get(id), tuple(members)
        if one.me.public_key not in {found.public_key for found in wanted}:
            raise UsageError(t("household.not_among"))
        return self._set(id, members=_members_json(wanted, one.me))

    def set_state(self, id: str, state: State, reason: str = "") -> Federation:
        return self._set(id, state=state, reason=reason)

    def spend(self, id: str, epsilon: float | None) -> Federation:
        """Keep what was spent so far: never less than was kept before."""
        before = self.get(id).epsilon
        known = [value for value in (before, epsilon) if value is not None]
        return self._set(id, epsilon=max(known) if known else None)

    def adopt(self, id: str, adapter: str | None, verdict: Mapping[str, Any]) -> Federation:
        """Keep what the gate said; ``adapter`` is the full name of what is in use now."""
        return self._set(id, adapter=adapter, verdict=json.dumps(dict(verdict)))

    def remove(self, id: str) -> None:
        """Forget a membership with all of its rounds."""
        with self.place.writing() as connection:
            connection.execute("DELETE FROM federations WHERE id = ?", (id,))

    def rounds(self, id: str) -> list[Round]:
        """The first one first."""
        with self.place.reading() as connection:
            rows = connection.execute(
                f"SELECT {', '.join(_ROUND)} FROM federation_rounds WHERE federation = ?"
                " ORDER BY number",
                (id,),
            ).fetchall()
        return [_round(row) for row in rows]

    def round(self, id: str, number: int) -> Round:
        """What is known of one; an empty one where nothing is."""
        return next((one for one in self.rounds(id) if one.number == number), Round(number))

    def note(self, id: str, one: Round) -> None:
        """Keep a round, in the place of what was known of it."""
        values = (*_values(one),)
        with self.place.writing() as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO federation_rounds (federation, {', '.join(_ROUND)})"
                f" VALUES (?, {', '.join('?' * len(_ROUND))})",
                (id, *values),
            )

    def note_learned(self, id: str, number: int, samples: Iterable[str]) -> None:
        """Write down which samples taught in a round; the first one stays."""
        with self.place.writing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO federation_samples VALUES (?, ?, ?)",
                [(id, sample, number) for sample in samples],
            )

    def samples_of(self, id: str) -> list[str]:
        """The ids of the samples that taught a round of this one, of erased ones too."""
        with self.place.reading() as connection:
            rows = connection.execute(
                "SELECT sample FROM federation_samples WHERE federation = ? ORDER BY sample", (id,)
            ).fetchall()
        return [str(sample) for (sample,) in rows]

    def _set(self, id: str, **columns: Any) -> Federation:
        changes = ", ".join(f"{name} = ?" for name in columns)
        with self.place.writing() as connection:
            connection.execute(
                f"UPDATE federations SET {changes} WHERE id = ?", (*columns.values(), id)
            )
        return self.get(id)


_SELECT = (
    "SELECT id, name, home, url, plan, members, state, reason, epsilon, adapter, verdict,"
    " joined_at FROM federations"
)
_ROUND = tuple(Round.__dataclass_fields__)


def now() -> str:
    """This moment, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _federation(connection: Connection, row: Sequence[Any]) -> Federation:
    id, name, home, url, plan, members, state, reason, epsilon, adapter, verdict, joined_at = row
    told = json.loads(members)
    agreed = connection.execute(
        "SELECT source, folder FROM federation_sources WHERE federation = ? ORDER BY rowid", (id,)
    ).fetchall()
    return Federation(
        id,
        name,
        bytes(home),
        url,
        Plan.of(json.loads(plan)),
        tuple(Member.of(id, one) for one in told["all"]),
        Member.of(id, told["me"]),
        state,
        reason,
        epsilon,
        adapter,
        json.loads(verdict),
        tuple(source for source, _ in agreed if source),
        tuple(folder for _, folder in agreed if folder),
        joined_at,
    )


def _names(connection: Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT id, name FROM federations").fetchall())


def _joined_before(name: str) -> UsageError:
    return UsageError(t("household.joined_before", name=name), param="code")


def _members_json(members: Iterable[Member], me: Member) -> str:
    return json.dumps({"all": [one.json() for one in members], "me": me.json()})


def _agree(connection: Connection, id: str, sources: Sequence[str], folders: Sequence[str]) -> None:
    """What was agreed to before keeps its time."""
    known = {
        source or folder: at
        for source, folder, at in connection.execute(
            "SELECT source, folder, consented_at FROM federation_sources WHERE federation = ?",
            (id,),
        )
    }
    connection.execute("DELETE FROM federation_sources WHERE federation = ?", (id,))
    rows: list[tuple[str, str | None, str | None]] = [
        *((one, one, None) for one in dict.fromkeys(sources)),
        *((one, None, one) for one in dict.fromkeys(folders)),
    ]
    connection.executemany(
        "INSERT INTO federation_sources (federation, source, folder, consented_at)"
        " VALUES (?, ?, ?, ?)",
        [(id, source, folder, known.get(one) or now()) for one, source, folder in rows],
    )


def _values(one: Round) -> Iterable[Any]:
    for name in _ROUND:
        value = getattr(one, name)
        if name == "record":
            value = json.dumps(dict(value))
        elif name == "at":
            value = value or now()
        yield int(value) if isinstance(value, bool) else value


def _round(row: Sequence[Any]) -> Round:
    fields = dict(zip(_ROUND, row, strict=True))
    fields |= {"record": json.loads(fields["record"]), "took_part": bool(fields["took_part"])}
    return Round(**fields)


def _free(name: str, taken: set[str]) -> str:
    """``name``, with a number behind it where it is taken."""
    numbers = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(one for one in numbers if one not in taken)

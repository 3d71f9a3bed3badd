"""The federations that this home coordinates: plans, members, how they stand, their rounds.

Keys, numbers and times; of what members learned from there is nothing here. A member that left
stays counted in the rounds that it took part in. Raises ``FederationNotFoundError`` and
``UsageError``.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ondol import database
from ondol.database import Connection
from ondol.errors import DeviceRefusedError, FederationNotFoundError, UsageError
from ondol.federated.members import Member, safety_number
from ondol.federated.plan import Plan
from ondol.i18n import t

State = Literal["open", "running", "done", "stopped"]
LONGEST_NAME = 64
ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class Coordination:
    """One federation. ``port`` is where its rounds are, while it is ``running``; ``epsilon`` what
    all rounds so far have spent (None: nothing is promised)."""

    id: str
    name: str
    plan: Plan
    state: State
    port: int | None
    epsilon: float | None
    created_at: str
    started_at: str | None = None
    ended_at: str | None = None

    def json(self) -> dict[str, Any]:
        """As the CLI and the routes give it."""
        return {
            "id": self.id,
            "name": self.name,
            "plan": self.plan.json(),
            "state": self.state,
            "port": self.port,
            "epsilon": self.epsilon,
            "created_at": self.created_at,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
        }


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A member as home knows it: ``device`` is the id of an enrolled device and ``name`` what home
    calls that, ``node_key`` (PEM) what its Flower node signs with: members see none of them."""

    member: Member
    device: str
    name: str
    node_key: str | None = None
    left_at: str | None = None
    is_revoked: bool = False

    @property
    def is_in(self) -> bool:
        """Whether it may take part."""
        return self.left_at is None and not self.is_revoked

    def json(self) -> dict[str, Any]:
        """For home's owner."""
        return {
            "pseudonym": self.member.pseudonym,
            "node": self.member.node,
            "device": self.name,
            "joined_at": self.member.joined_at,
            "left_at": self.left_at,
            "is_revoked": self.is_revoked,
        }


class Coordinated:
    """The tables ``home_federation…``. ``lock`` guards the connection, ``moment`` gives the time.
    Safe to use from several threads; what another process changes is seen at once."""

    def __init__(
        self, connection: Connection, lock: threading.RLock, moment: Callable[[], str]
    ) -> None:
        self._connection = connection
        self._lock = lock
        self._moment = moment

    def create(self, name: str, plan: Plan) -> Coordination:
        """Begin a federation called ``name`` with what ``plan`` says; its id is made now."""
        said = " ".join(name.split())
        if not said or len(said) > LONGEST_NAME or not said.isprintable():
            raise UsageError(t("home_federation.bad_name", most=LONGEST_NAME), param="name")
        id = secrets.token_hex(ID_BYTES)
        made = _readable(replace(plan, federation=id, name=said))
        with self._lock, database.transaction(self._connection) as connection:
            taken = "SELECT 1 FROM home_federations WHERE name = ?"
            if connection.execute(taken, (said,)).fetchone():
                raise UsageError(t("home_federation.name_taken", name=said), param="name")
            connection.execute(
                "INSERT INTO home_federations (id, name, plan, created_at) VALUES (?, ?, ?, ?)",
                (id, said, json.dumps(made.json()), self._moment()),
            )
        return self.get(id)

    def all(self) -> list[Coordination]:
        """The first one created first."""
        with self._lock:
            rows = self._connection.execute(f"{_SELECT} ORDER BY created_at, id").fetchall()
        return [_coordination(row) for row in rows]

    def get(self, wanted: str) -> Coordination:
        """That of this name or id. Raises ``FederationNotFoundError``."""
        found = self.all()
        for one in found:
            if wanted in (one.id, one.name):
                return one
        names = ", ".join(one.name for one in found) or "–"
        raise FederationNotFoundError(
            t("home_federation.no_such", name=wanted), t("home_federation.list_hint", names=names)
        )

    def members(self, id: str) -> list[Enrolled]:
        """Everybody who ever joined, the first one first."""
        with self._lock:
            rows = self._connection.execute(
                """SELECT m.public_key, m.joined_at, m.device, coalesce(d.name, ''), m.node_key,
                   m.left_at, d.id IS NULL OR d.revoked_at IS NOT NULL
                   FROM home_federation_members m LEFT JOIN home_devices d ON d.id = m.device
                   WHERE m.federation = ? ORDER BY m.joined_at, m.node""",
                (id,),
            ).fetchall()
        return [
            Enrolled(
                Member(id, bytes(key), joined_at),
                device,
                name,
                node_key,
                left_at,
                bool(is_revoked),
            )
            for key, joined_at, device, name, node_key, left_at, is_revoked in rows
        ]

    def roster(self, id: str) -> list[Member]:
        """Who may take part now."""
        return [one.member for one in self.members(id) if one.is_in]

    def member(self, id: str, device: str) -> Enrolled:
        """The member that ``device`` is. Raises ``DeviceRefusedError`` where it is none."""
        for one in self.members(id):
            if one.device == device and one.is_in:
                return one
        raise DeviceRefusedError(t("home_federation.no_member"), t("home.device_refused_hint"))

    def safety_number(self, one: Coordination) -> str:
        """What members compare."""
        return safety_number(one.plan.digest, self.roster(one.id))

    def set_node_key(self, id: str, device: str, node_key: str) -> None:
        """Keep what the Flower node of a member signs with. Raises ``UsageError`` for another
        member's: two nodes with one key, and nobody's rounds would begin."""
        others = """SELECT 1 FROM home_federation_members
                    WHERE federation = ? AND node_key = ? AND device <> ?"""
        with self._lock, database.transaction(self._connection) as connection:
            if connection.execute(others, (id, node_key, device)).fetchone():
                raise UsageError(
                    t("home_federation.same_node"), t("home_federation.same_node_hint")
                )
            connection.execute(
                """UPDATE home_federation_members SET node_key = ?
                   WHERE federation = ? AND device = ?""",
                (node_key, id, device),
            )

    def leave(self, id: str, device: str) -> None:
        """Let a member take part no more; its node's key is erased."""
        with self._lock, database.transaction(self._connection) as connection:
            connection.execute(
                """UPDATE home_federation_members SET left_at = coalesce(left_at, ?),
                   node_key = NULL WHERE federation = ? AND device = ?""",
                (self._moment(), id, device),
            )

    def begin(self, id: str, port: int) -> None:
        """Rounds are at ``port`` from now on; nobody can join any more."""
        self._set(id, state="running", port=port)
        with self._lock, database.transaction(self._connection) as connection:
            connection.execute(
                "UPDATE home_federations SET started_at = coalesce(started_at, ?) WHERE id = ?",
                (self._moment(), id),
            )

    def pause(self, id: str) -> None:
        """Nothing is at the port now; it stays begun."""
        self._set(id, port=None)

    def end(self, id: str, state: State) -> None:
        """There will be no more rounds."""
        self._set(id, state=state, port=None, ended_at=self._moment())

    def note(self, id: str, number: int, record: Mapping[str, Any]) -> None:
        """Keep a round's record, and what was spent by then."""
        with self._lock, database.transaction(self._connection) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO home_federation_rounds VALUES (?, ?, ?)",
                (id, number, json.dumps(dict(record))),
            )
        if record.get("epsilon"):
            self._set(id, epsilon=float(record["epsilon"]))

    def rounds(self, id: str, after: int = 0) -> list[dict[str, Any]]:
        """The records of the rounds after ``after``."""
        with self._lock:
            rows = self._connection.execute(
                """SELECT record FROM home_federation_rounds WHERE federation = ? AND number > ?
                   ORDER BY number""",
                (id, after),
            ).fetchall()
        return [json.loads(record) for (record,) in rows]

    def remove(self, id: str) -> None:
        """Forget a federation, its members and its rounds."""
        with self._lock, database.transaction(self._connection) as connection:
            connection.execute("DELETE FROM home_federations WHERE id = ?", (id,))

    def _set(self, id: str, **columns: Any) -> None:
        changes = ", ".join(f"{name} = ?" for name in columns)
        with self._lock, database.transaction(self._connection) as connection:
            connection.execute(
                f"UPDATE home_federations SET {changes} WHERE id = ?", (*columns.values(), id)
            )


def _readable(plan: Plan) -> Plan:
    """``plan``, if a device would take it for one. Raises ``UsageError`` where not."""
    try:
        return Plan.of(plan.json())
    except ValueError as error:
        reason = str(plan.json()[str(error)])
        told = t("server.bad_field", field=str(error), reason=reason)
        raise UsageError(told, param=str(error).replace("_", "-")) from None


def take_in(connection: Connection, id: str, device: str, public_key: bytes, moment: str) -> None:
    """Make a device a member, inside the caller's transaction. One that left comes back. Raises
    ``UsageError`` where the federation has begun, or where two keys look the same."""
    row = connection.execute("SELECT name, state FROM home_federations WHERE id = ?", (id,))
    name, state = row.fetchone()
    if state != "open":
        raise UsageError(
            t("home_federation.has_begun", name=name), t("home_federation.has_begun_hint")
        )
    node = Member(id, public_key).node
    others = """SELECT 1 FROM home_federation_members
                WHERE federation = ? AND node = ? AND device <> ?"""
    if connection.execute(others, (id, node, device)).fetchone():
        raise UsageError(t("home_federation.same_node"), t("home_federation.same_node_hint"))
    connection.execute(
        """INSERT INTO home_federation_members (federation, node, device, public_key, joined_at)
           VALUES (?, ?, ?, ?, ?) ON CONFLICT (federation, node) DO UPDATE SET
           left_at = NULL, joined_at = excluded.joined_at""",
        (id, node, device, public_key, moment),
    )


_SELECT = (
    "SELECT id, name, plan, state, port, epsilon, created_at, started_at, ended_at"
    " FROM home_federations"
)


def _coordination(row: Any) -> Coordination:
    id, name, plan, state, port, epsilon, *times = row
    return Coordination(id, name, Plan.of(json.loads(plan)), state, port, epsilon, *times)

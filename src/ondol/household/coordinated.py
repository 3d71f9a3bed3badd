"""The federations that this machine is the home of, to be looked at: who is in them, their rounds,
and how far the round is that is held now.

Reads what the home has written and changes nothing; running them is ``ondol home federation``.
Raises what the database raises.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ondol import paths
from ondol.database import Connection
from ondol.federated.members import Member, safety_number
from ondol.federated.plan import Plan
from ondol.place import Placed

FOLDER = "federations"
"""Of the data: where ``home.coordinating`` keeps the state of rounds."""


class CoordinatedHere(Placed):
    """All of them. Safe to use from several threads; ``close`` it."""

    def all(self) -> list[dict[str, Any]]:
        """As the API gives them, the first one created first."""
        with self.place.reading() as connection:
            rows = connection.execute(
                "SELECT id, name, plan, state, port, epsilon, created_at FROM home_federations"
                " ORDER BY created_at, id"
            ).fetchall()
            return [_shown(connection, *row) for row in rows]


def _shown(
    connection: Connection,
    id: str,
    name: str,
    plan: str,
    state: str,
    port: int | None,
    epsilon: float | None,
    created_at: str,
) -> dict[str, Any]:
    agreed, members = Plan.of(json.loads(plan)), _members(connection, id)
    here = [member for member, told in members if not told["left_at"]]
    rounds = connection.execute(
        "SELECT record FROM home_federation_rounds WHERE federation = ? ORDER BY number", (id,)
    ).fetchall()
    return {
        "id": id,
        "name": name,
        "plan": agreed.json() | {"digest": agreed.digest},
        "state": state,
        # A federation that has begun is at no port while nobody runs its rounds.
        "is_running": state == "running" and port is not None,
        "epsilon": {
            "spent": epsilon,
            "delta": agreed.delta,
            "budget": agreed.epsilon_budget or None,
        },
        "members": [told for _, told in members],
        "safety_number": safety_number(agreed.digest, here),
        "created_at": created_at,
        "rounds": [json.loads(record) for (record,) in rounds],
        "under_way": _under_way(id) if state == "running" and port is not None else None,
    }


def _members(connection: Connection, id: str) -> list[tuple[Member, dict[str, Any]]]:
    rows = connection.execute(
        """SELECT m.public_key, m.joined_at, coalesce(d.name, ''),
           coalesce(m.left_at, CASE WHEN d.id IS NULL THEN m.joined_at ELSE d.revoked_at END)
           FROM home_federation_members m LEFT JOIN home_devices d ON d.id = m.device
           WHERE m.federation = ? ORDER BY m.joined_at, m.node""",
        (id,),
    ).fetchall()
    found = []
    for key, joined_at, device, left_at in rows:
        one = Member(id, bytes(key), joined_at)
        told = {"pseudonym": one.pseudonym, "node": one.node, "device": device}
        found.append((one, told | {"joined_at": joined_at, "left_at": left_at}))
    return found


def _under_way(id: str) -> Mapping[str, Any] | None:
    """The round that is held, as home last wrote it down; None between two, and where what lies
    there is no such thing."""
    place = paths.data_dir() / FOLDER / id / "open"
    try:
        about = json.loads((place / "about.json").read_bytes())
        over = {file.stem for file in place.glob("*.stage")}
        return {
            "number": int(about["number"]),
            "at": str(about["at"]),
            "clients": [int(node) for node in about["chosen"]],
            "doing": _doing(bool(about["chosen"]), over),
            "dropped": dict(about["dropped"]),
            "refused": dict(about["refused"]),
            "bytes_up": int(about["bytes_up"]),
            "bytes_down": int(about["bytes_down"]),
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _doing(is_chosen: bool, over: set[str]) -> str:
    """What the devices do, by the stages that are over: ``asks`` who can take part, they ``learn``,
    are being ``added`` up, or ``measure`` what came of it."""
    from ondol.federated.coordinating.messages import TRAIN, UNMASK, UPDATE

    if not is_chosen:
        return "asks"
    if TRAIN not in over:
        return "learns"
    return "measures" if f"{UPDATE}-{UNMASK}" in over else "adds"

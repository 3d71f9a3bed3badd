"""What the database knows of packs: where each came from, what was measured here, and which prompts
of the owner's library it brought.

A prompt that its owner changed is the owner's from then on: no pack takes it away. Raises
``UsageError`` and what the database raises.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ondol import erasing
from ondol.conversations import prompts
from ondol.database import Connection
from ondol.hub.packs.format import Pack
from ondol.place import Placed
from ondol.role_marks import harmless

LONGEST_NAME = prompts.LONGEST_NAME


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a pack came from: the hub's fingerprint, publisher and item; all empty for one of a
    folder."""

    hub: str = ""
    publisher: str = ""
    item: str = ""

    @property
    def values(self) -> tuple[str, str, str]:
        return self.hub, self.publisher, self.item


@dataclass(frozen=True, slots=True)
class Row:
    """``name`` is that of the pack's model; ``digest`` names the pack.toml that it is about."""

    name: str
    version: str
    digest: str
    origin: Origin
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    installed_at: str = ""


class PackRows(Placed):
    """All of them. Safe to use from several threads; ``close`` it."""

    def all(self) -> list[Row]:
        """By name."""
        with self.place.reading() as connection:
            found = connection.execute(f"{_SELECT} ORDER BY name").fetchall()
        return [_row(one) for one in found]

    def put(
        self, name: str, pack: Pack, origin: Origin, evaluation: Mapping[str, Any] | None
    ) -> None:
        """Write down what is installed as ``name`` now: its prompts take the place of those of the
        version before, in one transaction. Without an ``evaluation`` the one of the same version
        stays."""
        with self.place.reading():
            with self.place.writing() as connection:
                before = connection.execute(f"{_SELECT} WHERE name = ?", [name]).fetchone()
                gone = _take_prompts(connection, name)
                known = _row(before) if before else None
                if evaluation is None:
                    same = known is not None and known.digest == pack.digest
                    evaluation = known.evaluation if same and known else {}
                now = datetime.now(UTC).isoformat(timespec="seconds")
                connection.execute(
                    "INSERT INTO packs (name, version, digest, hub, publisher, item, evaluation, "
                    "installed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                    "version = excluded.version, digest = excluded.digest, hub = excluded.hub, "
                    "publisher = excluded.publisher, item = excluded.item, "
                    "evaluation = excluded.evaluation, installed_at = excluded.installed_at",
                    [name, str(pack.version), pack.digest, *origin.values, _json(evaluation), now],
                )
                for one in pack.prompts:
                    called = _free(connection, f"{pack.title}: {one.name}")
                    made = prompts.insert(connection, called, harmless(one.text))
                    connection.execute(
                        "INSERT INTO pack_prompts VALUES (?, ?, ?)",
                        [name, made.id, _digest(made.text)],
                    )
                if gone:
                    erasing.begin(connection)
            if gone:
                self.place.erase()

    def evaluated(self, name: str, evaluation: Mapping[str, Any]) -> None:
        """Keep what was measured here."""
        with self.place.writing() as connection:
            connection.execute(
                "UPDATE packs SET evaluation = ? WHERE name = ?", [_json(evaluation), name]
            )

    def remove(self, name: str) -> int:
        """Erase what a pack brought; how many of its prompts stay because its owner changed
        them."""
        with self.place.reading():
            with self.place.writing() as connection:
                (brought,) = connection.execute(
                    "SELECT count(*) FROM pack_prompts WHERE pack = ?", [name]
                ).fetchone()
                gone = _take_prompts(connection, name)
                connection.execute("DELETE FROM packs WHERE name = ?", [name])
                erasing.begin(connection)
            self.place.erase()
        return int(brought) - gone


def _take_prompts(connection: Connection, name: str) -> int:
    """Delete the prompts that the pack ``name`` brought and nobody changed; how many."""
    found = connection.execute(
        "SELECT prompts.id, prompts.text, pack_prompts.digest FROM pack_prompts "
        "JOIN prompts ON prompts.id = pack_prompts.prompt WHERE pack_prompts.pack = ?",
        [name],
    ).fetchall()
    own = [id for id, text, digest in found if _digest(text) == digest]
    for id in own:
        connection.execute("DELETE FROM prompts WHERE id = ?", [id])
    connection.execute("DELETE FROM pack_prompts WHERE pack = ?", [name])
    return len(own)


def _free(connection: Connection, wanted: str) -> str:
    """``wanted``, or with the first number that no prompt is called by."""
    taken = {name for (name,) in connection.execute("SELECT name FROM prompts").fetchall()}
    found, number = wanted[:LONGEST_NAME], 1
    while found in taken:
        number += 1
        ending = f" ({number})"
        found = wanted[: LONGEST_NAME - len(ending)] + ending
    return found


_SELECT = "SELECT name, version, digest, hub, publisher, item, evaluation, installed_at FROM packs"


def _row(found: Any) -> Row:
    name, version, digest, hub, publisher, item, evaluation, at = found
    return Row(name, version, digest, Origin(hub, publisher, item), json.loads(evaluation), at)


def _json(found: Mapping[str, Any]) -> str:
    return json.dumps(dict(found), sort_keys=True, allow_nan=False)


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

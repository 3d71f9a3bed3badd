"""Programs that speak MCP with Ondol, and what the owner allowed each of them: nothing, at first.

A client is known by the name that the owner gave it. ``is_local`` says that nothing it is given
leaves this machine, ``remembers`` that it may add to the owner's memory. Raises ``UsageError`` for
a name that cannot be, ``ClientNotFoundError``, ``CollectionNotFoundError`` and what the database
raises.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ondol.database import Connection
from ondol.errors import ClientNotFoundError, CollectionNotFoundError, UsageError
from ondol.i18n import t
from ondol.place import Placed

MOST = 100
# What stands in the ledger as it is written.
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Client:
    """One program. ``allowed_at`` is ISO 8601 in UTC, "" where nothing was ever allowed."""

    name: str
    collections: tuple[str, ...] = ()
    is_local: bool = False
    remembers: bool = False
    allowed_at: str = ""


def is_name(text: str) -> bool:
    """Whether a client or a server can be called so."""
    return _NAME.fullmatch(text) is not None


class Clients(Placed):
    """The programs in the one database. Safe to use from several threads; ``close`` it."""

    def all(self) -> list[Client]:
        """Every client, by name."""
        with self.place.reading() as connection:
            rows = connection.execute(f"{_SELECT} ORDER BY 1").fetchall()
            return [_client(connection, row) for row in rows]

    def get(self, name: str) -> Client:
        """The client called ``name``; one that nothing was allowed to, if there is none."""
        with self.place.reading() as connection:
            row = connection.execute(f"{_SELECT} WHERE name = ?", [name]).fetchone()
            return _client(connection, row) if row else Client(name)

    def allow(
        self,
        name: str,
        collections: Iterable[str] = (),
        *,
        is_local: bool | None = None,
        remembers: bool | None = None,
    ) -> Client:
        """Let ``name`` see ``collections`` too; what is ``None`` stays as it was."""
        if not is_name(name):
            raise UsageError(t("mcp.bad_client", name=name[:80]), t("mcp.bad_name_hint"))
        with self.place.reading():
            with self.place.writing() as connection:
                (count,) = connection.execute("SELECT count(*) FROM clients").fetchone()
                if count >= MOST and not self.get(name).allowed_at:
                    raise UsageError(t("mcp.too_many_clients", most=MOST))
                connection.execute(
                    "INSERT INTO clients VALUES (?, 0, 0, ?) ON CONFLICT DO NOTHING", [name, _now()]
                )
                given = {"is_local": is_local, "remembers": remembers}
                for column, value in given.items():
                    if value is not None:
                        connection.execute(
                            f"UPDATE clients SET {column} = ? WHERE name = ?", [int(value), name]
                        )
                for collection in dict.fromkeys(collections):
                    connection.execute(
                        "INSERT INTO client_collections VALUES (?, ?) ON CONFLICT DO NOTHING",
                        [name, _known(connection, collection)],
                    )
            return self.get(name)

    def deny(self, name: str, collections: Iterable[str] = ()) -> Client:
        """Take ``collections`` from ``name`` again, or everything; what is left of it."""
        wanted = list(collections)
        with self.place.reading():
            with self.place.writing() as connection:
                if not self.get(name).allowed_at:
                    raise ClientNotFoundError(
                        t("mcp.no_client", name=name[:80]), t("mcp.no_client_hint")
                    )
                if not wanted:
                    connection.execute("DELETE FROM clients WHERE name = ?", [name])
                connection.executemany(
                    "DELETE FROM client_collections WHERE client = ? AND collection = ?",
                    [[name, _normal(one)] for one in wanted],
                )
            return self.get(name)


_SELECT = "SELECT name, is_local, remembers, allowed_at FROM clients"


def _client(connection: Connection, row: Any) -> Client:
    name, is_local, remembers, allowed_at = row
    found = connection.execute(
        "SELECT collection FROM client_collections WHERE client = ? ORDER BY 1", [name]
    )
    named = tuple(str(collection) for (collection,) in found)
    return Client(name, named, bool(is_local), bool(remembers), allowed_at)


def _known(connection: Connection, collection: str) -> str:
    """``collection`` as the library has it."""
    name = _normal(collection)
    row = connection.execute("SELECT 1 FROM collections WHERE name = ?", [name]).fetchone()
    if row is None:
        raise CollectionNotFoundError(
            t("mcp.no_collection", name=collection[:100]), t("mcp.no_collection_hint")
        )
    return name


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

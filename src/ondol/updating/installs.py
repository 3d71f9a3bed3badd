"""Rows of what came from a hub: from where, under which name, the newest version that was ever
accepted (the floor), and what happened to it.

Which version is active is no row: the manifest in place says so (``switching``). Raises
``HubNotFoundError``, ``UsageError`` and what the database raises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ondol.errors import HubNotFoundError, UsageError
from ondol.hub.card import Kind
from ondol.hub.targets import Version
from ondol.i18n import t
from ondol.place import Placed

if TYPE_CHECKING:
    from ondol.database import Connection

INSTALLED, UPDATED, ROLLED_BACK = "installed", "updated", "rolled_back"
FAILED, CRASHED, PINNED, UNPINNED = "failed", "crashed", "pinned", "unpinned"
NO_VERSION = Version.of("0")
"""Lies below every version that was accepted: of an installation that is under way."""

Key = tuple[str, str, str]
"""The hub's fingerprint, the publisher and the item."""


@dataclass(frozen=True, slots=True)
class Install:
    """A row. ``hub`` is the fingerprint; ``name`` what it is called here: a model's name, an
    adapter's full name, a pack's name. ``floor`` is the newest version ever accepted, ``pinned``
    the one to stay at, ``channel`` "" where the settings decide."""

    hub: str
    publisher: str
    item: str
    kind: Kind
    name: str
    floor: Version = NO_VERSION
    pinned: Version | None = None
    channel: str = ""
    installed_at: str = ""

    @property
    def key(self) -> Key:
        return self.hub, self.publisher, self.item

    @property
    def reference(self) -> str:
        """``publisher/item``."""
        return f"{self.publisher}/{self.item}"

    @property
    def mark(self) -> str:
        """Tells the item from all others in names of files: 32 hexadecimal digits."""
        return hashlib.sha256("/".join(self.key).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Event:
    """What happened (``deed``), to which ``version``, which one was active ``before``; ``reason``
    is a sentence, or empty. ``at`` is ISO 8601 in UTC."""

    number: int
    deed: str
    version: str
    before: str
    reason: str
    ledger_id: str
    at: str

    def json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Installs(Placed):
    """The rows. Safe to use from several threads and processes; ``close`` it."""

    def rows(self) -> list[Install]:
        """Every item, by kind (models first, for adapters are made for them) and name."""
        with self.place.reading() as connection:
            found = connection.execute(f"{_SELECT} ORDER BY kind = 'model' DESC, kind, name")
            return [_install(row) for row in found.fetchall()]

    def get(self, key: Key) -> Install | None:
        """The row of an item; None where it was never installed."""
        with self.place.reading() as connection:
            return _get(connection, key)

    def named(self, name: str) -> Install:
        """The item called ``name`` here, or ``publisher/item``; HubNotFoundError."""
        from ondol.models import names

        rows = self.rows()
        found = [row for row in rows if name in (row.name, row.reference)]
        if not found and ":" not in name and "/" not in name:
            try:  # llama3 is llama3:latest
                found = [row for row in rows if row.name == names.normalize(name)]
            except UsageError:
                found = []
        if not found:
            raise HubNotFoundError(
                t("updating.not_installed", name=name), t("updating.not_installed_hint")
            )
        if len(found) > 1:
            several = ", ".join(row.name for row in found)
            raise UsageError(t("updating.ambiguous", name=name, names=several), param="name")
        return found[0]

    def begin(
        self, row: Install, is_here: Callable[[Install], bool] = lambda other: True
    ) -> Install:
        """Write down that ``row`` is being installed; what was known of it stays, but its name.
        Another item's name is taken from it only where that ``is_here`` no more."""
        with self.place.writing() as connection:
            known = _get(connection, row.key)
            found = connection.execute(
                f"{_SELECT} WHERE kind = ? AND name = ?", [row.kind, row.name]
            ).fetchone()
            other = _install(found) if found else None
            if other is not None and other.key != row.key:
                if is_here(other):
                    raise _taken(row.name, other.reference)
                # What is remembered of it, its floor above all, stays under its long name.
                connection.execute(
                    f"UPDATE installs SET name = ? {_WHERE}", ["/".join(other.key), *other.key]
                )
            connection.execute(
                "INSERT INTO installs (hub, publisher, item, kind, name, floor, channel, "
                "installed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "kind = excluded.kind, name = excluded.name, "
                "channel = coalesce(excluded.channel, channel)",
                [*row.key, row.kind, row.name, str(row.floor), row.channel or None, _now()],
            )
            begun = _get(connection, row.key)
        assert begun is not None and (known is None or begun.floor == known.floor)
        return begun

    def write(
        self,
        connection: Connection,
        row: Install,
        deed: str,
        *,
        version: str = "",
        before: str = "",
        reason: str = "",
        ledger_id: str = "",
    ) -> None:
        """Add an event inside the caller's own transaction; the floor never sinks by it."""
        if deed in (INSTALLED, UPDATED):
            known = _get(connection, row.key)
            accepted = Version.of(version)
            if known is not None and accepted > known.floor:
                connection.execute(
                    f"UPDATE installs SET floor = ? {_WHERE}", [str(accepted), *row.key]
                )
        connection.execute(
            "INSERT INTO install_events (hub, publisher, item, deed, version, before, reason, "
            "ledger_id, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [*row.key, deed, version, before, reason, ledger_id, _now()],
        )

    def note(self, row: Install, deed: str, **what: str) -> None:
        """Add an event."""
        with self.place.writing() as connection:
            self.write(connection, row, deed, **what)

    def pin(self, row: Install, version: Version | None) -> None:
        """Stay at ``version``; None: at none."""
        with self.place.writing() as connection:
            pinned = None if version is None else str(version)
            connection.execute(f"UPDATE installs SET pinned = ? {_WHERE}", [pinned, *row.key])
            deed = PINNED if pinned else UNPINNED
            self.write(connection, row, deed, version=pinned or "")

    def events(self, row: Install) -> list[Event]:
        """What happened to an item, the latest first."""
        with self.place.reading() as connection:
            found = connection.execute(
                "SELECT number, deed, version, before, reason, ledger_id, at FROM install_events "
                f"{_WHERE} ORDER BY number DESC",
                list(row.key),
            ).fetchall()
        return [Event(*one) for one in found]


def _taken(name: str, by: str) -> UsageError:
    return UsageError(
        t("updating.name_taken", name=name, by=by), t("updating.name_taken_hint"), param="name"
    )


_SELECT = (
    "SELECT hub, publisher, item, kind, name, floor, pinned, channel, installed_at FROM installs"
)
_WHERE = "WHERE hub = ? AND publisher = ? AND item = ?"


def _get(connection: Connection, key: Key) -> Install | None:
    row = connection.execute(f"{_SELECT} {_WHERE}", list(key)).fetchone()
    return _install(row) if row else None


def _install(row: Any) -> Install:
    hub, publisher, item, kind, name, floor, pinned, channel, at = row
    stays = Version.of(pinned) if pinned else None
    return Install(hub, publisher, item, kind, name, Version.of(floor), stays, channel or "", at)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

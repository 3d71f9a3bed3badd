"""The homes that this device is enrolled with, as the database knows them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from ondol import database
from ondol.database import Connection
from ondol.errors import UsageError
from ondol.i18n import t

# A clock is remembered anew when it went wrong by more than this.
_NOTABLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A home. ``fingerprint`` is the SHA-256 of its certificate; ``clock_offset_seconds`` what has
    to be added to our clock to get its own."""

    name: str
    url: str
    fingerprint: bytes
    joined_at: str
    clock_offset_seconds: float = 0.0


class Enrolments:
    """The table ``homes``. Safe to use from several threads; what another process changes is seen
    at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.RLock()

    def all(self) -> list[Enrolment]:
        """Every home, the first one joined first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT name, url, fingerprint, joined_at, clock_offset_seconds FROM homes"
                " ORDER BY joined_at, name"
            ).fetchall()
        return [Enrolment(row[0], row[1], bytes(row[2]), row[3], row[4]) for row in rows]

    def get(self, name: str) -> Enrolment:
        """The home called ``name``; with "" the only one. Raises ``UsageError``."""
        found = self.all()
        if not found:
            raise UsageError(t("homes.none"), t("homes.none_hint"))
        matching = [one for one in found if one.name == name] if name else found
        if len(matching) != 1:
            names = ", ".join(one.name for one in found)
            key = "homes.no_such_home" if name else "homes.which_home"
            raise UsageError(t(key, name=name, names=names), t("homes.status_hint"), param="name")
        return matching[0]

    def add(self, name: str, url: str, fingerprint: bytes) -> Enrolment:
        """Keep a home. The same server joined again takes its old place; another one that has the
        name gets a number behind it."""
        joined_at = datetime.now(UTC).isoformat(timespec="seconds")
        with self._lock, database.transaction(self._connection):
            self._connection.execute("DELETE FROM homes WHERE fingerprint = ?", (fingerprint,))
            taken = {row[0] for row in self._connection.execute("SELECT name FROM homes")}
            free = free_name(name, taken)
            self._connection.execute(
                "INSERT INTO homes (name, url, fingerprint, joined_at) VALUES (?, ?, ?, ?)",
                (free, url, fingerprint, joined_at),
            )
        return Enrolment(free, url, fingerprint, joined_at)

    def remove(self, name: str) -> None:
        """Know a home no more."""
        with self._lock, database.transaction(self._connection):
            self._connection.execute("DELETE FROM homes WHERE name = ?", (name,))

    def set_clock(self, home: Enrolment, offset_seconds: float) -> None:
        """Remember how home's clock stands to ours."""
        if abs(home.clock_offset_seconds - offset_seconds) <= _NOTABLE_SECONDS:
            return
        with self._lock, database.transaction(self._connection):
            self._connection.execute(
                "UPDATE homes SET clock_offset_seconds = ? WHERE name = ?",
                (offset_seconds, home.name),
            )


def free_name(name: str, taken: set[str]) -> str:
    """``name``, with a number behind it where it is taken."""
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free


def shown(name: str, otherwise: str) -> str:
    """``name``, which somebody else chose, without what would do something to the owner's terminal;
    ``otherwise`` where nothing is left."""
    return "".join(c for c in name if c.isprintable()).strip() or otherwise

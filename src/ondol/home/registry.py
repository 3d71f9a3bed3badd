"""What a home knows: who was invited, which devices there are, how much each had today.

Numbers and names only. Safe to use from several threads and processes; what another process changes
(``ondol home revoke``) counts from the next request on.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ondol import database
from ondol.database import Connection
from ondol.errors import DeviceRefusedError, InviteError, UsageError
from ondol.home import federations
from ondol.homes.enrolled import free_name
from ondol.homes.invite import SECRET_BYTES, Invite
from ondol.i18n import t
from ondol.identity import thumbprint

INVITE_SECONDS = 15 * 60
_COLUMNS = "id, name, public_key, enrolled_at, revoked_at, seen_at, ledger_size, ledger_head"


@dataclass(frozen=True, slots=True)
class Device:
    """A device that was enrolled. ``ledger_size`` and ``ledger_head`` are how far its own ledger
    had come when it last said so."""

    id: str
    name: str
    public_key: bytes
    enrolled_at: str
    revoked_at: str | None
    seen_at: str | None
    ledger_size: int | None
    ledger_head: str | None

    @property
    def ledger(self) -> str:
        """Its ledger's newest head as it is written: "size:hash"; "" when none was seen."""
        return "" if self.ledger_head is None else f"{self.ledger_size}:{self.ledger_head}"


@dataclass(frozen=True, slots=True)
class Share:
    """What a device had on one day."""

    requests: int
    tokens: int


class Registry:
    """The tables ``home_…``. ``now`` is the clock, in seconds since 1970."""

    def __init__(self, connection: Connection, *, now: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._now = now
        self._lock = threading.RLock()

    @property
    def federations(self) -> federations.Coordinated:
        """Those that this home coordinates."""
        return federations.Coordinated(self._connection, self._lock, self._moment)

    def invite(
        self, url: str, fingerprint: bytes, name: str = "", federation: str | None = None
    ) -> Invite:
        """A new invite, good once and for a quarter of an hour; the device will be called ``name``,
        or as it says itself, and becomes a member of ``federation`` (an id) where one is given."""
        secret = secrets.token_bytes(SECRET_BYTES)
        made = Invite(url, fingerprint, secret, federation is not None)
        with self._lock, database.transaction(self._connection) as connection:
            connection.execute("DELETE FROM home_invites WHERE expires_at <= ?", (self._now(),))
            connection.execute(
                "INSERT INTO home_invites (secret_hash, name, expires_at, federation)"
                " VALUES (?, ?, ?, ?)",
                (made.secret_hash, name, self._now() + INVITE_SECONDS, federation),
            )
        return made

    def invited_to(self, invite: Invite) -> str:
        """The id of the federation that ``invite`` is to; it is not used up by asking. Raises
        ``InviteError`` for one that is no more, or is to none."""
        with self._lock:
            row = self._connection.execute(
                "SELECT federation FROM home_invites WHERE secret_hash = ? AND expires_at > ?",
                (invite.secret_hash, self._now()),
            ).fetchone()
        if row is None or row[0] is None:
            raise InviteError(t("home.invite_refused"), t("home.invite_refused_hint"))
        return str(row[0])

    def enrol(self, invite: Invite, public_key: bytes, name: str) -> Device:
        """Take a device in, and into the federation that it was invited to. The invite is used up
        by that; the same key enrolled again is the same device. Raises ``InviteError``, and
        ``UsageError`` where the federation takes nobody in any more."""
        device_id = thumbprint(public_key)
        with self._lock, database.transaction(self._connection) as connection:
            row = connection.execute(
                """DELETE FROM home_invites WHERE secret_hash = ? AND expires_at > ?
                   RETURNING name, federation""",
                (invite.secret_hash, self._now()),
            ).fetchone()
            if row is None:
                raise InviteError(t("home.invite_refused"), t("home.invite_refused_hint"))
            others = "SELECT name FROM home_devices WHERE id <> ?"
            taken = {found[0] for found in connection.execute(others, (device_id,))}
            connection.execute(
                """INSERT INTO home_devices (id, name, public_key, enrolled_at) VALUES (?, ?, ?, ?)
                   ON CONFLICT (id) DO UPDATE SET name = excluded.name, revoked_at = NULL,
                   enrolled_at = excluded.enrolled_at""",
                (device_id, free_name(row[0] or name, taken), public_key, self._moment()),
            )
            if row[1] is not None:
                federations.take_in(connection, row[1], device_id, public_key, self._moment())
        found = self.find(device_id)
        assert found is not None
        return found

    def devices(self) -> list[Device]:
        """Every device, the first one enrolled first; those that were revoked too."""
        with self._lock:
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM home_devices ORDER BY enrolled_at, name"
            ).fetchall()
        return [_device(row) for row in rows]

    def find(self, device_id: str) -> Device | None:
        """The device of that id."""
        with self._lock:
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM home_devices WHERE id = ?", (device_id,)
            ).fetchone()
        return None if row is None else _device(row)

    def admit(self, device_id: str) -> Device:
        """The device of that id. Raises ``DeviceRefusedError`` for a stranger and for one that was
        revoked."""
        device = self.find(device_id)
        if device is None or device.revoked_at is not None:
            raise DeviceRefusedError(t("home.device_refused"), t("home.device_refused_hint"))
        return device

    def revoke(self, name: str) -> Device:
        """Let a device in no more, from its next request on; an answer that it is being given ends.
        Raises ``UsageError`` for a name that no device has."""
        with self._lock, database.transaction(self._connection) as connection:
            row = connection.execute(
                f"""UPDATE home_devices SET revoked_at = COALESCE(revoked_at, ?) WHERE name = ?
                    RETURNING {_COLUMNS}""",
                (self._moment(), name),
            ).fetchone()
        if row is None:
            names = ", ".join(device.name for device in self.devices()) or "–"
            raise UsageError(
                t("home.no_such_device", name=name), t("home.devices_hint", names=names)
            )
        return _device(row)

    def remove(self, device_id: str) -> None:
        """Forget a device that leaves."""
        with self._lock, database.transaction(self._connection) as connection:
            connection.execute("DELETE FROM home_devices WHERE id = ?", (device_id,))

    def note_ledger(self, device: Device, size: int, head: str) -> None:
        """Keep how far a device's ledger has come; a step back is not taken, so that a ledger that
        was cut off is found by comparing."""
        with self._lock, database.transaction(self._connection) as connection:
            connection.execute(
                """UPDATE home_devices SET seen_at = ?,
                   ledger_head = CASE WHEN ? > COALESCE(ledger_size, 0) THEN ? ELSE ledger_head END,
                   ledger_size = MAX(?, COALESCE(ledger_size, 0))
                   WHERE id = ?""",
                (self._moment(), size, head, size, device.id),
            )

    def share(self, device: Device) -> Share:
        """What the device had today (UTC)."""
        with self._lock:
            row = self._connection.execute(
                "SELECT requests, tokens FROM home_usage WHERE device_id = ? AND day = ?",
                (device.id, self._moment()[:10]),
            ).fetchone()
        return Share(*row) if row else Share(0, 0)

    def count(self, device: Device, *, requests: int = 0, tokens: int = 0) -> None:
        """Add to what the device had today."""
        with self._lock, database.transaction(self._connection) as connection:
            connection.execute(
                "UPDATE home_devices SET seen_at = ? WHERE id = ?", (self._moment(), device.id)
            )
            connection.execute(
                """INSERT INTO home_usage (device_id, day, requests, tokens)
                   SELECT id, ?, ?, ? FROM home_devices WHERE id = ?
                   ON CONFLICT (device_id, day) DO UPDATE SET
                   requests = requests + excluded.requests, tokens = tokens + excluded.tokens""",
                (self._moment()[:10], requests, tokens, device.id),
            )

    def seconds_to_tomorrow(self) -> int:
        """Until shares begin anew."""
        return max(1, int(86_400 - self._now() % 86_400))

    def _moment(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds")


def _device(row: tuple[object, ...]) -> Device:
    values = list(row)
    values[2] = bytes(values[2])  # type: ignore[call-overload]
    return Device(*values)  # type: ignore[arg-type]

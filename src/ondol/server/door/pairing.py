"""Who was let in from beyond this machine: one key for each paired device.

A one-time code, shown at this machine, is good once and for a few minutes; it lives in memory only.
A key is kept as its SHA-256: random as it is, nothing can be guessed from that. Safe to use from
several threads. Raises ``PairingError``, ``PairingBusyError`` and ``DeviceNotFoundError``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ondol import database
from ondol.database import Connection
from ondol.errors import OndolError
from ondol.i18n import t
from ondol.server.door.tries import Tries

CODE_SECONDS = 5 * 60
CODE_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # none that looks like another
CODE_LENGTH = 10
MAX_CODES = 8
# Ten letters of thirty: with so few tries nobody guesses one, from one address or from many. Who
# tries from one keeps nobody else from pairing.
MAX_TRIES = 10
MAX_TRIES_OF_ALL = 3000
TRY_SECONDS = 60.0
KEY_PREFIX = "ondol-device-"
LONGEST_NAME = 64


class PairingError(OndolError):
    """A code that was used, has expired or was never made."""

    code = "pairing_refused"
    status = 403


class DeviceNotFoundError(OndolError):
    """No device of that id is let in."""

    code = "device_not_found"
    status = 404


class PairingBusyError(OndolError):
    """Too many wrong codes; codes count again after ``retry_after_seconds``."""

    code = "pairing_busy"
    status = 429

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(t("phone.too_many_tries"), t("phone.too_many_tries_hint"))
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Device:
    """A device that was let in."""

    id: str
    name: str
    paired_at: str
    seen_at: str | None


class Pairing:
    """The table ``paired_devices`` and the codes that are open. ``connect`` opens the database when
    it is first needed; ``now`` is the clock, in seconds since 1970."""

    def __init__(
        self, connect: Callable[[], Connection], *, now: Callable[[], float] = time.time
    ) -> None:
        self._connect = connect
        self._now = now
        self._lock = threading.RLock()
        self._opened: Connection | None = None
        self._codes: dict[bytes, float] = {}
        self._wrong = Tries(MAX_TRIES, TRY_SECONDS, now=now, spares_this_machine=False)
        self._wrong_of_all = Tries(MAX_TRIES_OF_ALL, TRY_SECONDS, now=now)
        self._keys: dict[bytes, str] = {}
        self._seen: dict[str, str] = {}

    def close(self) -> None:
        """Let go of the database; every open code is forgotten."""
        with self._lock:
            self._codes.clear()
            if self._opened is not None:
                self._keep_seen()
                self._opened.close()
                self._opened = None

    def new_code(self) -> tuple[str, str]:
        """A new code and when it ends (ISO 8601)."""
        code = "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
        with self._lock:
            self._drop_old()
            while len(self._codes) >= MAX_CODES:
                del self._codes[min(self._codes, key=self._codes.__getitem__)]
            ends = self._now() + CODE_SECONDS
            self._codes[_hash(code)] = ends
        return f"{code[:5]}-{code[5:]}", _moment(ends)

    def pair(self, code: str, name: str, address: str = "") -> tuple[str, Device]:
        """The key of a new device, for its eyes only, and the device. Uses the code up; wrong ones
        count for ``address``, where they come from."""
        with self._lock:
            self._drop_old()
            seconds = max(self._wrong.wait_seconds(address), self._wrong_of_all.wait_seconds(""))
            if seconds:
                raise PairingBusyError(seconds)
            said = _hash(re.sub(r"[\s-]", "", code).upper())
            # All of them are compared, always: how long it takes tells nothing.
            found = [known for known in self._codes if hmac.compare_digest(known, said)]
            if not found:
                self._wrong.note(address)
                self._wrong_of_all.note("")
                raise PairingError(t("phone.code_refused"), t("phone.code_refused_hint"))
            del self._codes[found[0]]
            key = KEY_PREFIX + secrets.token_urlsafe(32)
            device = Device(secrets.token_hex(8), _plain(name), _moment(self._now()), None)
            with database.transaction(self._database()) as connection:
                connection.execute(
                    "INSERT INTO paired_devices (id, name, key_hash, paired_at) VALUES (?,?,?,?)",
                    (device.id, device.name, _hash(key), device.paired_at),
                )
            self._keys[_hash(key)] = device.id
        return key, device

    def devices(self) -> list[Device]:
        """Every device that is let in, the newest first."""
        with self._lock:
            self._keep_seen()
            rows = self._database().execute(
                "SELECT id, name, paired_at, seen_at FROM paired_devices "
                "ORDER BY paired_at DESC, rowid DESC"
            )
            return [Device(*row) for row in rows]

    def revoke(self, device_id: str) -> None:
        """Let a device in no more, from its next request on. Raises ``DeviceNotFoundError``."""
        with self._lock, database.transaction(self._database()) as connection:
            gone = connection.execute("DELETE FROM paired_devices WHERE id = ?", (device_id,))
            if not gone.rowcount:
                raise DeviceNotFoundError(t("phone.no_such_device"))
            self._keys = {key: id for key, id in self._keys.items() if id != device_id}

    def admits(self, authorization: str) -> str | None:
        """The id of the device whose key an Authorization header carries."""
        scheme, _, key = authorization.partition(" ")
        key = key.strip(" \t")
        if scheme.lower() != "bearer" or not key.startswith(KEY_PREFIX):
            return None
        with self._lock:
            self._database()
            # Found by its hash: what the time of that tells is of no use for making a key.
            device_id = self._keys.get(_hash(key))
            if device_id is not None:
                self._seen[device_id] = _moment(self._now())
            return device_id

    def holds(self, device_id: str) -> bool:
        """Whether a device is let in, now."""
        with self._lock:
            self._database()
            return device_id in self._keys.values()

    def _keep_seen(self) -> None:
        # Not with every request: a request would wait for whoever writes.
        seen, self._seen = self._seen, {}
        if seen:
            with database.transaction(self._database()) as connection:
                connection.executemany(
                    "UPDATE paired_devices SET seen_at = ? WHERE id = ?",
                    [(moment, device_id) for device_id, moment in seen.items()],
                )

    def _drop_old(self) -> None:
        self._codes = {code: ends for code, ends in self._codes.items() if ends > self._now()}

    def _database(self) -> Connection:
        if self._opened is None:
            self._opened = self._connect()
            rows = self._opened.execute("SELECT key_hash, id FROM paired_devices")
            self._keys = {bytes(key_hash): device_id for key_hash, device_id in rows}
        return self._opened


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _plain(name: str) -> str:
    """A name that a list can show: one line, nothing that steers a terminal."""
    return "".join(c for c in " ".join(name.split()) if c.isprintable())[:LONGEST_NAME] or "?"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

"""Keys of programs: made, shown once, kept as a hash, given up.

A key is ``ondol-key-ID-SECRET``: the ID (48 random bits) finds its row, the secret (256 random
bits) opens. One that is random needs no slow hash: argon2 makes *guessing* dear, and nobody guesses
256 bits; SHA-256 keeps a stolen database from being a list of keys. Another process may change the
table at any time (``ondol key``): SQLite's ``data_version`` tells, so that what is revoked or made
there counts from the next request on. Safe to use from several threads. Raises ``UsageError`` and
``KeyNotFoundError``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

from ondol import database
from ondol.database import Connection
from ondol.errors import OndolError, UsageError
from ondol.i18n import t
from ondol.server.door.key_records import (
    COLUMNS,
    KEY_PREFIX,
    ProgramKey,
    Scope,
    checked,
    of_row,
    plain_name,
    written,
)

ID_BYTES = 6
SECRET_BYTES = 32
MOST_KEYS = 1000
SAVE_SECONDS = 5.0

_KEY = re.compile(rf"{KEY_PREFIX}([0-9a-f]{{{2 * ID_BYTES}}})-([A-Za-z0-9_-]{{20,100}})", re.ASCII)


class KeyNotFoundError(OndolError):
    """No key of that name or id."""

    code = "key_not_found"
    status = 404


class ProgramKeys:
    """The table ``program_keys``. ``connect`` opens the database when it is first needed; ``now``
    is the clock, in seconds since 1970."""

    def __init__(
        self, connect: Callable[[], Connection], *, now: Callable[[], float] = time.time
    ) -> None:
        self._connect = connect
        self._now = now
        self._lock = threading.RLock()
        # Who lists the keys waits for what is being written, and no request does.
        self._saving = threading.Lock()
        self._opened: Connection | None = None
        self._version: int | None = None
        self._known: dict[str, tuple[bytes, ProgramKey]] = {}
        self._used: dict[str, str] = {}
        self._saved_at = 0.0

    def close(self) -> None:
        """Let go of the database."""
        self.save_used()
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened, self._version = None, None

    def create(
        self, name: str, scope: Scope | None = None, *, expires_in: timedelta | None = None
    ) -> tuple[str, ProgramKey]:
        """A new key: what the program sends, for its owner's eyes only, and what is kept of it."""
        scope = checked(scope or Scope())
        name = plain_name(name)
        if expires_in is not None and not timedelta(0) < expires_in <= timedelta(days=36_500):
            raise UsageError(t("keys.bad_expiry"), t("keys.bad_expiry_hint"), param="expires")
        now = datetime.fromtimestamp(self._now(), UTC)
        ends = None if expires_in is None else _moment(now + expires_in)
        secret = secrets.token_urlsafe(SECRET_BYTES)
        made = ProgramKey(secrets.token_hex(ID_BYTES), name, scope, _moment(now), ends)
        with self._lock, database.transaction(self._database()) as connection:
            if connection.execute("SELECT 1 FROM program_keys WHERE name = ?", (name,)).fetchone():
                raise UsageError(t("keys.taken", name=name), t("keys.taken_hint"), param="name")
            if connection.execute("SELECT count(*) FROM program_keys").fetchone()[0] >= MOST_KEYS:
                raise UsageError(t("keys.too_many", most=MOST_KEYS), t("keys.too_many_hint"))
            connection.execute(
                "INSERT INTO program_keys (id, name, key_hash, dialects, models, collections, "
                "manages_models, max_running, requests_per_minute, created_at, expires_at) "
                "VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                (
                    made.id,
                    name,
                    _hash(secret),
                    written(scope.dialects),
                    written(scope.models),
                    written(scope.collections),
                    int(scope.manages_models),
                    scope.max_running,
                    scope.requests_per_minute,
                    made.created_at,
                    ends,
                ),
            )
            self._version = None
        return f"{made.prefix}-{secret}", made

    def all(self) -> list[ProgramKey]:
        """Every key, the newest first, revoked and expired ones too."""
        self.save_used()
        with self._lock:
            rows = self._database().execute(
                f"SELECT {COLUMNS} FROM program_keys ORDER BY created_at DESC, rowid DESC"
            )
            return [of_row(row) for row in rows.fetchall()]

    def get(self, name: str) -> ProgramKey:
        """The key of that name, or whose id or prefix it is."""
        wanted = name.strip()
        for one in self.all():
            if wanted in (one.name, one.id, one.prefix):
                return one
        # Never what was typed: it may be a whole key.
        raise KeyNotFoundError(t("keys.not_found"), t("keys.not_found_hint"))

    def revoke(self, name: str) -> ProgramKey:
        """Let nobody in with a key, from the next request on; answers being given to it end too."""
        found = self.get(name)
        if found.revoked_at is None:
            with self._lock, database.transaction(self._database()) as connection:
                connection.execute(
                    "UPDATE program_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL",
                    (_moment(datetime.fromtimestamp(self._now(), UTC)), found.id),
                )
                self._version = None
        return self.get(found.id)

    def remove(self, name: str) -> None:
        """Forget a key altogether; its name is free again."""
        found = self.get(name)
        with self._lock, database.transaction(self._database()) as connection:
            connection.execute("DELETE FROM program_keys WHERE id = ?", (found.id,))
            self._version = None

    def admits(self, presented: str) -> ProgramKey | None:
        """The key that ``presented`` is, if it is one that opens now."""
        match = _KEY.fullmatch(presented)
        if match is None:
            return None
        said = _hash(match[2])
        with self._lock:
            self._refresh()
            kept, found = self._known.get(match[1], (b"\0" * 32, None))
            # Compared in constant time, whether there is such a key or not.
            is_same = hmac.compare_digest(kept, said)
            if not is_same or found is None or not self._is_valid(found):
                return None
            self._used[found.id] = _moment(datetime.fromtimestamp(self._now(), UTC))
            return found

    def holds(self, id: str) -> bool:
        """Whether the key of that id opens, now."""
        with self._lock:
            self._refresh()
            found = self._known.get(id)
            return found is not None and self._is_valid(found[1])

    @property
    def is_save_due(self) -> bool:
        """Whether it is time to write down which keys were used; see ``save_used``."""
        return bool(self._used) and time.monotonic() - self._saved_at >= SAVE_SECONDS

    def save_used(self) -> None:
        """Write down when keys were used last. Not with every request, and through a connection of
        its own: no request waits for whoever writes."""
        with self._saving:
            with self._lock:
                used, self._used = self._used, {}
                self._saved_at = time.monotonic()
            if not used:
                return
            with closing(self._connect()) as own, database.transaction(own) as connection:
                connection.executemany(
                    "UPDATE program_keys SET used_at = ? WHERE id = ?",
                    [(moment, id) for id, moment in used.items()],
                )

    def _is_valid(self, key: ProgramKey) -> bool:
        return key.state(datetime.fromtimestamp(self._now(), UTC)) == "valid"

    def _refresh(self) -> None:
        connection = self._database()
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return
        rows = connection.execute(f"SELECT key_hash, {COLUMNS} FROM program_keys").fetchall()
        self._known = {row[1]: (bytes(row[0]), of_row(row[1:])) for row in rows}
        self._version = version

    def _database(self) -> Connection:
        if self._opened is None:
            self._opened = self._connect()
        return self._opened


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")

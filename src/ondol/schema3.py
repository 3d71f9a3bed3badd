"""The tables of schema 3: what was answered and what left, in one list of statements a part."""

from __future__ import annotations

LEDGER: tuple[str, ...] = ()

OUTCOMES: tuple[str, ...] = ()

SPOKEN: tuple[str, ...] = ()

# The device's own key, and the homes that it is enrolled with. ``fingerprint`` is the SHA-256 of
# home's certificate (DER); ``clock_offset_seconds`` is home's clock less ours, as far as we know.
HOMES: tuple[str, ...] = (
    """CREATE TABLE identity (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        private_key BLOB NOT NULL,
        created_at TEXT NOT NULL
    )""",
    """CREATE TABLE homes (
        name TEXT PRIMARY KEY,
        url TEXT NOT NULL,
        fingerprint BLOB NOT NULL,
        public_key BLOB NOT NULL,
        joined_at TEXT NOT NULL,
        clock_offset_seconds REAL NOT NULL DEFAULT 0
    )""",
)

# What a home knows of its devices: never a prompt, never an answer. ``ledger_head`` is the newest
# head of a device's own ledger that it sent along, ``ledger_size`` the entries up to it.
HOME: tuple[str, ...] = (
    """CREATE TABLE home_invites (
        secret_hash BLOB PRIMARY KEY,
        name TEXT NOT NULL,
        expires_at REAL NOT NULL
    )""",
    """CREATE TABLE home_devices (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        public_key BLOB NOT NULL,
        enrolled_at TEXT NOT NULL,
        revoked_at TEXT,
        seen_at TEXT,
        ledger_size INTEGER,
        ledger_head TEXT
    )""",
    """CREATE TABLE home_usage (
        device_id TEXT NOT NULL REFERENCES home_devices(id) ON DELETE CASCADE,
        day TEXT NOT NULL,
        requests INTEGER NOT NULL DEFAULT 0,
        tokens INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (device_id, day)
    ) WITHOUT ROWID""",
)

STATEMENTS = (*LEDGER, *OUTCOMES, *SPOKEN, *HOMES, *HOME)

"""The tables of schema 3: what was answered and what left, in one list of statements a part."""

from __future__ import annotations

# What happened, one row each, and a chain: ``hash`` is SHA-256 of the hash before it and of
# ``entry``, which is canonical JSON. The other columns repeat what is in it, to be searched. The
# triggers keep accidents away; against who means it there are the chain and the signatures.
LEDGER: tuple[str, ...] = (
    """CREATE TABLE ledger (
        number INTEGER PRIMARY KEY,
        time TEXT NOT NULL,
        kind TEXT NOT NULL,
        route TEXT NOT NULL,
        entry TEXT NOT NULL,
        hash BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX ledger_time ON ledger(time)",
    "CREATE INDEX ledger_kind ON ledger(kind)",
    "CREATE INDEX ledger_hash ON ledger(hash)",
    # The heads that stay, one every so many entries, and the newest one.
    """CREATE TABLE ledger_checkpoints (
        count INTEGER PRIMARY KEY,
        time TEXT NOT NULL,
        hash BLOB NOT NULL,
        public_key BLOB NOT NULL,
        signature BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE ledger_head (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        count INTEGER NOT NULL,
        time TEXT NOT NULL,
        hash BLOB NOT NULL,
        public_key BLOB NOT NULL,
        signature BLOB NOT NULL
    ) STRICT""",
    *(
        f"""CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table}
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"""
        for table in ("ledger", "ledger_checkpoints")
        for event in ("UPDATE", "DELETE")
    ),
    # INSERT OR REPLACE deletes without asking the triggers of DELETE.
    """CREATE TRIGGER ledger_no_replace BEFORE INSERT ON ledger
        WHEN EXISTS (SELECT 1 FROM ledger WHERE number = NEW.number)
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER ledger_checkpoints_no_replace BEFORE INSERT ON ledger_checkpoints
        WHEN EXISTS (SELECT 1 FROM ledger_checkpoints WHERE count = NEW.count)
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER ledger_head_no_delete BEFORE DELETE ON ledger_head
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
)

# What answers showed of themselves, in numbers, and what the owner said of them: never a text.
# ``digest`` is what identifies the model (``confidence.calibrators``), ``right`` is unknown until
# there is a thumb.
OUTCOMES: tuple[str, ...] = (
    """CREATE TABLE outcomes (
        number INTEGER PRIMARY KEY,
        ledger_id TEXT NOT NULL UNIQUE,
        time TEXT NOT NULL,
        model TEXT NOT NULL,
        digest TEXT NOT NULL,
        task TEXT NOT NULL,
        signals TEXT NOT NULL,
        probability REAL,
        right INTEGER CHECK (right IN (0, 1)),
        judged_at TEXT
    ) STRICT""",
    "CREATE INDEX outcomes_judged ON outcomes(digest, task) WHERE right IS NOT NULL",
)

# What Ondol said, by keyed hash, with its label, and fingerprints of the passages of what was
# private (see ``routing.taint``): never a text.
SPOKEN: tuple[str, ...] = (
    "CREATE TABLE spoken_key (id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL)",
    """CREATE TABLE spoken (
        text_hash BLOB PRIMARY KEY,
        sensitivity INTEGER NOT NULL CHECK (sensitivity BETWEEN 0 AND 2)
    ) WITHOUT ROWID""",
    "CREATE TABLE spoken_passages (passage_hash INTEGER PRIMARY KEY)",
)

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

# Fingerprints of the chunks' passages, under a key of this database (see ``retrieval.marks``).
MARKS: tuple[str, ...] = (
    "CREATE TABLE chunk_marks_key (id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL)",
    "INSERT INTO chunk_marks_key VALUES (1, randomblob(32))",
    """CREATE TABLE chunk_marks (
        chunk_id INTEGER PRIMARY KEY REFERENCES chunks(id) ON DELETE CASCADE,
        marks BLOB NOT NULL
    )""",
)

STATEMENTS = (*LEDGER, *OUTCOMES, *SPOKEN, *HOMES, *HOME, *MARKS)

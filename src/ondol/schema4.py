"""The tables of schema 4: what the owner keeps of conversations, and what Ondol keeps about them,
in one list of statements a part."""

from __future__ import annotations

# A conversation is a tree of messages; ``leaf`` ends the branch that is shown. ``filter`` is JSON
# as a request has it, ``answer`` what was known of an answer, as the API gives it.
CONVERSATIONS: tuple[str, ...] = (
    """CREATE TABLE conversations (
        id TEXT PRIMARY KEY,
        title TEXT NOT NULL DEFAULT '',
        folder TEXT NOT NULL DEFAULT '',
        pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        model TEXT NOT NULL DEFAULT '',
        mode TEXT NOT NULL DEFAULT 'documents' CHECK (mode IN ('documents', 'chat')),
        filter TEXT NOT NULL DEFAULT '{}',
        wanted TEXT NOT NULL DEFAULT 'auto' CHECK (wanted IN ('auto', 'here', 'home')),
        draft TEXT NOT NULL DEFAULT '',
        leaf TEXT
    ) STRICT""",
    "CREATE INDEX conversations_order ON conversations(pinned, updated_at, id)",
    # ``number`` is the order in which they were said.
    """CREATE TABLE messages (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        conversation TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
        parent TEXT,
        role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
        content TEXT NOT NULL,
        created_at TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('done', 'running', 'stopped', 'failed')),
        error TEXT,
        answer TEXT
    ) STRICT""",
    "CREATE INDEX messages_conversation ON messages(conversation)",
    # What was said of an answer, and how its owner would have put it.
    """CREATE TABLE feedback (
        message TEXT PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE,
        right INTEGER CHECK (right IN (0, 1)),
        reasons TEXT NOT NULL DEFAULT '[]',
        edited TEXT,
        at TEXT NOT NULL
    ) STRICT""",
    # Files that were dropped into one conversation; ``source`` is what the library calls them.
    """CREATE TABLE attachments (
        conversation TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        source TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('reading', 'ready', 'failed')),
        reason TEXT NOT NULL DEFAULT '',
        added_at TEXT NOT NULL,
        PRIMARY KEY (conversation, name)
    ) STRICT""",
    """CREATE TABLE prompts (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        text TEXT NOT NULL,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    ) STRICT""",
)

# What the owner wants to be remembered: never anything that Ondol made up by itself. ``source`` is
# who it comes from, "owner" for what was typed in.
MEMORY: tuple[str, ...] = (
    """CREATE TABLE memories (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('fact', 'preference')),
        text TEXT NOT NULL,
        sensitivity INTEGER NOT NULL DEFAULT 0 CHECK (sensitivity BETWEEN 0 AND 2),
        source TEXT NOT NULL,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    ) STRICT""",
)

# Devices that were let in from beyond this machine. A key is kept as its SHA-256.
PHONES: tuple[str, ...] = (
    """CREATE TABLE paired_devices (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        key_hash BLOB NOT NULL UNIQUE,
        paired_at TEXT NOT NULL,
        seen_at TEXT
    ) STRICT""",
)

STATEMENTS = (*CONVERSATIONS, *MEMORY, *PHONES)

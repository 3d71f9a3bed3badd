"""The tables of schema 5: what Ondol keeps for the programs that speak with it, in one list of
statements a part."""

from __future__ import annotations

# Responses of ``/v1/responses`` that a program may go on from. ``items`` is what it sent with this
# one, ``body`` the response as it was given, ``sources`` the documents that it quotes: JSON all.
RESPONSES: tuple[str, ...] = (
    """CREATE TABLE responses (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        caller TEXT NOT NULL,
        previous TEXT,
        created_at TEXT NOT NULL,
        items TEXT NOT NULL,
        body TEXT NOT NULL,
        sources TEXT NOT NULL DEFAULT '[]'
    ) STRICT""",
    "CREATE INDEX responses_age ON responses(created_at)",
    "CREATE INDEX responses_caller ON responses(caller, number)",
)

# A key is kept as its SHA-256. Scopes are JSON lists; NULL means any. Times are ISO 8601 in UTC.
KEYS: tuple[str, ...] = (
    """CREATE TABLE program_keys (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        key_hash BLOB NOT NULL UNIQUE,
        dialects TEXT,
        models TEXT,
        collections TEXT,
        manages_models INTEGER NOT NULL DEFAULT 0 CHECK (manages_models IN (0, 1)),
        max_running INTEGER CHECK (max_running > 0),
        requests_per_minute INTEGER CHECK (requests_per_minute > 0),
        created_at TEXT NOT NULL,
        expires_at TEXT,
        revoked_at TEXT,
        used_at TEXT
    ) STRICT""",
)

# Programs that speak MCP with Ondol, by the name that the owner gave them, and the collections that
# each may see. A collection that is renamed stays allowed; one that is made anew under the name of
# one that was removed does not become so.
CLIENTS: tuple[str, ...] = (
    """CREATE TABLE clients (
        name TEXT PRIMARY KEY,
        is_local INTEGER NOT NULL DEFAULT 0 CHECK (is_local IN (0, 1)),
        remembers INTEGER NOT NULL DEFAULT 0 CHECK (remembers IN (0, 1)),
        allowed_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE client_collections (
        client TEXT NOT NULL REFERENCES clients(name) ON DELETE CASCADE,
        collection TEXT NOT NULL
            REFERENCES collections(name) ON UPDATE CASCADE ON DELETE CASCADE,
        PRIMARY KEY (client, collection)
    ) STRICT""",
)

# The owner's MCP servers: programs of this machine (``command``, JSON) or addresses (``url``).
# ``variables`` are what a program finds in its environment, ``headers`` what a server is sent, both
# JSON and both secrets. Of each tool that was shown to the owner stands the SHA-256 of what it said
# of itself then.
TOOL_SERVERS: tuple[str, ...] = (
    """CREATE TABLE tool_servers (
        name TEXT PRIMARY KEY,
        command TEXT NOT NULL DEFAULT '[]',
        url TEXT NOT NULL DEFAULT '',
        variables TEXT NOT NULL DEFAULT '{}',
        headers TEXT NOT NULL DEFAULT '{}',
        has_network INTEGER NOT NULL DEFAULT 0 CHECK (has_network IN (0, 1)),
        is_enabled INTEGER NOT NULL DEFAULT 1 CHECK (is_enabled IN (0, 1)),
        added_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE approved_tools (
        server TEXT NOT NULL REFERENCES tool_servers(name) ON DELETE CASCADE,
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        approved_at TEXT NOT NULL,
        PRIMARY KEY (server, name)
    ) STRICT""",
)

STATEMENTS = (*RESPONSES, *KEYS, *CLIENTS, *TOOL_SERVERS)

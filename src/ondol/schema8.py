"""The tables of schema 8: the hubs that this device updates from and what came from them, in one
list of statements a part."""

from __future__ import annotations

# A hub is who signed its first root: ``fingerprint`` says so, ``root`` is that root (JSON, the
# anchor of all trust); ``url`` and ``mirrors`` (JSON) are only where to look. ``failure`` is what
# the last refresh met (JSON), ``expires_at`` until when what it said may be relied on.
HUBS: tuple[str, ...] = (
    """CREATE TABLE hubs (
        name TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL UNIQUE,
        root BLOB NOT NULL,
        url TEXT NOT NULL,
        mirrors TEXT NOT NULL DEFAULT '[]',
        added_at TEXT NOT NULL,
        refreshed_at TEXT,
        expires_at TEXT,
        failure TEXT NOT NULL DEFAULT '{}'
    ) STRICT""",
)

# What came from a hub. ``hub`` is its fingerprint: a hub that is taken out and added again finds
# the floor where it was. ``name`` is what it is called here, ``floor`` the newest version ever
# accepted. Which version is active is no row: the manifest in place says it, so that a switch is
# one rename. An event tells what happened to an item (``deed``), from which version to which.
INSTALLS: tuple[str, ...] = (
    """CREATE TABLE installs (
        hub TEXT NOT NULL,
        publisher TEXT NOT NULL,
        item TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('model', 'adapter', 'pack')),
        name TEXT NOT NULL,
        floor TEXT NOT NULL,
        pinned TEXT,
        channel TEXT,
        installed_at TEXT NOT NULL,
        PRIMARY KEY (hub, publisher, item)
    ) STRICT, WITHOUT ROWID""",
    "CREATE UNIQUE INDEX installs_name ON installs(kind, name)",
    """CREATE TABLE install_events (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        hub TEXT NOT NULL,
        publisher TEXT NOT NULL,
        item TEXT NOT NULL,
        deed TEXT NOT NULL,
        version TEXT NOT NULL DEFAULT '',
        before TEXT NOT NULL DEFAULT '',
        reason TEXT NOT NULL DEFAULT '',
        ledger_id TEXT NOT NULL DEFAULT '',
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX install_events_item ON install_events(hub, publisher, item, number)",
)

# The packs that are installed. ``name`` is that of the model that a pack makes here, ``digest``
# that of its pack.toml, ``hub`` the fingerprint of where it came from (or "", as publisher and
# item); ``evaluation`` is what was measured here (JSON). ``pack_prompts`` says which prompts of
# the library a pack brought, with which text: one that its owner changed since is the owner's.
PACKS: tuple[str, ...] = (
    """CREATE TABLE packs (
        name TEXT PRIMARY KEY,
        version TEXT NOT NULL,
        digest TEXT NOT NULL,
        hub TEXT NOT NULL DEFAULT '',
        publisher TEXT NOT NULL DEFAULT '',
        item TEXT NOT NULL DEFAULT '',
        evaluation TEXT NOT NULL DEFAULT '{}',
        installed_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE pack_prompts (
        pack TEXT NOT NULL REFERENCES packs(name) ON DELETE CASCADE,
        prompt TEXT NOT NULL REFERENCES prompts(id) ON DELETE CASCADE,
        digest TEXT NOT NULL,
        PRIMARY KEY (pack, prompt)
    ) STRICT, WITHOUT ROWID""",
)

STATEMENTS = (*HUBS, *INSTALLS, *PACKS)

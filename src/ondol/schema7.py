"""The tables of schema 7: federations, as a device takes part in them and as a home coordinates
them, in one list of statements a part."""

from __future__ import annotations

# The federations that this device belongs to. ``home`` is the SHA-256 of home's certificate,
# ``url`` where it is; ``plan`` what was agreed to (JSON, never changed), ``members`` whose keys
# were pinned (JSON). ``epsilon`` is what was spent so far (NULL: nothing is promised). ``adapter``
# is the full name of the shared adapter that passed this device's gate, ``verdict`` what the gate
# said of the last one (JSON). What was agreed may teach is a source of samples or a folder of
# documents with questions. ``federation_samples`` names the samples that taught a round, by ids
# that say nothing of them, of erased ones too.
MEMBERSHIPS: tuple[str, ...] = (
    """CREATE TABLE federations (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        home BLOB NOT NULL,
        url TEXT NOT NULL,
        plan TEXT NOT NULL,
        members TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'ended')),
        reason TEXT NOT NULL DEFAULT '',
        epsilon REAL,
        adapter TEXT,
        verdict TEXT NOT NULL DEFAULT '{}',
        joined_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE federation_sources (
        federation TEXT NOT NULL REFERENCES federations(id) ON DELETE CASCADE,
        source TEXT REFERENCES sample_sources(id) ON DELETE CASCADE,
        folder TEXT,
        consented_at TEXT NOT NULL,
        CHECK ((source IS NULL) <> (folder IS NULL)),
        UNIQUE (federation, source),
        UNIQUE (federation, folder)
    ) STRICT""",
    """CREATE TABLE federation_rounds (
        federation TEXT NOT NULL REFERENCES federations(id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        record TEXT NOT NULL DEFAULT '{}',
        took_part INTEGER NOT NULL DEFAULT 0 CHECK (took_part IN (0, 1)),
        reason TEXT NOT NULL DEFAULT '',
        num_examples INTEGER NOT NULL DEFAULT 0,
        bytes_up INTEGER NOT NULL DEFAULT 0,
        bytes_down INTEGER NOT NULL DEFAULT 0,
        loss_before REAL,
        loss_after REAL,
        digest TEXT NOT NULL DEFAULT '',
        at TEXT NOT NULL,
        PRIMARY KEY (federation, number)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE federation_samples (
        federation TEXT NOT NULL REFERENCES federations(id) ON DELETE CASCADE,
        sample TEXT NOT NULL,
        round INTEGER NOT NULL,
        PRIMARY KEY (federation, sample)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX federation_samples_sample ON federation_samples(sample)",
)

# The federations that this home coordinates. ``node`` is made from a member's key and is what
# rounds call it (``federated.members``); ``node_key`` the key that its Flower node signs with. A
# member that left stays named, so that the rounds it took part in still say how many there were.
# An invite may be to a federation too.
COORDINATED: tuple[str, ...] = (
    """CREATE TABLE home_federations (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        plan TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'open'
            CHECK (state IN ('open', 'running', 'done', 'stopped')),
        port INTEGER,
        epsilon REAL,
        created_at TEXT NOT NULL,
        started_at TEXT,
        ended_at TEXT
    ) STRICT""",
    """CREATE TABLE home_federation_members (
        federation TEXT NOT NULL REFERENCES home_federations(id) ON DELETE CASCADE,
        node INTEGER NOT NULL,
        device TEXT NOT NULL,
        public_key BLOB NOT NULL,
        node_key TEXT,
        joined_at TEXT NOT NULL,
        left_at TEXT,
        PRIMARY KEY (federation, node),
        UNIQUE (federation, device)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE home_federation_rounds (
        federation TEXT NOT NULL REFERENCES home_federations(id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (federation, number)
    ) STRICT, WITHOUT ROWID""",
    """ALTER TABLE home_invites ADD COLUMN federation TEXT
        REFERENCES home_federations(id) ON DELETE CASCADE""",
)

STATEMENTS = (*MEMBERSHIPS, *COORDINATED)

"""The tables of schema 6: what makes Ondol its owner's own, in one list of statements a part."""

from __future__ import annotations

# What a memory said until ``at``, when something contradicted it; the highest ``number`` is the
# latest. Texts that Ondol would remember wait in ``memory_suggestions`` for the owner's yes;
# nothing uses them before, and ``settled_at`` says that they said yes or no. A persona is a name
# and the text that a chat begins with where it is chosen.
MEMORY: tuple[str, ...] = (
    """CREATE TABLE memory_history (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        memory TEXT NOT NULL REFERENCES memories(id) ON DELETE CASCADE,
        text TEXT NOT NULL,
        sensitivity INTEGER NOT NULL CHECK (sensitivity BETWEEN 0 AND 2),
        source TEXT NOT NULL,
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX memory_history_memory ON memory_history(memory)",
    """CREATE TABLE memory_suggestions (
        id TEXT PRIMARY KEY,
        text TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        sensitivity INTEGER NOT NULL,
        conversation TEXT REFERENCES conversations(id) ON DELETE CASCADE,
        message TEXT REFERENCES messages(id) ON DELETE CASCADE,
        replaces TEXT REFERENCES memories(id) ON DELETE SET NULL,
        created_at TEXT NOT NULL,
        settled_at TEXT
    ) STRICT""",
    """CREATE TABLE personas (
        name TEXT PRIMARY KEY,
        text TEXT NOT NULL,
        is_chosen INTEGER NOT NULL DEFAULT 0 CHECK (is_chosen IN (0, 1)),
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    ) STRICT""",
    "CREATE UNIQUE INDEX personas_chosen ON personas(is_chosen) WHERE is_chosen",
    # The persona of one conversation: "" for whichever is chosen, "none" for none.
    "ALTER TABLE conversations ADD COLUMN persona TEXT NOT NULL DEFAULT ''",
)

# What a model may learn from. A source is what the owner agreed to (``consented_at``); ``kind`` is
# feedback, chat_export, writing or file; ``personal`` what happens to personal data. A sample's
# ``conversation`` is what the split goes by: whole conversations are held out. ``messages`` is
# JSON; ``reply`` is what should be said, ``rejected`` what should not; of a thumb without a pair
# ``is_desirable`` says which way it went. ``digest`` is of all that is learned from, so that
# nothing is here twice.
SAMPLES: tuple[str, ...] = (
    """CREATE TABLE sample_sources (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('feedback', 'chat_export', 'writing', 'file')),
        name TEXT NOT NULL,
        origin TEXT NOT NULL DEFAULT '',
        sensitivity INTEGER NOT NULL DEFAULT 0,
        consented_at TEXT NOT NULL,
        personal TEXT NOT NULL DEFAULT 'keep' CHECK (personal IN ('keep', 'skip', 'redact')),
        UNIQUE (kind, name)
    ) STRICT""",
    """CREATE TABLE samples (
        id TEXT PRIMARY KEY,
        source TEXT NOT NULL REFERENCES sample_sources(id) ON DELETE CASCADE,
        kind TEXT NOT NULL CHECK (kind IN ('sft', 'preference', 'thumb')),
        conversation TEXT NOT NULL,
        message TEXT,
        messages TEXT NOT NULL,
        reply TEXT NOT NULL,
        rejected TEXT,
        is_desirable INTEGER CHECK (is_desirable IN (0, 1)),
        language TEXT NOT NULL DEFAULT '',
        sensitivity INTEGER NOT NULL DEFAULT 0,
        is_held_out INTEGER NOT NULL DEFAULT 0 CHECK (is_held_out IN (0, 1)),
        digest TEXT NOT NULL UNIQUE,
        added_at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX samples_source ON samples(source)",
    "CREATE INDEX samples_message ON samples(message)",
    "CREATE INDEX samples_conversation ON samples(conversation)",
    # By which samples that are nearly the same are found (``samples.alike``).
    """CREATE TABLE sample_marks (
        mark INTEGER NOT NULL,
        sample TEXT NOT NULL REFERENCES samples(id) ON DELETE CASCADE,
        PRIMARY KEY (mark, sample)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX sample_marks_sample ON sample_marks(sample)",
    # Answers whose samples the owner took out, and when: feedback from before is not learned from.
    """CREATE TABLE samples_let_go (
        message TEXT PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE,
        at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    # Which samples an adapter (by its file's digest) learned from. A sample that is erased stays
    # named here by its id, which says nothing of it: so is known what has to be trained anew.
    """CREATE TABLE adapter_samples (
        adapter TEXT NOT NULL,
        sample TEXT NOT NULL,
        PRIMARY KEY (adapter, sample)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX adapter_samples_sample ON adapter_samples(sample)",
)

# The files of adapters that learned from their owner: encrypted when the database is.
PRIVATE_ADAPTERS: tuple[str, ...] = (
    """CREATE TABLE private_adapters (
        digest TEXT PRIMARY KEY,
        content BLOB NOT NULL
    ) STRICT""",
)

# Which adapters answer where only their model is named: the last row of a model counts, the one
# before it is what a rollback returns to. ``adapters`` is JSON, names to scales, in a chat;
# ``grounded`` the same where documents are asked; ``digests`` their files' ("what was measured is
# what is served").
ACTIVATIONS: tuple[str, ...] = (
    """CREATE TABLE activations (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        model TEXT NOT NULL,
        adapters TEXT NOT NULL DEFAULT '{}',
        grounded TEXT NOT NULL DEFAULT '{}',
        digests TEXT NOT NULL DEFAULT '{}',
        reason TEXT NOT NULL,
        ledger_id TEXT,
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX activations_model ON activations(model, number)",
)

STATEMENTS = (*MEMORY, *SAMPLES, *PRIVATE_ADAPTERS, *ACTIVATIONS)

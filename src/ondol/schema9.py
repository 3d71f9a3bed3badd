"""The tables of schema 9: what the owner keeps in the model's sight, and what was measured of
models, in one list of statements a part."""

from __future__ import annotations

# A pin is a document that answers are given from as a whole, or all of a collection. It has the
# document's name and not its row: one that is read anew stays pinned.
PINS: tuple[str, ...] = (
    """CREATE TABLE pins (
        name TEXT PRIMARY KEY,
        source TEXT NOT NULL DEFAULT '',
        collection TEXT NOT NULL DEFAULT '',
        pinned_at TEXT NOT NULL,
        CHECK ((source = '') <> (collection = ''))
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX pins_source ON pins(source)",
)

# Rows hold scores and never a text. ``digest`` is that of the weights as they came, ``format`` that
# of those which served; ``chat`` and ``documents`` what answered there, adapters included, and
# ``adapters`` the digests of their files (JSON). ``purpose`` is the owner's wish, a gate or an
# update. ``outcomes`` says of each item of a suite that came with Ondol whether it was right, and
# to what it belongs (JSON); a golden question is an answer that the owner judged: its row goes with
# that answer, when its conversation is forgotten.
EVALUATIONS: tuple[str, ...] = (
    """CREATE TABLE evaluations (
        id TEXT PRIMARY KEY,
        model TEXT NOT NULL,
        digest TEXT NOT NULL DEFAULT '',
        format TEXT NOT NULL DEFAULT '',
        chat TEXT NOT NULL DEFAULT '',
        documents TEXT NOT NULL DEFAULT '',
        adapters TEXT NOT NULL DEFAULT '{}',
        purpose TEXT NOT NULL DEFAULT 'owner' CHECK (purpose IN ('owner', 'gate', 'update')),
        ondol TEXT NOT NULL DEFAULT '',
        seconds REAL NOT NULL DEFAULT 0,
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX evaluations_model ON evaluations(model, at)",
    """CREATE TABLE evaluation_scores (
        evaluation TEXT NOT NULL REFERENCES evaluations(id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        suite TEXT NOT NULL,
        outcomes TEXT NOT NULL DEFAULT '{}',
        median_seconds REAL NOT NULL DEFAULT 0,
        PRIMARY KEY (evaluation, suite)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE evaluation_golden (
        evaluation TEXT NOT NULL REFERENCES evaluations(id) ON DELETE CASCADE,
        message TEXT NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
        conversation TEXT NOT NULL,
        is_right INTEGER NOT NULL CHECK (is_right IN (0, 1)),
        PRIMARY KEY (evaluation, message)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX evaluation_golden_message ON evaluation_golden(message)",
)

STATEMENTS = (*PINS, *EVALUATIONS)

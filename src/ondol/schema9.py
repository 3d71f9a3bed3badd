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

STATEMENTS = (*PINS,)

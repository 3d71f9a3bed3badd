"""The tables of the one database, as numbered migrations: forward only, never edited once released.

Each runs inside a transaction of its own (``database.migrate``).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from ondol import schema3, schema4, schema5, schema6, schema7, schema8, schema9

# A connection of sqlcipher3, which ships no type hints.
Connection = Any


def _library(connection: Connection) -> None:
    """Documents, their chunks and sentences, the keyword index and the vectors."""
    for statement in (
        """CREATE TABLE documents (
            id INTEGER PRIMARY KEY,
            source TEXT NOT NULL UNIQUE,
            content_hash TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            modified_ns INTEGER NOT NULL,
            media_type TEXT NOT NULL,
            title TEXT NOT NULL,
            collection TEXT NOT NULL,
            sensitivity INTEGER NOT NULL,
            num_chunks INTEGER NOT NULL,
            embedding_model TEXT NOT NULL,
            added_at TEXT NOT NULL
        )""",
        # A chunk id is never used twice: the vector index in RAM knows chunks by id.
        """CREATE TABLE chunks (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            document_id INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
            start INTEGER NOT NULL,
            "end" INTEGER NOT NULL,
            page INTEGER,
            heading TEXT NOT NULL,
            text TEXT NOT NULL,
            vector BLOB NOT NULL
        )""",
        "CREATE INDEX chunks_document ON chunks(document_id)",
        """CREATE TABLE sentences (
            chunk_id INTEGER NOT NULL REFERENCES chunks(id) ON DELETE CASCADE,
            start INTEGER NOT NULL,
            "end" INTEGER NOT NULL,
            vector BLOB NOT NULL,
            PRIMARY KEY (chunk_id, start)
        ) WITHOUT ROWID""",
        """CREATE VIRTUAL TABLE chunk_terms USING fts5(
            terms, content='', contentless_delete=1,
            tokenize='unicode61 remove_diacritics 2'
        )""",
        "INSERT INTO chunk_terms(chunk_terms, rank) VALUES ('secure-delete', 1)",
        "CREATE VIRTUAL TABLE chunk_vocabulary USING fts5vocab(chunk_terms, row)",
        "CREATE TABLE changes (counter INTEGER NOT NULL)",
        "INSERT INTO changes VALUES (0)",
    ):
        connection.execute(statement)


_UNDER_LIMITS = """
    UPDATE documents SET sensitivity = min(sensitivity, coalesce((
        SELECT min(l.sensitivity) FROM limits l WHERE l.path = NEW.source
            OR rtrim(l.path, '/') || '/' = substr(NEW.source, 1, length(rtrim(l.path, '/')) + 1)
    ), 2)) WHERE id = NEW.id;"""


def _collections(connection: Connection) -> None:
    """Collections with a sensitivity, the files and folders that are followed, why a file is not in
    the library, containers and duplicates; a chunk's sentences in one row for each model."""
    for statement in (
        """CREATE TABLE collections (
            name TEXT PRIMARY KEY,
            sensitivity INTEGER NOT NULL DEFAULT 0 CHECK (sensitivity BETWEEN 0 AND 2),
            created_at TEXT NOT NULL
        )""",
        """CREATE TABLE folders (
            path TEXT PRIMARY KEY,
            collection TEXT NOT NULL REFERENCES collections(name) ON UPDATE CASCADE,
            sensitivity INTEGER NOT NULL DEFAULT 2 CHECK (sensitivity BETWEEN 0 AND 2),
            watch INTEGER NOT NULL DEFAULT 0,
            mount TEXT NOT NULL DEFAULT '',
            added_at TEXT NOT NULL
        )""",
        # Keyed hashes of paths inside these folders that were forgotten and must not come back by
        # themselves (their names are forgotten too), and of the file that each is a part of.
        """CREATE TABLE forgotten (
            path_hash BLOB PRIMARY KEY,
            container_hash BLOB NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE failures (
            source TEXT PRIMARY KEY,
            collection TEXT NOT NULL,
            reason TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            modified_ns INTEGER NOT NULL,
            failed_at TEXT NOT NULL
        )""",
        # What holds this document: the mail of an attachment, the archive of a file.
        "ALTER TABLE documents ADD COLUMN container TEXT",
        # The document whose chunks this one shares, word for word the same in the same collection.
        "ALTER TABLE documents ADD COLUMN duplicate_of INTEGER REFERENCES documents(id)",
        "ALTER TABLE documents ADD COLUMN language TEXT NOT NULL DEFAULT ''",
        # From here on a document's sensitivity is its own limit, under that of its collection.
        "UPDATE documents SET sensitivity = 2",
        "CREATE INDEX documents_content ON documents(content_hash)",
        "CREATE INDEX documents_container ON documents(container) WHERE container IS NOT NULL",
        "CREATE INDEX documents_duplicate ON documents(duplicate_of) "
        "WHERE duplicate_of IS NOT NULL",
        # A vector for the passage (float16) and for each sentence (int8), of one model.
        """CREATE TABLE embeddings (
            chunk_id INTEGER NOT NULL REFERENCES chunks(id) ON DELETE CASCADE,
            model TEXT NOT NULL,
            passage BLOB NOT NULL,
            sentences BLOB NOT NULL,
            PRIMARY KEY (chunk_id, model)
        )""",
        # Chunks that are gone, so that an index in RAM need not compare all of them.
        """CREATE TABLE removals (
            counter INTEGER NOT NULL,
            first_id INTEGER NOT NULL,
            last_id INTEGER NOT NULL
        )""",
        "CREATE INDEX removals_counter ON removals(counter)",
        "CREATE TABLE library_settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "ALTER TABLE chunks ADD COLUMN spans BLOB NOT NULL DEFAULT x''",
        # The owner's limits on files and folders; they outlive the documents' rows.
        """CREATE TABLE limits (
            path TEXT PRIMARY KEY,
            sensitivity INTEGER NOT NULL CHECK (sensitivity BETWEEN 0 AND 2)
        )""",
        # Triggers, so that no way into the library goes round a limit: not a file that is written
        # anew, nor one that comes back after it was gone.
        f"""CREATE TRIGGER documents_added AFTER INSERT ON documents BEGIN {_UNDER_LIMITS} END""",
        f"""CREATE TRIGGER documents_relabelled AFTER UPDATE OF sensitivity ON documents
            BEGIN {_UNDER_LIMITS} END""",
        # A file that moves takes its limit along, for good.
        f"""CREATE TRIGGER documents_moved AFTER UPDATE OF source ON documents
            WHEN NEW.source <> OLD.source BEGIN
            INSERT INTO limits SELECT NEW.source, OLD.sensitivity WHERE OLD.sensitivity < 2
                ON CONFLICT DO UPDATE SET sensitivity = min(sensitivity, excluded.sensitivity);
            {_UNDER_LIMITS} END""",
        # Nor does a text get freer because the strictest document that had it is gone.
        """CREATE TRIGGER documents_removed AFTER DELETE ON documents
            WHEN OLD.sensitivity < 2 AND OLD.content_hash <> '' BEGIN
            INSERT INTO limits SELECT source, OLD.sensitivity FROM documents
                WHERE content_hash = OLD.content_hash AND sensitivity > OLD.sensitivity
                ON CONFLICT DO UPDATE SET sensitivity = min(sensitivity, excluded.sensitivity);
            UPDATE documents SET sensitivity = OLD.sensitivity
                WHERE content_hash = OLD.content_hash AND sensitivity > OLD.sensitivity; END""",
        # How far each document may travel: no further than anything else with the same content.
        """CREATE VIEW labels AS SELECT d.id AS document_id, (
               SELECT min(min(same.sensitivity, coalesce(l.sensitivity, 0)))
               FROM documents same LEFT JOIN collections l ON l.name = same.collection
               WHERE same.content_hash = d.content_hash AND (d.content_hash <> '' OR same.id = d.id)
           ) AS sensitivity FROM documents d""",
    ):
        connection.execute(statement)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    connection.execute("INSERT INTO collections VALUES ('default', 0, ?)", (now,))
    connection.execute(
        "INSERT OR IGNORE INTO collections SELECT DISTINCT collection, 0, ? FROM documents", (now,)
    )
    _pack_sentences(connection)
    for statement in (
        "DROP TABLE sentences",
        "ALTER TABLE chunks DROP COLUMN vector",
        "DROP INDEX chunks_document",
        "CREATE INDEX chunks_document ON chunks(document_id, start)",
    ):
        connection.execute(statement)


def _pack_sentences(connection: Connection) -> None:
    rows = connection.execute(
        """SELECT s.chunk_id, s.start, s."end", s.vector, c.start, c.vector, d.embedding_model
           FROM sentences s JOIN chunks c ON c.id = s.chunk_id
           JOIN documents d ON d.id = c.document_id ORDER BY s.chunk_id, s.start"""
    ).fetchall()
    for chunk_id, group in groupby(rows, key=lambda row: row[0]):
        mine = list(group)
        begin, passage, model = mine[0][4:]
        spans = array("i", [offset - begin for row in mine for offset in row[1:3]]).tobytes()
        connection.execute("UPDATE chunks SET spans = ? WHERE id = ?", (spans, chunk_id))
        connection.execute(
            "INSERT INTO embeddings VALUES (?, ?, ?, ?)",
            (chunk_id, model, passage, _bytes([row[3] for row in mine], len(passage))),
        )


def _bytes(vectors: Sequence[bytes], size: int) -> bytes:
    """Float16 vectors, one of ``size`` bytes or none for each sentence, as int8 ones."""
    import numpy as np

    if not size:
        return b""
    matrix = np.zeros((len(vectors), size // 2), dtype=np.float32)
    for row, vector in enumerate(vectors):
        if vector:
            matrix[row] = np.frombuffer(vector, dtype=np.float16)
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    whole = np.rint(matrix * (127.0 / np.maximum(largest, 1e-12))).astype(np.int8)
    return bytes(whole.tobytes())


def _answers(connection: Connection) -> None:
    """The ledger, the outcomes that confidence learns from, labels of what was said, homes."""
    for statement in schema3.STATEMENTS:
        connection.execute(statement)


def _conversations(connection: Connection) -> None:
    """Conversations, and what Ondol remembers of its owner."""
    for statement in schema4.STATEMENTS:
        connection.execute(statement)


def _programs(connection: Connection) -> None:
    """What is kept for the programs that speak with Ondol."""
    for statement in schema5.STATEMENTS:
        connection.execute(statement)


def _personal(connection: Connection) -> None:
    """What makes a model its owner's own: personas, samples, adapters in use."""
    for statement in schema6.STATEMENTS:
        connection.execute(statement)


def _federations(connection: Connection) -> None:
    """Federations that the device takes part in, and those that it coordinates."""
    for statement in schema7.STATEMENTS:
        connection.execute(statement)


def _hubs(connection: Connection) -> None:
    """Hubs, and what was installed from them."""
    for statement in schema8.STATEMENTS:
        connection.execute(statement)


def _lab(connection: Connection) -> None:
    """Pinned documents, and what was measured of models."""
    for statement in schema9.STATEMENTS:
        connection.execute(statement)


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    _library,
    _collections,
    _answers,
    _conversations,
    _programs,
    _personal,
    _federations,
    _hubs,
    _lab,
)

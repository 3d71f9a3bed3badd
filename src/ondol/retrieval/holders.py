"""Documents that are word for word the same: the holder has the chunks, its duplicates have none.

They share within one collection and one limit of sensitivity, so that no text is found under a
label that is not its own. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from typing import NamedTuple

from ondol.database import Connection
from ondol.retrieval import analysers, rows


class Content(NamedTuple):
    """What documents that share their chunks have in common."""

    content_hash: str
    media_type: str
    collection: str
    sensitivity: int
    embedding_model: str


def find(connection: Connection, content: Content, *, but: int = 0) -> int | None:
    """The document that holds the chunks of ``content``, if it is not the document ``but``."""
    row = connection.execute(
        "SELECT id FROM documents WHERE content_hash = ? AND media_type = ? AND collection = ? "
        "AND sensitivity = ? AND embedding_model = ? AND duplicate_of IS NULL AND num_chunks > 0 "
        "AND id != ? ORDER BY id LIMIT 1",
        (*content, but),
    ).fetchone()
    return int(row[0]) if row else None


def release(connection: Connection, document_id: int) -> int:
    """Take a document's chunks from it: its oldest duplicate holds them from now on. Without one
    they are removed; returns how many."""
    heir = connection.execute(
        "SELECT id, source FROM documents WHERE duplicate_of = ? ORDER BY id LIMIT 1",
        (document_id,),
    ).fetchone()
    if heir is None:
        return rows.delete_chunks(connection, document_id)
    heir_id, source = heir
    connection.execute(
        "UPDATE documents SET duplicate_of = NULL, num_chunks = "
        "(SELECT num_chunks FROM documents WHERE id = ?) WHERE id = ?",
        (document_id, heir_id),
    )
    connection.execute(
        "UPDATE documents SET duplicate_of = ? WHERE duplicate_of = ?", (heir_id, document_id)
    )
    connection.execute(
        "UPDATE chunks SET document_id = ? WHERE document_id = ?", (heir_id, document_id)
    )
    _name_anew(connection, heir_id, source)
    return 0


def move(
    connection: Connection,
    document_id: int,
    source: str,
    *,
    title: str,
    size_bytes: int,
    modified_ns: int,
    container: str | None,
) -> None:
    """The file is at ``source`` now; its chunks and their vectors stay as they are."""
    connection.execute(
        "UPDATE documents SET source = ?, title = ?, size_bytes = ?, modified_ns = ?, "
        "container = ? WHERE id = ?",
        (source, title, size_bytes, modified_ns, container, document_id),
    )
    _name_anew(connection, document_id, source)


def relabel(connection: Connection, document_id: int, collection: str, sensitivity: int) -> None:
    """Put a document into ``collection`` under the limit ``sensitivity``, with all that it holds.
    Nothing is read or embedded again."""
    found = connection.execute(
        "SELECT d.id FROM documents d JOIN documents c ON c.id = ? "
        "WHERE d.id = c.id OR d.container = c.source",
        (document_id,),
    ).fetchall()
    for (one,) in found:
        _relabel(connection, one, collection, sensitivity)


def _relabel(connection: Connection, document_id: int, collection: str, sensitivity: int) -> None:
    content_hash, media_type, model, holder = connection.execute(
        "SELECT content_hash, media_type, embedding_model, duplicate_of FROM documents "
        "WHERE id = ?",
        (document_id,),
    ).fetchone()
    content = Content(content_hash, media_type, collection, sensitivity, model)
    there = find(connection, content, but=document_id)
    if there is not None and there != holder:
        if holder is None:
            release(connection, document_id)
        connection.execute(
            "UPDATE documents SET duplicate_of = ?, num_chunks = 0 WHERE id = ?",
            (there, document_id),
        )
    elif there is None:
        _stand_alone(connection, document_id)
    connection.execute(
        "UPDATE documents SET collection = ?, sensitivity = ? WHERE id = ?",
        (collection, sensitivity, document_id),
    )


def _stand_alone(connection: Connection, document_id: int) -> None:
    """Give a document chunks that no other shares."""
    source, holder, heir = connection.execute(
        "SELECT source, duplicate_of, (SELECT min(id) FROM documents WHERE duplicate_of = d.id) "
        "FROM documents d WHERE id = ?",
        (document_id,),
    ).fetchone()
    if heir is not None:
        release(connection, document_id)
        holder = heir
    if holder is None:
        return
    chunks = connection.execute(
        "SELECT id FROM chunks WHERE document_id = ? ORDER BY id", (holder,)
    ).fetchall()
    for (chunk_id,) in chunks:
        cursor = connection.execute(
            'INSERT INTO chunks (document_id, start, "end", page, heading, text, spans) '
            'SELECT ?, start, "end", page, heading, text, spans FROM chunks WHERE id = ?',
            (document_id, chunk_id),
        )
        connection.execute(
            "INSERT INTO embeddings (chunk_id, model, passage, sentences) "
            "SELECT ?, model, passage, sentences FROM embeddings WHERE chunk_id = ?",
            (cursor.lastrowid, chunk_id),
        )
        connection.execute(
            "INSERT INTO chunk_marks SELECT ?, marks FROM chunk_marks WHERE chunk_id = ?",
            (cursor.lastrowid, chunk_id),
        )
    connection.execute(
        "UPDATE documents SET duplicate_of = NULL, num_chunks = ? WHERE id = ?",
        (len(chunks), document_id),
    )
    _name_anew(connection, document_id, source)


def _name_anew(connection: Connection, document_id: int, source: str) -> None:
    """Make the terms of a document's chunks with the name of the file at ``source``."""
    chunks = connection.execute(
        "SELECT id, heading, text FROM chunks WHERE document_id = ?", (document_id,)
    ).fetchall()
    connection.executemany("DELETE FROM chunk_terms WHERE rowid = ?", [row[:1] for row in chunks])
    morphemes = analysers.writes_morphemes(connection)
    if not morphemes:
        analysers.note_plain(connection, [source, *(row[2] for row in chunks)])
    connection.executemany(
        "INSERT INTO chunk_terms (rowid, terms) VALUES (?, ?)",
        [
            (i, rows.chunk_terms(source, heading, text, morphemes=morphemes))
            for i, heading, text in chunks
        ],
    )

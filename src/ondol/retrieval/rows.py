"""The library's rows: documents, chunks, terms, sentences. The only writer of these tables.

Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.database import Connection
from ondol.retrieval.chunking import Passage
from ondol.retrieval.packed import pack_spans, pack_vectors
from ondol.retrieval.terms import terms
from ondol.types import Document, Sensitivity

if TYPE_CHECKING:
    from ondol.retrieval.embedding import PassageVectors


def delete_document(connection: Connection, document_id: int) -> int:
    """Remove a document with its chunks, terms and vectors; returns the number of chunks."""
    ids = connection.execute(
        "SELECT id FROM chunks WHERE document_id = ? ORDER BY id", (document_id,)
    ).fetchall()
    if ids:
        # A document's chunks are added in one go, so what is between the first and the last is its.
        connection.execute(
            "INSERT INTO removals SELECT counter + 1, ?, ? FROM changes", (ids[0][0], ids[-1][0])
        )
    connection.executemany("DELETE FROM chunk_terms WHERE rowid = ?", ids)
    connection.execute("DELETE FROM documents WHERE id = ?", (document_id,))
    return len(ids)


def ensure_collection(connection: Connection, name: str) -> None:
    """Make the collection if there is none of that name; a new one is private."""
    connection.execute(
        "INSERT OR IGNORE INTO collections (name, sensitivity, created_at) VALUES (?, ?, ?)",
        (name, int(Sensitivity.PRIVATE), now()),
    )


def now() -> str:
    """This moment as the database writes it: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def bump(connection: Connection) -> None:
    """Tell every reader, in this process or another, that the library changed."""
    connection.execute("UPDATE changes SET counter = counter + 1")


def insert_document(
    connection: Connection,
    document: Document,
    *,
    size_bytes: int,
    modified_ns: int,
    num_chunks: int,
    embedding_model: str,
) -> int:
    """Add a document's row; returns its id."""
    cursor = connection.execute(
        """INSERT INTO documents (source, content_hash, size_bytes, modified_ns, media_type, title,
               collection, sensitivity, num_chunks, embedding_model, added_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            document.source,
            document.content_hash,
            size_bytes,
            modified_ns,
            document.media_type,
            document.title,
            document.collection,
            int(document.sensitivity),
            num_chunks,
            embedding_model,
            now(),
        ),
    )
    return int(cursor.lastrowid)


def insert_passage(
    connection: Connection,
    document_id: int,
    document: Document,
    passage: Passage,
    vectors: PassageVectors,
    model: str,
) -> None:
    """Add a chunk with its terms, its sentences and the vectors that ``model`` gave them."""
    chunk = passage.chunk
    cursor = connection.execute(
        'INSERT INTO chunks (document_id, start, "end", page, heading, text, spans) '
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            document_id,
            chunk.start,
            chunk.end,
            chunk.page,
            chunk.heading,
            chunk.text,
            pack_spans(passage.sentences, chunk.start),
        ),
    )
    chunk_id = cursor.lastrowid
    # The file's name and the headings above are how people remember where something stands.
    context = f"{Path(document.source).stem} {chunk.heading}"
    connection.execute(
        "INSERT INTO chunk_terms (rowid, terms) VALUES (?, ?)",
        (chunk_id, " ".join([*terms(context), *terms(chunk.text)])),
    )
    insert_embedding(connection, chunk_id, model, vectors)


def insert_embedding(
    connection: Connection, chunk_id: int, model: str, vectors: PassageVectors
) -> None:
    """Add what ``model`` makes of a chunk, in place of what it made of it before."""
    connection.execute(
        "INSERT OR REPLACE INTO embeddings (chunk_id, model, passage, sentences) "
        "VALUES (?, ?, ?, ?)",
        (chunk_id, model, _blob(vectors.passage), pack_vectors(vectors.sentences)),
    )


def _blob(vector: Any) -> bytes:
    """Half precision; nothing for the zero vector, which says that the text cannot be read."""
    import numpy as np

    return vector.astype(np.float16).tobytes() if vector.any() else b""

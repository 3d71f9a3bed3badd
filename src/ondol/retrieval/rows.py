"""The library's rows: documents, chunks, terms, sentences. The only writer of these tables.

Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.database import Connection
from ondol.retrieval.chunking import Passage
from ondol.retrieval.terms import terms
from ondol.types import Document

if TYPE_CHECKING:
    from ondol.retrieval.embedding import PassageVectors


def delete_document(connection: Connection, document_id: int) -> int:
    """Remove a document with its chunks, terms and vectors; returns the number of chunks."""
    ids = connection.execute(
        "SELECT id FROM chunks WHERE document_id = ?", (document_id,)
    ).fetchall()
    connection.executemany("DELETE FROM chunk_terms WHERE rowid = ?", ids)
    connection.execute("DELETE FROM documents WHERE id = ?", (document_id,))
    return len(ids)


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
            datetime.now(UTC).isoformat(timespec="seconds"),
        ),
    )
    return int(cursor.lastrowid)


def insert_passage(
    connection: Connection,
    document_id: int,
    document: Document,
    passage: Passage,
    vectors: PassageVectors,
) -> None:
    """Add a chunk with its terms, its vector and its sentences."""
    chunk = passage.chunk
    cursor = connection.execute(
        'INSERT INTO chunks (document_id, start, "end", page, heading, text, vector) '
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            document_id,
            chunk.start,
            chunk.end,
            chunk.page,
            chunk.heading,
            chunk.text,
            _blob(vectors.passage),
        ),
    )
    chunk_id = cursor.lastrowid
    # The file's name and the headings above are how people remember where something stands.
    context = f"{Path(document.source).stem} {chunk.heading}"
    connection.execute(
        "INSERT INTO chunk_terms (rowid, terms) VALUES (?, ?)",
        (chunk_id, " ".join([*terms(context), *terms(chunk.text)])),
    )
    connection.executemany(
        'INSERT INTO sentences (chunk_id, start, "end", vector) VALUES (?, ?, ?, ?)',
        [
            (chunk_id, start, end, _blob(vector))
            for (start, end), vector in zip(passage.sentences, vectors.sentences, strict=True)
        ],
    )


def _blob(vector: Any) -> bytes:
    """Half precision; nothing for the zero vector, which says that the text cannot be read."""
    import numpy as np

    return vector.astype(np.float16).tobytes() if vector.any() else b""

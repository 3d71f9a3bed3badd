"""The library's rows: documents, chunks, terms, vectors, failures. The only writer of these tables,
with ``holders``, which knows the documents that share their chunks.

Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
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

# From the model's name to the packed vectors of a passage and of its sentences.
Packed = dict[str, tuple[bytes, bytes]]


def delete_document(connection: Connection, document_id: int) -> int:
    """Remove a document with all that it holds; what shares its chunks keeps them. Returns the
    number of chunks that are gone, 0 when there is no such document."""
    members = connection.execute(
        "SELECT m.id FROM documents m JOIN documents d ON m.container = d.source WHERE d.id = ?",
        (document_id,),
    ).fetchall()
    return delete_documents(connection, [document_id, *(row[0] for row in members)])


def delete_documents(connection: Connection, ids: Iterable[int]) -> int:
    """Remove documents, but not what they hold. Those that share chunks go first, so that none is
    given chunks that go too. Returns the number of chunks that are gone."""
    from ondol.retrieval import holders

    def is_holder(document_id: int) -> bool:
        row = connection.execute(
            "SELECT duplicate_of FROM documents WHERE id = ?", (document_id,)
        ).fetchone()
        return row is not None and row[0] is None

    chunks = 0
    for document_id in sorted(ids, key=is_holder):
        chunks += holders.release(connection, document_id)
        connection.execute("DELETE FROM documents WHERE id = ?", (document_id,))
    return chunks


def delete_chunks(connection: Connection, document_id: int) -> int:
    """Remove a document's chunks with their terms and vectors; returns their number."""
    ids = connection.execute(
        "SELECT id FROM chunks WHERE document_id = ? ORDER BY id", (document_id,)
    ).fetchall()
    if ids:
        # A document's chunks are added in one go, so what is between the first and the last is its.
        connection.execute(
            "INSERT INTO removals SELECT counter + 1, ?, ? FROM changes", (ids[0][0], ids[-1][0])
        )
        connection.executemany("DELETE FROM chunk_terms WHERE rowid = ?", ids)
        connection.execute("DELETE FROM chunks WHERE document_id = ?", (document_id,))
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
    container: str | None = None,
    duplicate_of: int | None = None,
    language: str = "",
) -> int:
    """Add a document's row; returns its id."""
    cursor = connection.execute(
        """INSERT INTO documents (source, content_hash, size_bytes, modified_ns, media_type, title,
               collection, sensitivity, num_chunks, embedding_model, added_at, container,
               duplicate_of, language)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
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
            container,
            duplicate_of,
            language,
        ),
    )
    return int(cursor.lastrowid)


def chunk_terms(source: str, heading: str, text: str, *, morphemes: bool) -> str:
    """What the keyword index has of a chunk. The file's name and the headings above are how people
    remember where something stands."""
    above = f"{Path(source).stem} {heading}"
    return " ".join([*terms(above, morphemes=morphemes), *terms(text, morphemes=morphemes)])


def insert_chunk(
    connection: Connection,
    document_id: int,
    passage: Passage,
    terms: str,
    packed: Packed,
    fingerprints: bytes,
) -> int:
    """Add a chunk with its ``chunk_terms``, its sentences, its vectors and its fingerprints (see
    ``marks``); returns its id."""
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
    chunk_id = int(cursor.lastrowid)
    connection.execute("INSERT INTO chunk_terms (rowid, terms) VALUES (?, ?)", (chunk_id, terms))
    connection.executemany(
        "INSERT INTO embeddings (chunk_id, model, passage, sentences) VALUES (?, ?, ?, ?)",
        [(chunk_id, model, passage, sentences) for model, (passage, sentences) in packed.items()],
    )
    connection.execute("INSERT INTO chunk_marks VALUES (?, ?)", (chunk_id, fingerprints))
    return chunk_id


def insert_embedding(
    connection: Connection, chunk_id: int, model: str, vectors: PassageVectors
) -> None:
    """Add what ``model`` makes of a chunk, in place of what it made of it before."""
    connection.execute(
        "INSERT OR REPLACE INTO embeddings (chunk_id, model, passage, sentences) "
        "VALUES (?, ?, ?, ?)",
        (chunk_id, model, *pack(vectors)),
    )


def pack(vectors: PassageVectors) -> tuple[bytes, bytes]:
    """The vectors of a passage and of its sentences, as they are stored."""
    return _blob(vectors.passage), pack_vectors(vectors.sentences)


def insert_failure(
    connection: Connection,
    source: str,
    collection: str,
    reason: str,
    *,
    size_bytes: int,
    modified_ns: int,
) -> None:
    """Remember why a file, or a part of it, is not in the library."""
    connection.execute(
        "INSERT OR REPLACE INTO failures (source, collection, reason, size_bytes, modified_ns, "
        "failed_at) VALUES (?, ?, ?, ?, ?, ?)",
        (source, collection, reason, size_bytes, modified_ns, now()),
    )


def delete_failures(connection: Connection, source: str) -> None:
    """Forget what failed at ``source`` and in it."""
    connection.execute(
        "DELETE FROM failures WHERE source = ? OR (source > ? AND source < ?)",
        (source, *inside(source)),
    )


def inside(folder: str) -> tuple[str, str]:
    """The bounds, both exclusive, of the sources that lie in ``folder``, in the order of bytes."""
    folder = folder.rstrip("/")
    return f"{folder}/", f"{folder}0"  # "0" comes next after "/"


def _blob(vector: Any) -> bytes:
    """Half precision; nothing for the zero vector, which says that the text cannot be read."""
    import numpy as np

    return vector.astype(np.float16).tobytes() if vector.any() else b""

"""Another embedder for a library that stays in use: new vectors beside the old, then one switch.

The vectors are written in small transactions, so that a run may be killed anywhere and goes on
where it was; searches keep to the old model until every chunk has its new vectors. The switch is
one transaction; what is left of the old model is deleted after it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ondol import database
from ondol.database import Connection
from ondol.retrieval import rows
from ondol.retrieval.embedders import choose_model, current_model
from ondol.retrieval.packed import unpack_spans

if TYPE_CHECKING:
    from ondol.retrieval.embedding import PassageVectors
    from ondol.retrieval.library import PassageEmbedder

EMBEDDED_AT_ONCE = 64
DELETED_AT_ONCE = 2000
# How many chunks are sorted by length, so that little of what is embedded together is padding.
SORTED_AT_ONCE = 512

_MISSING = (
    "FROM chunks c WHERE NOT EXISTS "
    "(SELECT 1 FROM embeddings e WHERE e.chunk_id = c.id AND e.model = ?)"
)


@dataclass(frozen=True, slots=True)
class ReembedReport:
    """The model that the library uses now, the one before, and how many chunks were embedded."""

    model: str
    previous: str | None
    chunks: int


# A chunk's id, heading, text and spans.
Row = tuple[int, str, str, bytes]


class Reembedding:
    """Brings the library of ``connection``, which ``lock`` guards, to ``embedder``."""

    def __init__(
        self,
        connection: Connection,
        lock: threading.RLock,
        embedder: PassageEmbedder,
        *,
        on_progress: Callable[[int, int], None] = lambda completed, total: None,
        wait: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._lock = lock
        self._embedder = embedder
        self._on_progress = on_progress
        self._wait = wait
        self._completed = 0
        self._total = 0

    def run(self) -> ReembedReport:
        """Embed what has no vector of the new model, switch, delete the old vectors."""
        with self._lock:
            previous = current_model(self._connection)
        while True:
            self._embed_missing()
            if self._switch():
                break
        self._delete_others()
        return ReembedReport(self._embedder.model, previous, self._completed)

    def _embed_missing(self) -> None:
        model = self._embedder.model
        with self._lock:
            query = f"SELECT count(*) {_MISSING}"
            (missing,) = self._connection.execute(query, (model,)).fetchone()
        self._total = self._completed + missing
        last = 0
        while True:
            with self._lock:
                some: list[Row] = self._connection.execute(
                    f"SELECT c.id, c.heading, c.text, c.spans {_MISSING} AND c.id > ? "
                    "ORDER BY c.id LIMIT ?",
                    (model, last, SORTED_AT_ONCE),
                ).fetchall()
            if not some:
                return
            last = some[-1][0]
            some.sort(key=lambda row: len(row[2]))
            for begin in range(0, len(some), EMBEDDED_AT_ONCE):
                self._wait()
                batch = some[begin : begin + EMBEDDED_AT_ONCE]
                self._store(batch, embed_chunks(self._embedder, [row[1:] for row in batch]))

    def _store(self, batch: Sequence[Row], vectors: Sequence[PassageVectors]) -> None:
        with self._lock, database.transaction(self._connection) as connection:
            for (chunk_id, *_), mine in zip(batch, vectors, strict=True):
                # It may have been forgotten while its vector was made.
                known = connection.execute("SELECT 1 FROM chunks WHERE id = ?", (chunk_id,))
                if known.fetchone():
                    rows.insert_embedding(connection, chunk_id, self._embedder.model, mine)
        self._completed += len(batch)
        self._on_progress(self._completed, max(self._total, self._completed))

    def _switch(self) -> bool:
        """From here on every search is the new model's; not while a chunk lacks its vectors."""
        model = self._embedder.model
        with self._lock, database.transaction(self._connection) as connection:
            # Nobody can add between this look and the switch.
            if connection.execute(f"SELECT 1 {_MISSING} LIMIT 1", (model,)).fetchone():
                return False
            choose_model(connection, model)
            connection.execute(
                "UPDATE documents SET embedding_model = ? WHERE embedding_model != ?",
                (model, model),
            )
            rows.bump(connection)
            return True

    def _delete_others(self) -> None:
        """Everything of other models, a little at a time: deleting overwrites, which takes long."""
        model = self._embedder.model
        last = 0
        while True:
            with self._lock, database.transaction(self._connection) as connection:
                # Another switch may have come in between.
                if current_model(connection) != model:
                    return
                (end,) = connection.execute(
                    "SELECT max(rowid) FROM (SELECT rowid FROM embeddings WHERE rowid > ? "
                    "ORDER BY rowid LIMIT ?)",
                    (last, DELETED_AT_ONCE),
                ).fetchone()
                if end is None:
                    break
                connection.execute(
                    "DELETE FROM embeddings WHERE rowid > ? AND rowid <= ? AND model != ?",
                    (last, end, model),
                )
                last = end
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def embed_chunks(
    embedder: PassageEmbedder, chunks: Sequence[tuple[str, str, bytes]]
) -> list[PassageVectors]:
    """The vectors of chunks, given as heading, text and packed spans: a passage is embedded under
    its heading, which the offsets step over."""
    texts, spans = [], []
    for heading, text, packed in chunks:
        prefix = f"{heading}\n" if heading else ""
        texts.append(prefix + text)
        spans.append(unpack_spans(packed, len(prefix)))
    return embedder.embed_passages(texts, spans)

"""Files into the library: read, chunk, embed in batches, commit.

A batch of files is one transaction: after a crash a document is wholly in the library or not at
all, and what was reported as added stays. A file that cannot be read is reported and skipped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ondol import database
from ondol.database import Connection
from ondol.errors import DocumentError
from ondol.retrieval import chunking, files, rows
from ondol.retrieval.chunking import Passage
from ondol.retrieval.loaders.isolation import Reader
from ondol.types import Document

if TYPE_CHECKING:
    from ondol.retrieval.embedding import PassageVectors
    from ondol.retrieval.library import PassageEmbedder

BATCH_CHUNKS = 64

Outcome = Literal["added", "updated", "unchanged", "failed"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One file is done: ``completed`` of ``total`` files; ``reason`` says why it failed."""

    source: str
    outcome: Outcome
    completed: int
    total: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that was skipped, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class AddReport:
    """What became of every file."""

    added: int
    updated: int
    unchanged: int
    failed: tuple[Failure, ...]
    chunks: int


@dataclass(frozen=True, slots=True)
class _Pending:
    """A file that has been read and waits for its batch."""

    document: Document
    size_bytes: int
    modified_ns: int
    passages: tuple[Passage, ...]


class Ingest:
    """One run of ``add``."""

    def __init__(
        self,
        connection: Connection,
        lock: threading.RLock,
        embedder: PassageEmbedder,
        max_file_bytes: int,
        collection: str,
        reader: Reader | None = None,
    ) -> None:
        self._connection = connection
        self._lock = lock
        self._embedder = embedder
        self._max_file_bytes = max_file_bytes
        self._collection = collection
        self._reader = reader or Reader()
        self._batch: list[_Pending] = []
        self._counts: dict[str, int] = {"added": 0, "updated": 0, "unchanged": 0, "failed": 0}
        self._failures: list[Failure] = []
        self._chunks = 0
        self._total = 0
        self._on_progress: Callable[[Progress], None] = lambda progress: None

    def add_text(self, document: Document) -> AddReport:
        """Bring one document that is not a file into the library."""
        self._total = 1
        self._queue(document, document.source, len(document.text), 0)
        self._commit()
        return self._report()

    def run(
        self, roots: Sequence[Path], on_progress: Callable[[Progress], None] | None
    ) -> AddReport:
        """Walk ``roots`` and bring every file in them into the library."""
        self._on_progress = on_progress or self._on_progress
        skipped: list[Failure] = []
        found = list(
            files.walk(
                [files.absolute(root) for root in roots],
                on_skip=lambda path, reason: skipped.append(Failure(str(path), reason)),
            )
        )
        self._total = len(found) + len(skipped)
        for skip in skipped:
            self._done(skip.source, "failed", skip.reason)
        with self._reader:
            for path in found:
                try:
                    self._take(path)
                except DocumentError as error:
                    self._done(str(path), "failed", error.message)
                if sum(len(p.passages) for p in self._batch) >= BATCH_CHUNKS:
                    self._commit()
        self._commit()
        return self._report()

    def _report(self) -> AddReport:
        return AddReport(
            self._counts["added"],
            self._counts["updated"],
            self._counts["unchanged"],
            tuple(self._failures),
            self._chunks,
        )

    def _take(self, path: Path) -> None:
        try:
            status = path.stat()
        except OSError as error:
            raise DocumentError(str(error.strerror or error)) from error
        size_bytes, modified_ns, content_hash = self._known(str(path))
        if (size_bytes, modified_ns) == (status.st_size, status.st_mtime_ns):
            return self._done(str(path), "unchanged")
        document = self._reader.load(path, max_bytes=self._max_file_bytes)
        if document.content_hash == content_hash:
            self._touch(str(path), status.st_size, status.st_mtime_ns)
            return self._done(str(path), "unchanged")
        return self._queue(document, str(path), status.st_size, status.st_mtime_ns)

    def _queue(self, document: Document, source: str, size_bytes: int, modified_ns: int) -> None:
        """Chunk a document and put it into the batch."""
        labelled = replace(document, source=source, collection=self._collection)
        self._batch.append(
            _Pending(labelled, size_bytes, modified_ns, tuple(chunking.chunk(labelled)))
        )

    def _known(self, source: str) -> tuple[int, int, str]:
        """Size, time and hash of a document that is up to date unless its file changed."""
        with self._lock:
            row = self._connection.execute(
                "SELECT size_bytes, modified_ns, content_hash FROM documents "
                "WHERE source = ? AND embedding_model = ? AND collection = ?",
                (source, self._embedder.model, self._collection),
            ).fetchone()
        return tuple(row) if row else (-1, -1, "")

    def _touch(self, source: str, size_bytes: int, modified_ns: int) -> None:
        """The file was written again with the same content: remember its new time only."""
        with self._lock, database.transaction(self._connection) as connection:
            connection.execute(
                "UPDATE documents SET size_bytes = ?, modified_ns = ? WHERE source = ?",
                (size_bytes, modified_ns, source),
            )

    def _commit(self) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        vectors = iter(self._embed([p for pending in batch for p in pending.passages]))
        outcomes: list[tuple[str, Outcome]] = []
        with self._lock, database.transaction(self._connection) as connection:
            for pending in batch:
                mine = [next(vectors) for _ in pending.passages]
                outcomes.append((pending.document.source, self._store(connection, pending, mine)))
            rows.bump(connection)
        for source, outcome in outcomes:
            self._done(source, outcome)

    def _embed(self, passages: Sequence[Passage]) -> list[PassageVectors]:
        """Passages are embedded under their heading, which the offsets step over."""
        texts, spans = [], []
        for passage in passages:
            prefix = f"{passage.chunk.heading}\n" if passage.chunk.heading else ""
            shift = len(prefix) - passage.chunk.start
            texts.append(prefix + passage.chunk.text)
            spans.append([(start + shift, end + shift) for start, end in passage.sentences])
        return self._embedder.embed_passages(texts, spans) if texts else []

    def _store(
        self, connection: Connection, pending: _Pending, vectors: Sequence[PassageVectors]
    ) -> Outcome:
        document = pending.document
        row = connection.execute(
            "SELECT id FROM documents WHERE source = ?",
            (document.source,),
        ).fetchone()
        if row:
            rows.delete_document(connection, row[0])
        rows.ensure_collection(connection, document.collection)
        document_id = rows.insert_document(
            connection,
            document,
            size_bytes=pending.size_bytes,
            modified_ns=pending.modified_ns,
            num_chunks=len(pending.passages),
            embedding_model=self._embedder.model,
        )
        for passage, vector in zip(pending.passages, vectors, strict=True):
            rows.insert_passage(
                connection, document_id, document, passage, vector, self._embedder.model
            )
        self._chunks += len(vectors)
        return "updated" if row else "added"

    def _done(self, source: str, outcome: Outcome, reason: str = "") -> None:
        self._counts[outcome] += 1
        if outcome == "failed":
            self._failures.append(Failure(source, reason))
        completed = sum(self._counts.values())
        self._on_progress(Progress(source, outcome, completed, self._total, reason))

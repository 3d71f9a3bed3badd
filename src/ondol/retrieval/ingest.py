"""Files into the library: read ahead, embed in batches sorted by length, commit.

A batch of files is one transaction: after a crash a document is wholly in the library or not at
all, and what was reported as added stays. Chunks whose text was there before keep their vectors. A
file that cannot be read is reported, remembered with its reason, and skipped.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from ondol import database
from ondol.database import Connection
from ondol.retrieval import analysers, rows
from ondol.retrieval.files import Found
from ondol.retrieval.folders import Folder
from ondol.retrieval.packed import unpack_spans
from ondol.retrieval.reading import Desk, FileReader, Job, Reading, Twin, read_ahead
from ondol.retrieval.reports import AddReport, Failure, Progress, Tally
from ondol.retrieval.rows import Packed
from ondol.retrieval.storing import (
    ChunkKey,
    Gone,
    StaleError,
    Store,
    Stored,
    Vectors,
    chunk_keys,
    printable,
)
from ondol.types import Document, Sensitivity

if TYPE_CHECKING:
    from ondol.retrieval.library import PassageEmbedder

__all__ = ["AddReport", "Failure", "Ingest", "Progress"]

# A batch is embedded and committed when it has this many chunks, or files.
BATCH_CHUNKS = 128
BATCH_FILES = 256
# What is embedded at once; between two of them somebody else may be let in first.
EMBED_CHUNKS = 32
# How many values one question to the database may have.
MAX_VALUES = 500


class Ingest:
    """Brings files into the library of ``connection``, which ``lock`` guards. ``wait`` is called
    before every piece of hard work, and may take its time."""

    def __init__(
        self,
        connection: Connection,
        lock: threading.RLock,
        embedder: PassageEmbedder,
        reader: FileReader,
        max_file_bytes: int,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        wait: Callable[[], None] = lambda: None,
    ) -> None:
        self.tally = Tally(on_progress)
        self.model = embedder.model
        self._connection = connection
        self._lock = lock
        self._embedder = embedder
        self._wait = wait
        with lock:
            morphemes = analysers.writes_morphemes(connection)
        self._desk = Desk(reader, max_file_bytes, self._find_twin, morphemes=morphemes)
        self._batch: list[Reading] = []
        self._gone = Gone()

    def add_text(self, document: Document) -> AddReport:
        """Bring one document that is not a file into the library."""
        content_hash = hashlib.sha256(document.text.encode("utf-8", "replace")).hexdigest()
        document = replace(document, content_hash=content_hash, sensitivity=Sensitivity.PUBLIC)
        found = Found(document.source, len(document.text), 0)
        job = Job(found, Folder(document.source, document.collection))
        self.tally.total = 1
        self._batch.append(self._desk.reading(job, document))
        self._commit()
        return self.tally.report()

    def run(self, jobs: Iterable[Job], gone: Gone) -> None:
        """Read, embed and store the files of ``jobs``; those of ``gone`` may come back among them
        under another name."""
        self._gone = gone
        with closing(read_ahead(jobs, self._desk.read)) as readings:
            chunks = 0
            for reading in readings:
                self._batch.append(reading)
                chunks += reading.num_chunks
                if chunks >= BATCH_CHUNKS or len(self._batch) >= BATCH_FILES:
                    self._commit()
                    chunks = 0
            self._commit()

    def _find_twin(self, content_hash: str, media_type: str, collection: str) -> Twin | None:
        with self._lock:
            row = self._connection.execute(
                "SELECT source, title, language FROM documents d WHERE content_hash = ? "
                "AND media_type = ? AND collection = ? AND embedding_model = ? "
                "AND (num_chunks > 0 OR duplicate_of IS NOT NULL) AND NOT EXISTS (SELECT 1 FROM "
                "failures WHERE source > d.source || '/' AND source < d.source || '0')",
                (content_hash, media_type, collection, self.model),
            ).fetchone()
        return Twin(*row) if row else None

    def _commit(self) -> None:
        batch, self._batch = self._batch, []
        vectors: dict[ChunkKey, Packed] = {}
        while batch:
            vectors = self._vectors(batch, vectors)
            with self._lock, database.transaction(self._connection) as connection:
                store = Store(connection, self.model, self._gone, morphemes=self._desk.morphemes)
                stored = [(reading, self._store(store, reading, vectors)) for reading in batch]
                rows.bump(connection)
            batch = []
            for reading, result in stored:
                if result is None:
                    batch.append(self._desk.read(replace(reading.job, is_anew=True)))
                else:
                    self._done(reading, result)

    def _store(self, store: Store, reading: Reading, vectors: Vectors) -> Stored | None:
        """What became of a file; ``None`` when it has to be read again."""
        if reading.reason:
            store.fail(reading)
            return Stored("failed", 0, False)
        if reading.is_same:
            store.touch(reading)
            return Stored("unchanged", 0, False)
        self._connection.execute("SAVEPOINT file")
        try:
            stored = store.store(reading, vectors)
        except StaleError:
            self._connection.execute("ROLLBACK TO file")
            stored = None
        self._connection.execute("RELEASE file")
        return stored

    def _done(self, reading: Reading, stored: Stored) -> None:
        self.tally.chunks += stored.chunks
        self.tally.duplicates += stored.is_duplicate and stored.outcome != "unchanged"
        for source, reason in reading.unread:
            self.tally.part_failed(source, reason)
        self.tally.done(printable(reading.job.found.path), stored.outcome, reading.reason)

    def _vectors(self, batch: Sequence[Reading], known: Vectors) -> dict[ChunkKey, Packed]:
        """``known`` and the vectors of every chunk in ``batch``: what the library has of the same
        text, and what the embedder says of the rest."""
        documents = [part.document for reading in batch for part in reading.parts]
        sources = [document.source for document in documents]
        hashes = [document.content_hash for document in documents]
        vectors = {**known, **self._reusable(sources, hashes)}
        wanted = {key for reading in batch for part in reading.parts for key in chunk_keys(part)}
        # Of one length, so that none is padded to that of another.
        missing = sorted(wanted - vectors.keys(), key=lambda key: (len(key.text), key))
        for begin in range(0, len(missing), EMBED_CHUNKS):
            self._wait()
            some = missing[begin : begin + EMBED_CHUNKS]
            vectors.update(zip(some, self._embed(some), strict=True))
        return vectors

    def _embed(self, keys: Sequence[ChunkKey]) -> list[Packed]:
        """Passages are embedded under their heading, which the offsets step over."""
        texts, spans = [], []
        for key in keys:
            prefix = f"{key.heading}\n" if key.heading else ""
            texts.append(prefix + key.text)
            spans.append(unpack_spans(key.spans, len(prefix)))
        found = self._embedder.embed_passages(texts, spans)
        return [{self.model: rows.pack(one)} for one in found]

    def _reusable(self, sources: Sequence[str], hashes: Sequence[str]) -> dict[ChunkKey, Packed]:
        """The vectors of what the library has under ``sources``, or with the content ``hashes``."""
        found: dict[ChunkKey, Packed] = {}
        with self._lock:
            ids = self._select("source", sources) | self._select("content_hash", hashes)
            for document_id in ids:
                for heading, text, spans, *packed in self._connection.execute(
                    "SELECT c.heading, c.text, c.spans, e.model, e.passage, e.sentences "
                    "FROM chunks c JOIN embeddings e ON e.chunk_id = c.id WHERE c.document_id = ?",
                    (document_id,),
                ):
                    model, passage, sentences = packed
                    key = ChunkKey(heading, text, spans)
                    found.setdefault(key, {})[model] = (passage, sentences)
        return {key: packed for key, packed in found.items() if self.model in packed}

    def _select(self, column: str, values: Sequence[str]) -> set[int]:
        """The documents that hold the chunks of those with ``values`` in ``column``."""
        ids: set[int] = set()
        for begin in range(0, len(values), MAX_VALUES):
            some = values[begin : begin + MAX_VALUES]
            marks = ",".join("?" * len(some))
            ids.update(
                row[0]
                for row in self._connection.execute(
                    f"SELECT coalesce(duplicate_of, id) FROM documents WHERE {column} IN ({marks})",
                    some,
                )
            )
        return ids

"""The owner's library: what is in it, and what it knows about a question.

Reads are safe from several threads and while another process writes: the vectors in RAM follow the
database's change counter. Raises ``DocumentError`` families; never touches the source files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from ondol import database
from ondol.errors import DocumentNotFoundError
from ondol.i18n import t
from ondol.retrieval import evidence as evidences
from ondol.retrieval import files, ingest
from ondol.retrieval import query as syntax
from ondol.retrieval.collections import Collections, forget_limits, valid_name
from ondol.retrieval.embedding import PassageVectors
from ondol.retrieval.filters import Filter, fill_languages, under_matching_names
from ondol.retrieval.loaders.isolation import Reader
from ondol.retrieval.rows import bump, delete_document
from ondol.retrieval.search import Query, prepare, rank, read_hits
from ondol.retrieval.sentences import Span
from ondol.retrieval.vectors.exact import ExactIndex
from ondol.retrieval.vectors.loaded import LoadedVectors
from ondol.types import Document, Embedder, Evidence, Hit, Sensitivity

EVIDENCE_HITS = 6


class PassageEmbedder(Embedder, Protocol):
    """An embedder that also gives every sentence of a passage a vector."""

    def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[PassageVectors]: ...

    def can_read(self, text: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class LibraryDocument:
    """A document as the library lists it. ``limit`` is its own, ``sensitivity`` how far it may
    really travel (see ``collections``)."""

    source: str
    title: str
    media_type: str
    size_bytes: int
    num_chunks: int
    collection: str
    added_at: str
    language: str
    limit: Sensitivity
    sensitivity: Sensitivity


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was forgotten."""

    documents: int
    chunks: int


class Library:
    """Documents in one database file (or in memory), searched with one embedder."""

    def __init__(
        self,
        file: Path,
        embedder: PassageEmbedder,
        *,
        evidence_tokens: int = 200,
        max_file_bytes: int = 64 << 20,
        make_reader: Callable[[], Reader] = Reader,
    ) -> None:
        self._embedder = embedder
        self._evidence_tokens = evidence_tokens
        self._max_file_bytes = max_file_bytes
        self._make_reader = make_reader
        self._connection = database.connect(file)
        self._lock = threading.RLock()
        self.collections = Collections(self._connection, self._lock)

    @cached_property
    def _vectors(self) -> LoadedVectors:
        # Made at the first search: forgetting and listing must not need the embedder.
        dimensions = self._embedder.dimensions
        return LoadedVectors(ExactIndex(dimensions), self._embedder.model, dimensions)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def add(
        self,
        paths: Sequence[Path],
        *,
        collection: str = "default",
        on_progress: Callable[[ingest.Progress], None] | None = None,
    ) -> ingest.AddReport:
        """Add or update files and folders. What is unchanged costs nothing; what is broken is
        reported and skipped. A file counts as added once it is committed."""
        collection = valid_name(collection)
        adding = ingest.Ingest(
            self._connection,
            self._lock,
            self._embedder,
            self._max_file_bytes,
            collection,
            self._make_reader(),
        )
        return adding.run(paths, on_progress)

    def add_text(self, source: str, text: str, *, media_type: str = "text/plain") -> None:
        """Add a text that is not a file, under the name ``source``."""
        adding = ingest.Ingest(
            self._connection, self._lock, self._embedder, self._max_file_bytes, "default"
        )
        adding.add_text(Document(source=source, text=text, media_type=media_type))

    def forget(self, paths: Sequence[Path]) -> Receipt:
        """Remove documents, by file or by folder. Raises ``DocumentNotFoundError`` before anything
        is removed when a path is not in the library."""
        with self._lock:
            ids: set[int] = set()
            for path in paths:
                found = self._under(path)
                if not found:
                    raise DocumentNotFoundError(
                        t("library.not_in_library", path=path), t("library.not_in_library_hint")
                    )
                ids.update(found)
            with database.transaction(self._connection) as connection:
                chunks = sum(delete_document(connection, i) for i in ids)
                for path in paths:
                    forget_limits(connection, str(files.absolute(path)))
                bump(connection)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return Receipt(len(ids), chunks)

    def documents(self, *, where: Filter | None = None) -> list[LibraryDocument]:
        """Everything in the library, or what ``where`` lets through, by source."""
        with self._lock:
            text, values = self._checked(where or Filter()).where()
            rows = self._connection.execute(
                "SELECT d.source, d.title, d.media_type, d.size_bytes, d.num_chunks, d.collection, "
                "d.added_at, d.language, d.sensitivity, l.sensitivity FROM documents d "
                f"JOIN labels l ON l.document_id = d.id WHERE {text} ORDER BY d.source",
                values,
            ).fetchall()
        return [LibraryDocument(*row[:-2], *map(Sensitivity, row[-2:])) for row in rows]

    def search(self, query: str, *, limit: int = 10, where: Filter | None = None) -> list[Hit]:
        """The ``limit`` best passages for ``query``, which may hold filters of its own (``in:notes
        after:2025``, see ``query``); empty when nothing matches at all."""
        with self._lock:
            prepared, where = self._prepare(query, where)
            return self._search(prepared, limit, where)

    def evidence(self, question: str, *, where: Filter | None = None) -> Evidence:
        """The sentences that answer ``question``, which may hold filters of its own; no quotes when
        the library does not say."""
        with self._lock:
            query, where = self._prepare(question, where)
            hits = self._search(query, EVIDENCE_HITS, where)
            if not hits:
                return Evidence()
            weights = evidences.term_weights(self._connection, query)
            ranked = evidences.rank_sentences(self._connection, query, weights, hits)
        if not evidences.is_relevant(query, ranked):
            return Evidence(tuple(hits))
        return Evidence(tuple(hits), evidences.quote(ranked, self._evidence_tokens))

    def _search(self, query: Query, limit: int, where: Filter) -> list[Hit]:
        candidates = rank(self._connection, self._vectors.index, query, where)
        hits = read_hits(self._connection, candidates[:limit])
        return under_matching_names(self._connection, where, hits) if where else hits

    def _prepare(self, text: str, where: Filter | None) -> tuple[Query, Filter]:
        text, said = syntax.parse(text)
        where = self._checked(said & where)
        self._vectors.refresh(self._connection)
        return prepare(text, self._embedder), where

    def _checked(self, where: Filter) -> Filter:
        self.collections.check(where.named_collections)
        if where.asks_for_language:
            fill_languages(self._connection)
        return where

    def _under(self, path: Path) -> list[int]:
        source = str(files.absolute(path))
        rows = self._connection.execute(
            "SELECT id FROM documents WHERE source = ? OR substr(source, 1, ?) = ?",
            (source, len(source) + 1, source.rstrip("/") + "/"),
        )
        return [row[0] for row in rows]

"""What was read of a file into the library's rows: new, changed, moved, shared or as it was.

Runs inside the caller's transaction. Raises ``StaleError`` when the library has changed since the
file was read, so that it has to be read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ondol.database import Connection
from ondol.retrieval import analysers, folders, holders, marks, rows
from ondol.retrieval.folders import Folder
from ondol.retrieval.holders import Content
from ondol.retrieval.packed import pack_spans
from ondol.retrieval.reading import Known, Part, Reading
from ondol.retrieval.reports import Outcome
from ondol.retrieval.rows import Packed
from ondol.types import Document


class ChunkKey(NamedTuple):
    """What decides on the vectors of a chunk: its heading, its text and where its sentences are."""

    heading: str
    text: str
    spans: bytes


Vectors = Mapping[ChunkKey, Packed]


class StaleError(Exception):
    """A text that was in the library is there no longer."""


class Stored(NamedTuple):
    """What became of a file, and of how many chunks."""

    outcome: Outcome
    chunks: int
    is_duplicate: bool


class Gone:
    """Documents whose files are no longer where they were; a file with the same content that is new
    in the same run is theirs, moved."""

    def __init__(self, documents: Iterable[tuple[int, str]] = ()) -> None:
        self._sources = dict(documents)
        self._by_content: dict[str, list[int]] | None = None

    def take(self, connection: Connection, document: Document, model: str) -> int | None:
        """A document that is gone and had the content of ``document``, once."""
        if not self._sources:
            return None
        if self._by_content is None:
            self._by_content = {}
            for document_id in self._sources:
                row = connection.execute(
                    "SELECT content_hash FROM documents WHERE id = ?", (document_id,)
                ).fetchone()
                if row:
                    self._by_content.setdefault(row[0], []).append(document_id)
        for document_id in list(self._by_content.get(document.content_hash, ())):
            fits = connection.execute(
                "SELECT 1 FROM documents WHERE id = ? AND source = ? AND content_hash = ? AND "
                "media_type = ? AND collection = ? AND embedding_model = ? "
                "AND (num_chunks > 0 OR duplicate_of IS NOT NULL)",
                (
                    document_id,
                    self._sources[document_id],
                    document.content_hash,
                    document.media_type,
                    document.collection,
                    model,
                ),
            ).fetchone()
            if fits:
                self._by_content[document.content_hash].remove(document_id)
                return document_id
        return None


def label_of(place: Known | Folder) -> tuple[str, int]:
    """Collection and limit."""
    return place.collection, int(place.sensitivity)


def chunk_keys(part: Part) -> list[ChunkKey]:
    """The keys of a part's passages, in order."""
    return [
        ChunkKey(p.chunk.heading, p.chunk.text, pack_spans(p.sentences, p.chunk.start))
        for p in part.passages
    ]


class Store:
    """Writes files with the vectors of ``model``, in one transaction; ``morphemes`` says whether
    the terms that were read hold them."""

    def __init__(
        self, connection: Connection, model: str, gone: Gone, *, morphemes: bool = False
    ) -> None:
        self._connection = connection
        self._model = model
        self._gone = gone
        self._morphemes = morphemes
        # Another process may have reindexed the library since.
        self._wants_morphemes = analysers.settle(connection)
        self._marks_key = marks.key(connection)

    def store(self, reading: Reading, vectors: Vectors) -> Stored:
        """A file with all that it holds, in place of what the library had of it."""
        own, *members = reading.parts
        source = own.document.source
        if members:
            # A part that was forgotten by itself does not come back when its file is read again.
            names = [part.document.source for part in members]
            wanted = folders.without_forgotten(self._connection, names)
            members = [part for part in members if part.document.source in wanted]
        before = dict(
            self._connection.execute(
                "SELECT source, id FROM documents WHERE container = ?", (source,)
            ).fetchall()
        )
        now = {part.document.source for part in members}
        leaving = [(i, name) for name, i in before.items() if name not in now]
        rows.ensure_collection(self._connection, own.document.collection)
        rows.delete_failures(self._connection, source)
        first = self._part(reading, own, vectors, self._gone)
        left = Gone(leaving)
        others = [self._part(reading, part, vectors, left, source) for part in members]
        for document_id, name in leaving:
            self._remove(document_id, name)
        for name, reason in reading.unread:
            self._fail(reading, name, reason)
        outcome = first.outcome
        if outcome == "unchanged" and any(o.outcome != "unchanged" for o in others):
            outcome = "updated"
        return Stored(outcome, sum(s.chunks for s in (first, *others)), first.is_duplicate)

    def fail(self, reading: Reading) -> None:
        """A file that could not be read. What the library had of it goes, unless it may still be
        right."""
        source = printable(reading.job.found.path)
        if not reading.is_lost:
            self.remove(source)
        rows.delete_failures(self._connection, source)
        self._fail(reading, source, reading.reason)

    def touch(self, reading: Reading) -> None:
        """The file was written again with the same content: remember its new time only."""
        job = reading.job
        self._connection.execute(
            "UPDATE documents SET size_bytes = ?, modified_ns = ? WHERE source = ?",
            (*job.found.stamp, job.found.path),
        )
        if job.known is not None and label_of(job.known) != label_of(job.label):
            holders.relabel(self._connection, job.known.id, *label_of(job.label))

    def remove(self, source: str) -> int:
        """Take what the library has of a file out of it; the number of chunks that are gone."""
        row = self._connection.execute(
            "SELECT id FROM documents WHERE source = ?", (source,)
        ).fetchone()
        rows.delete_failures(self._connection, source)
        return rows.delete_document(self._connection, row[0]) if row else 0

    def _remove(self, document_id: int, source: str) -> None:
        """Unless it was moved."""
        row = self._connection.execute(
            "SELECT source FROM documents WHERE id = ?", (document_id,)
        ).fetchone()
        if row and row[0] == source:
            rows.delete_documents(self._connection, [document_id])

    def _fail(self, reading: Reading, source: str, reason: str) -> None:
        found = reading.job.found
        rows.insert_failure(
            self._connection,
            source,
            reading.job.label.collection,
            reason,
            size_bytes=found.size_bytes,
            modified_ns=found.modified_ns,
        )

    def _part(
        self,
        reading: Reading,
        part: Part,
        vectors: Vectors,
        gone: Gone,
        container: str | None = None,
    ) -> Stored:
        document, connection = part.document, self._connection
        found = reading.job.found
        content = Content(
            document.content_hash,
            document.media_type,
            document.collection,
            int(document.sensitivity),
            self._model,
        )
        row = connection.execute(
            "SELECT id, content_hash, media_type, collection, sensitivity, embedding_model, "
            "duplicate_of FROM documents WHERE source = ?",
            (document.source,),
        ).fetchone()
        if row and row[1:6] == content and not reading.job.is_anew:
            connection.execute(
                "UPDATE documents SET size_bytes = ?, modified_ns = ?, container = ? WHERE id = ?",
                (*found.stamp, container, row[0]),
            )
            return Stored("unchanged", 0, row[6] is not None)
        before = row[0] if row else 0
        outcome: Outcome = "updated" if row else "added"
        moved = gone.take(connection, document, self._model) or (
            self._gone.take(connection, document, self._model) if gone is not self._gone else None
        )
        if moved is not None and moved != before:
            self._move(moved, before, part, reading, container)
            duplicate = connection.execute(
                "SELECT duplicate_of FROM documents WHERE id = ?", (moved,)
            ).fetchone()
            return Stored("updated" if row else "moved", 0, duplicate[0] is not None)
        holder = holders.find(connection, content, but=before)
        keys = [] if holder else chunk_keys(part)
        if holder is None and (part.is_twin or not all(key in vectors for key in keys)):
            raise StaleError(document.source)
        if before:
            rows.delete_documents(connection, [before])
        document_id = rows.insert_document(
            connection,
            document,
            size_bytes=found.size_bytes,
            modified_ns=found.modified_ns,
            num_chunks=len(keys),
            embedding_model=self._model,
            container=container,
            duplicate_of=holder,
            language=part.language,
        )
        packed = marks.pack([key.text for key in keys], self._marks_key)
        terms = self._terms(part)
        for passage, words, key, one in zip(part.passages, terms, keys, packed, strict=False):
            rows.insert_chunk(connection, document_id, passage, words, vectors[key], one)
        return Stored(outcome, len(keys), holder is not None)

    def _terms(self, part: Part) -> Sequence[str]:
        """The terms of a part's chunks as the library wants them now."""
        source, chunks = part.document.source, [passage.chunk for passage in part.passages]
        if not self._wants_morphemes:
            analysers.note_plain(self._connection, [source, *(chunk.text for chunk in chunks)])
        if self._morphemes == self._wants_morphemes:
            return part.terms
        return [
            rows.chunk_terms(source, c.heading, c.text, morphemes=self._wants_morphemes)
            for c in chunks
        ]

    def _move(
        self, document_id: int, before: int, part: Part, reading: Reading, container: str | None
    ) -> None:
        document, found = part.document, reading.job.found
        if before:
            rows.delete_documents(self._connection, [before])
        holders.move(
            self._connection,
            document_id,
            document.source,
            title=document.title,
            size_bytes=found.size_bytes,
            modified_ns=found.modified_ns,
            container=container,
        )
        # Its own limit goes with it; the place it is at now may be stricter, and never looser.
        self._connection.execute(
            "UPDATE documents SET sensitivity = min(sensitivity, ?) WHERE id = ?",
            (int(document.sensitivity), document_id),
        )


def printable(path: str) -> str:
    """``path`` as the database can keep it: bytes that are no text are escaped."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")

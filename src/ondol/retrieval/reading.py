"""Files to what the library stores of them, one after the other in a thread of its own, so that
files are read while others are being embedded.

Text that the library has already is not chunked again, and a file of an expensive kind not even
parsed. Never raises for a file: a ``Reading`` says what is wrong with it.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
import unicodedata
from collections.abc import Callable, Generator, Iterable
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from queue import Full, Queue
from typing import NamedTuple, Protocol

from ondol.errors import DocumentError
from ondol.retrieval import chunking, loaders, rows
from ondol.retrieval.chunking import Passage
from ondol.retrieval.files import Found, Stamp
from ondol.retrieval.folders import Folder
from ondol.retrieval.language_codes import language_code
from ondol.retrieval.loaders import contents, media_types
from ondol.types import Document

AHEAD = 128
# Below this size it is as quick to parse a file as to find out whether that is needed.
CHEAP_BYTES = 64 << 10
# A file that changes while it is read is read again, after a moment.
ATTEMPTS = 4
MOMENT_SECONDS = 0.2


class Known(NamedTuple):
    """What the library has of a file."""

    id: int
    stamp: Stamp
    content_hash: str
    collection: str
    sensitivity: int
    embedding_model: str


class Twin(NamedTuple):
    """A document in the library that has the content of the one that is read."""

    source: str
    title: str
    language: str


class FileReader(Protocol):
    """``loaders.load``, or the same in a child process."""

    def load(self, path: Path, *, max_bytes: int) -> Document: ...


FindTwin = Callable[[str, str, str], Twin | None]
"""From content hash, media type and collection."""


@dataclass(frozen=True, slots=True)
class Job:
    """A file to read under the label of its folder; ``is_anew`` though its content may be known."""

    found: Found
    label: Folder
    known: Known | None = None
    is_anew: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A document with its passages and the terms of each; ``is_twin`` has none, because the library
    has them."""

    document: Document
    passages: tuple[Passage, ...] = ()
    terms: tuple[str, ...] = ()
    language: str = ""
    is_twin: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found in a file: its own document and then its members, or ``reason``: why there is
    nothing. ``is_same``: its content is as the library has it. ``is_lost``: it could not even be
    opened, so that what the library has may still be right."""

    job: Job
    parts: tuple[Part, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    is_same: bool = False
    is_lost: bool = False

    @property
    def num_chunks(self) -> int:
        return sum(len(part.passages) for part in self.parts)


class Desk:
    """Where files are read, with ``reader``; ``find_twin`` looks into the library.
    ``morphemes`` says whether terms are made with them."""

    def __init__(
        self, reader: FileReader, max_bytes: int, find_twin: FindTwin, *, morphemes: bool = False
    ) -> None:
        self.morphemes = morphemes
        self._reader = reader
        self._max_bytes = max_bytes
        self._find_twin = find_twin

    def read(self, job: Job) -> Reading:
        """The file as it is now; one that is being written gets a moment to be finished."""
        for attempt in range(ATTEMPTS):
            before = _stamp(job.found.path)
            if before is not None:
                size_bytes, modified_ns = before
                found = job.found._replace(size_bytes=size_bytes, modified_ns=modified_ns)
                job = replace(job, found=found)
            reading = self._read(job)
            if before is None or before == _stamp(job.found.path):
                break
            if attempt < ATTEMPTS - 1:
                time.sleep(MOMENT_SECONDS)
        return reading

    def _read(self, job: Job) -> Reading:
        path = Path(job.found.path)
        if job.found.reason:
            return Reading(job, reason=job.found.reason)
        try:
            if not job.is_anew and (job.known or job.found.size_bytes > CHEAP_BYTES):
                data = contents.read(path, max_bytes=self._max_bytes)
                content_hash = hashlib.sha256(data).hexdigest()
                if job.known and job.known.content_hash == content_hash:
                    return Reading(job, is_same=True)
                twin = self._without_parsing(job, path, content_hash)
                if twin is not None:
                    return Reading(job, (twin,))
            document = self._reader.load(path, max_bytes=self._max_bytes)
        except DocumentError as error:
            is_lost = isinstance(error.__cause__, OSError)
            return Reading(job, reason=error.message, is_lost=is_lost)
        if job.known and not job.is_anew and job.known.content_hash == document.content_hash:
            return Reading(job, is_same=True)
        return self.reading(job, document)

    def reading(self, job: Job, document: Document) -> Reading:
        """A document that has been read, with its members."""
        parts = [self._part(job, replace(document, source=job.found.path, members=()))]
        parts += [self._part(job, member) for member in document.members]
        return Reading(job, tuple(parts), document.skipped)

    def _part(self, job: Job, document: Document) -> Part:
        label = job.label
        document = replace(document, collection=label.collection, sensitivity=label.sensitivity)
        if not job.is_anew:
            kind, content_hash = document.media_type, document.content_hash
            twin = self._find_twin(content_hash, kind, label.collection)
            if twin is not None:
                return Part(replace(document, text=""), language=twin.language, is_twin=True)
        passages = tuple(chunking.chunk(document))
        terms = tuple(
            rows.chunk_terms(
                document.source,
                passage.chunk.heading,
                passage.chunk.text,
                morphemes=self.morphemes,
            )
            for passage in passages
        )
        return Part(replace(document, text=""), passages, terms, language_code(document.text))

    def _without_parsing(self, job: Job, path: Path, content_hash: str) -> Part | None:
        """The file's part when the library has its content, of a kind that is worth the look."""
        kind = loaders.media_type(path)
        if kind is None or kind.startswith("text/") or kind in media_types.CONTAINERS:
            return None
        label = job.label
        twin = self._find_twin(content_hash, kind, label.collection)
        if twin is None:
            return None
        stem = _stem(twin.source)
        document = Document(
            source=job.found.path,
            text="",
            media_type=kind,
            title=_stem(job.found.path) if twin.title == stem else twin.title,
            content_hash=content_hash,
            collection=label.collection,
            sensitivity=label.sensitivity,
        )
        return Part(document, language=twin.language, is_twin=True)


def read_ahead(
    jobs: Iterable[Job], read: Callable[[Job], Reading]
) -> Generator[Reading, None, None]:
    """The readings of ``jobs``, in order; close the iterator to end its thread."""
    ready: Queue[Reading | BaseException | None] = Queue(AHEAD)
    stopped = threading.Event()

    def put(item: Reading | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except Full:
                continue

    def work() -> None:
        try:
            for job in jobs:
                if stopped.is_set():
                    return
                put(read(job))
            put(None)
        except BaseException as error:  # whoever takes the readings raises it
            put(error)

    # Sentences are in the language of the request that this thread works for.
    thread = threading.Thread(target=copy_context().run, args=(work,), daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        # A file that takes long to parse is not waited for: its result goes nowhere.
        thread.join(timeout=1.0)


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _stem(source: str) -> str:
    """The title of a document that names itself after its file."""
    return unicodedata.normalize("NFC", " ".join(PurePosixPath(source).stem.split()))

"""The owner's library: what comes into it, what is in it, and what leaves it.

What it knows about a question is ``searcher``'s. Safe to use from several threads and while another
process writes. Raises ``DocumentError`` families; never touches the source files.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from ondol import database, erasing
from ondol.errors import OndolError
from ondol.retrieval import attaching, files, folders, forgetting, ingest, private_text
from ondol.retrieval.collections import Collections, valid_name
from ondol.retrieval.embedders import Embedders
from ondol.retrieval.embedding import PassageVectors
from ondol.retrieval.filters import Filter
from ondol.retrieval.folders import FailedFile, Folder
from ondol.retrieval.forgetting import Chosen, Receipt
from ondol.retrieval.inventory import Inventory, LibraryDocument
from ondol.retrieval.loaders.isolation import Reader
from ondol.retrieval.pins import Pins
from ondol.retrieval.reembedding import Reembedding, ReembedReport
from ondol.retrieval.reindexing import Reindexed, Reindexing
from ondol.retrieval.searcher import Searcher
from ondol.retrieval.sentences import Span
from ondol.retrieval.sync import Sync
from ondol.retrieval.vectors.current import CurrentVectors
from ondol.retrieval.vectors.kept import Verified
from ondol.retrieval.vectors.opening import Opener
from ondol.retrieval.viewing import Viewer
from ondol.types import Document, Embedder, Evidence, Hit, Message, Reranker, Sensitivity


class PassageEmbedder(Embedder, Protocol):
    """An embedder that also gives every sentence of a passage a vector."""

    def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[PassageVectors]: ...

    def can_read(self, text: str) -> bool: ...


class Library:
    """Documents in one database file (or in memory), searched with one embedder."""

    def __init__(
        self,
        file: Path,
        embedder: PassageEmbedder | Embedders,
        *,
        evidence_tokens: int = 200,
        max_file_bytes: int = 64 << 20,
        make_reader: Callable[[], Reader] = Reader,
        opener: Opener | None = None,
        open_reranker: Callable[[], Reranker | None] = lambda: None,
    ) -> None:
        if not isinstance(embedder, Embedders):
            embedder = Embedders.only(embedder)
        self._vectors = CurrentVectors(embedder, opener or Opener())
        self._max_file_bytes = max_file_bytes
        self._make_reader = make_reader
        self._connection = database.connect(file)
        # A forgetting that was interrupted.
        erasing.finish(self._connection, is_patient=False)
        self._lock = threading.RLock()
        self.collections = Collections(self._connection, self._lock)
        self.find_private = private_text.PrivateText(self._connection, self._lock).find
        self.viewer = Viewer(self._connection, self._lock, make_reader, max_bytes=max_file_bytes)
        self._searcher = Searcher(
            self._connection,
            self._lock,
            self._vectors,
            self.collections,
            evidence_tokens=evidence_tokens,
            open_reranker=open_reranker,
        )
        self.inventory = Inventory(self._connection, self._lock, self._searcher.check)
        self.pins = Pins(self._connection, self._lock, self.inventory, self.viewer)

    def close(self) -> None:
        with self._lock:
            self._vectors.close()
            self._connection.close()

    def add(
        self,
        paths: Sequence[Path],
        *,
        collection: str | None = None,
        sensitivity: Sensitivity | None = None,
        watch: bool | None = None,
        on_progress: Callable[[ingest.Progress], None] | None = None,
    ) -> ingest.AddReport:
        """Add or update files and folders, and remember them for ``sync``. What is unchanged costs
        nothing; what is broken is reported and skipped. A file counts as added once it is
        committed.

        ``collection``, ``sensitivity`` (the limit of the files in ``paths``) and ``watch`` (whether
        a server follows them) stay as they were remembered when they are not given.
        """
        collection = None if collection is None else valid_name(collection)
        wanted = [files.absolute(path) for path in paths]
        names = [str(path) for path in wanted]

        def remember(connection: database.Connection) -> None:
            folders.remember(
                connection, names, collection=collection, sensitivity=sensitivity, watch=watch
            )

        with self._adding(on_progress) as adding:
            return Sync(self._connection, self._lock, adding).add(wanted, remember)

    def sync(
        self,
        paths: Sequence[Path] = (),
        *,
        retry: bool = False,
        settle_seconds: float = 0.0,
        on_progress: Callable[[ingest.Progress], None] | None = None,
        wait: Callable[[], None] = lambda: None,
    ) -> ingest.AddReport:
        """Follow what happened to everything that was added, or to the remembered folders that hold
        ``paths`` or lie in them: new, edited, renamed, moved and deleted files. ``retry`` reads
        again what failed; files that changed in the last ``settle_seconds`` are left for later;
        ``wait`` is called before every piece of hard work.

        Raises ``DocumentNotFoundError`` for a path in no remembered folder.
        """
        remembered = self.folders(paths)
        with self._adding(on_progress, wait) as adding:
            return Sync(self._connection, self._lock, adding).sync(
                remembered, retry=retry, settle_seconds=settle_seconds
            )

    def folders(self, paths: Sequence[Path] = ()) -> list[Folder]:
        """The files and folders that were added, by path; with ``paths`` as ``sync`` takes them."""
        wanted = [str(files.absolute(path)) for path in paths]
        with self._lock:
            return folders.chosen(self._connection, wanted)

    def failures(self) -> list[FailedFile]:
        """What is not in the library, and why, by source."""
        with self._lock:
            return folders.failures(self._connection)

    def add_text(self, source: str, text: str, *, media_type: str = "text/plain") -> None:
        """Add a text that is not a file, under the name ``source``."""
        with self._adding() as adding:
            adding.add_text(Document(source=source, text=text, media_type=media_type))

    def attach(self, file: Path, conversation: str) -> str:
        """Add ``file`` for one conversation alone (see ``sight``); why it could not be read, or
        ""."""
        with self._adding() as adding:
            return attaching.attach(self._connection, self._lock, adding, file, conversation)

    def reembed(
        self,
        model: str = "",
        *,
        on_progress: Callable[[int, int], None] = lambda completed, total: None,
        wait: Callable[[], None] = lambda: None,
    ) -> ReembedReport:
        """Take another embedding ``model``, that of the settings by default, into use. Searches go
        on with the old one until all is embedded; a run that was killed goes on where it was."""
        embedder = self._vectors.embedders.get(model or self._vectors.embedders.wanted)
        again = Reembedding(
            self._connection, self._lock, embedder, on_progress=on_progress, wait=wait
        )
        return again.run()

    def reindex(
        self, on_progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Reindexed:
        """Make the keyword terms with the Korean analyser that is installed, or without one."""
        return Reindexing(self._connection, self._lock, on_progress).run()

    def move(self, opener: Opener) -> Verified:
        """Take the vectors to another place, compare them, and use them there."""
        with self._lock:
            return self._vectors.move(self._connection, opener)

    def leave(self, opener: Opener) -> None:
        """Delete the vectors at a place that they were moved from."""
        with self._lock:
            self._vectors.leave(self._connection, opener)

    @contextmanager
    def _adding(
        self,
        on_progress: Callable[[ingest.Progress], None] | None = None,
        wait: Callable[[], None] = lambda: None,
    ) -> Iterator[ingest.Ingest]:
        with self._lock:
            embedder = self._vectors.embedder_for_adding(self._connection)
        with self._make_reader() as reader:
            yield ingest.Ingest(
                self._connection,
                self._lock,
                embedder,
                reader,
                self._max_file_bytes,
                on_progress=on_progress,
                wait=wait,
            )
        with self._lock:
            self._vectors.follow(self._connection)
            now = self._vectors.embedder(self._connection)
        if now.model != embedder.model:
            # The model was switched in the meantime: what came last has the vectors of the old one.
            self.reembed(now.model, wait=wait)

    def forget(
        self, paths: Sequence[Path] = (), *, where: Filter | None = None, matching: str = ""
    ) -> Receipt:
        """Remove the documents in ``paths`` (or everywhere) that pass ``where`` and hold the words
        ``matching``, down to their bytes. Raises ``DocumentNotFoundError`` before anything is
        removed when a path is not in the library."""
        with self._lock:
            chosen = self.chosen(paths, where=where, matching=matching)
            receipt = forgetting.forget(self._connection, self._lock, chosen)
            try:
                self._vectors.follow(self._connection)
            except OndolError:
                # They follow as soon as somebody searches while their place can be reached.
                receipt = replace(receipt, is_place_reached=False)
        return receipt

    def chosen(
        self, paths: Sequence[Path] = (), *, where: Filter | None = None, matching: str = ""
    ) -> Chosen:
        """What ``forget`` would remove."""
        with self._lock:
            where = self._searcher.check(where or Filter())
            return forgetting.choose(self._connection, paths, where, matching)

    def sentences(self, chosen: Chosen) -> set[str]:
        """What is about to be forgotten, to look for it elsewhere."""
        with self._lock:
            return forgetting.sentences(self._connection, chosen)

    def documents(self, *, where: Filter | None = None) -> list[LibraryDocument]:
        """Everything in the library, or what ``where`` lets through, by source."""
        return self.inventory.documents(where)

    def holds(self, sources: Collection[str]) -> set[str]:
        """Those of ``sources`` that are in the library, whoever may see them."""
        with self._lock:
            found = self._connection.execute(
                "SELECT d.source FROM json_each(?) JOIN documents d ON d.source = value",
                (json.dumps(sorted(sources)),),
            ).fetchall()
        return {source for (source,) in found}

    def search(self, query: str, *, limit: int = 10, where: Filter | None = None) -> list[Hit]:
        """The ``limit`` best passages for ``query``, which may hold filters of its own (``in:notes
        after:2025``, see ``query``); empty when nothing matches at all."""
        return self._searcher.search(query, limit=limit, where=where)

    def search_all(self, query: str, *, where: Filter | None = None) -> list[Hit]:
        """Every passage that matches ``query``, however many, best first."""
        return self._searcher.search_all(query, where=where)

    def evidence(
        self, question: str, *, where: Filter | None = None, history: Sequence[Message] = ()
    ) -> Evidence:
        """The sentences that answer ``question``, which may hold filters of its own and point back
        at ``history``; no quotes when the library does not say."""
        return self._searcher.evidence(question, where=where, history=history)

    def listing(self, question: str, *, where: Filter | None = None) -> Evidence:
        """Everything that ``question`` asks for, each item quoted once, document by document."""
        return self._searcher.listing(question, where=where)

    def asks_for_all(self, question: str) -> bool:
        """Whether ``question`` wants everything that fits ("list all …")."""
        return self._searcher.asks_for_all(question)

    def follows_up(self, question: str) -> bool:
        """Whether ``question`` points back at what was said before it."""
        return self._searcher.follows_up(question)

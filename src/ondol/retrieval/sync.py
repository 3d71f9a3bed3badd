"""The library brought up to what the disk has: looks at files and folders, decides what each file
needs, and takes out what is no longer there.

Every step is a transaction of its own that leaves a whole library, so a run may be killed anywhere
and repeated. Nothing is taken out of a folder that is missing as a whole, or cannot be opened.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ondol import database
from ondol.database import Connection
from ondol.retrieval import files, folders, holders, programs, rows, sight
from ondol.retrieval.files import Found, Stamp
from ondol.retrieval.folders import Folder, Labels
from ondol.retrieval.ingest import Ingest
from ondol.retrieval.reading import Job, Known
from ondol.retrieval.reports import AddReport
from ondol.retrieval.storing import Gone, label_of, printable

# Documents that are changed in one transaction where nothing is read.
BATCH_DOCUMENTS = 200

# A failure as it is remembered: the file's stamp then, and the reason.
Failed = tuple[Stamp, str]


@dataclass(slots=True)
class _Plan:
    """What has to be done, and what is known to be so already."""

    jobs: list[Job] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    relabelled: list[tuple[Known, str, Folder]] = field(default_factory=list)


class Sync:
    """One run, with an ``Ingest`` of its own."""

    def __init__(self, connection: Connection, lock: threading.RLock, ingest: Ingest) -> None:
        self._connection = connection
        self._lock = lock
        self._ingest = ingest
        self._tally = ingest.tally
        self._known: dict[str, Known] = {}
        self._failures: dict[str, Failed] = {}
        self._failing: set[str] = set()
        self._unopened: list[str] = []
        self._over: list[str] = []
        self._hidden: set[str] = set()
        self._settle_ns = 0

    def add(self, paths: Sequence[Path], remember: Callable[[Connection], None]) -> AddReport:
        """Add what is in ``paths`` and take nothing out; ``remember`` writes them down first, when
        they have turned out to be there."""
        self._read_known([str(path) for path in paths])
        found = self._scan(paths)
        with self._lock, database.transaction(self._connection) as connection:
            remember(connection)
            folders.welcome(connection, [str(path) for path in paths])
            folders.welcome(connection, [one.path for one in found])
            labels = Labels.read(connection)
        named = {str(path) for path in paths}
        self._run(found, labels, [], retried=lambda path: path in named)
        self._let_go([str(path) for path in paths if files.is_no_document(path)])
        return self._tally.report()

    def sync(
        self, remembered: Sequence[Folder], *, retry: bool = False, settle_seconds: float = 0.0
    ) -> AddReport:
        """Bring everything in ``remembered`` up to date, and take out what is gone. Files that
        changed within the last ``settle_seconds`` are left for later."""
        self._settle_ns = int(settle_seconds * 1e9)
        self._read_known([folder.path for folder in remembered])
        present, missing = self._look_for(remembered)
        found = self._scan([Path(folder.path) for folder in present])
        with self._lock:
            labels = Labels.read(self._connection)
            wanted = folders.without_forgotten(self._connection, [one.path for one in found])
        found = [one for one in found if one.path in wanted]
        gone = self._gone({printable(one.path) for one in found}, missing)
        self._tally.missing = tuple(missing)
        with self._lock:
            is_retried = retry or bool(self._failures and programs.has_new(self._connection))
        self._run(found, labels, gone, retried=lambda path: is_retried)
        self._note_mounts(present)
        return self._tally.report()

    def _let_go(self, paths: Sequence[str]) -> None:
        """There is nothing to follow in what no reader could ever read; it was named, and why it
        was left out has been said."""
        if paths:
            with self._lock, database.transaction(self._connection) as connection:
                for path in paths:
                    folders.let_go(connection, path)

    def _scan(self, paths: Sequence[Path]) -> list[Found]:
        known = {path: known.stamp for path, known in self._known.items()}
        known.update({path: stamp for path, (stamp, _) in self._failures.items()})

        def on_skip(path: Path, reason: str) -> None:
            self._unopened.append(str(path))
            skipped.append((str(path), reason))

        skipped: list[tuple[str, str]] = []
        every = files.scan(paths, on_skip=on_skip, known=known)
        found = [one for one in every if one.path not in self._hidden]
        self._tally.total = len(found) + len(skipped)
        for path, reason in skipped:
            self._tally.done(printable(path), "failed", reason)
        return found

    def _read_known(self, paths: Iterable[str]) -> None:
        """What the library has in ``paths``: one question for each of them, not for each file."""
        with self._lock:
            for path in map(printable, paths):
                bounds = (path, *rows.inside(path))
                for source, i, size, modified, *rest in self._connection.execute(
                    "SELECT source, id, size_bytes, modified_ns, content_hash, collection, "
                    "sensitivity, embedding_model FROM documents WHERE container IS NULL AND "
                    "(source = ? OR (source > ? AND source < ?))",
                    bounds,
                ):
                    self._known[source] = Known(i, (size, modified), *rest)
                for source, reason, size, modified in self._connection.execute(
                    "SELECT source, reason, size_bytes, modified_ns FROM failures "
                    "WHERE source = ? OR (source > ? AND source < ?)",
                    bounds,
                ):
                    self._failures[source] = (size, modified), reason
            # The files of a conversation are read for that one alone, wherever they are met.
            self._hidden = sight.sources(self._connection)
        self._known = {path: one for path, one in self._known.items() if path not in self._hidden}
        for source in self._failures:
            self._failing.update(folders.steps(source))

    def _look_for(self, remembered: Sequence[Folder]) -> tuple[list[Folder], list[str]]:
        """The folders that are there, and those that are missing as a whole. A file that was added
        by itself and is gone from a folder that is there, is just gone."""
        present, missing = [], []
        for folder in remembered:
            if not folders.is_missing(folder):
                present.append(folder)
                continue
            above = Folder(os.path.dirname(folder.path), mount=folder.mount)
            is_file = folder.path in self._known or folder.path in self._failures
            if not (is_file and not folders.is_missing(above)) and self._has_any(folder.path):
                missing.append(folder.path)
        return present, missing

    def _has_any(self, path: str) -> bool:
        begin, end = rows.inside(path)
        return any(
            source == path or begin < source < end for source in (*self._known, *self._failures)
        )

    def _gone(self, found: set[str], missing: Sequence[str]) -> list[tuple[int, str]]:
        """Documents whose files are not there any more, though they could be seen if they were."""
        is_kept = _within([*missing, *self._unopened])
        gone = [
            (known.id, source)
            for source, known in self._known.items()
            if source not in found and not is_kept(source)
        ]
        lost = {source for _, source in gone}
        self._over = [
            source
            for source in self._failures
            if not is_kept(source)
            and not any(step in found or step in lost for step in folders.steps(source))
        ]
        self._tally.total += len(gone)
        return gone

    def _run(
        self,
        found: Sequence[Found],
        labels: Labels,
        gone: Sequence[tuple[int, str]],
        *,
        retried: Callable[[str], bool],
    ) -> None:
        plan = self._plan(found, labels, retried)
        for path in plan.unchanged:
            self._tally.done(path, "unchanged")
        for path, reason in plan.failed:
            self._tally.done(path, "failed", reason, is_new=False)
        self._relabel(plan.relabelled)
        if plan.jobs:
            self._ingest.run(plan.jobs, Gone(self._with_members(gone)))
        self._remove(gone)
        with self._lock:
            programs.note(self._connection)
        report = self._tally.report()
        if report.removed or report.updated or report.moved:
            with self._lock:
                # What is no longer in the library is not in its journal either.
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _plan(
        self, found: Sequence[Found], labels: Labels, retried: Callable[[str], bool]
    ) -> _Plan:
        plan = _Plan()
        model, now_ns = self._ingest.model, time.time_ns()
        for one in found:
            path = printable(one.path)
            label = labels.of(one.path) or Folder(one.path)
            known, failed = self._known.get(path), self._failures.get(path)
            is_retried = path in self._failing and retried(path)
            if known and known.stamp == one.stamp and known.embedding_model == model:
                if is_retried:
                    plan.jobs.append(Job(one, label, known, is_anew=True))
                elif label_of(known) != label_of(label):
                    plan.relabelled.append((known, path, label))
                else:
                    plan.unchanged.append(path)
            elif failed and failed[0] == one.stamp and not is_retried:
                plan.failed.append((path, failed[1]))
            elif 0 <= now_ns - one.modified_ns < self._settle_ns:
                self._tally.waiting.append(path)
                self._tally.total -= 1
            else:
                is_anew = known is not None and known.embedding_model != model
                plan.jobs.append(Job(one, label, known, is_anew or is_retried))
        return plan

    def _relabel(self, relabelled: Sequence[tuple[Known, str, Folder]]) -> None:
        for some in _batches(relabelled):
            with self._lock, database.transaction(self._connection) as connection:
                for known, _, label in some:
                    rows.ensure_collection(connection, label.collection)
                    holders.relabel(connection, known.id, *label_of(label))
                rows.bump(connection)
            for _, path, _ in some:
                self._tally.done(path, "updated")

    def _with_members(self, gone: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
        found = list(gone)
        with self._lock:
            for _, source in gone:
                found += self._connection.execute(
                    "SELECT id, source FROM documents WHERE container = ?", (source,)
                ).fetchall()
        return found

    def _remove(self, gone: Sequence[tuple[int, str]]) -> None:
        """Take out what is gone. What was moved in this run is called otherwise now."""
        for some in _batches(gone):
            with self._lock, database.transaction(self._connection) as connection:
                left = [
                    (document_id, source)
                    for document_id, source in some
                    if connection.execute(
                        "SELECT 1 FROM documents WHERE id = ? AND source = ?", (document_id, source)
                    ).fetchone()
                ]
                for document_id, _ in left:
                    rows.delete_document(connection, document_id)
                for _, source in some:
                    rows.delete_failures(connection, source)
                rows.bump(connection)
            self._tally.total -= len(some) - len(left)
            for _, source in left:
                self._tally.done(source, "removed")
        if self._over:
            with self._lock, database.transaction(self._connection) as connection:
                for source in self._over:
                    rows.delete_failures(connection, source)

    def _note_mounts(self, present: Sequence[Folder]) -> None:
        changed = [
            (mount, folder.path)
            for folder in present
            if (mount := folders.mount_of(folder.path)) != folder.mount
        ]
        if changed:
            with self._lock, database.transaction(self._connection) as connection:
                connection.executemany("UPDATE folders SET mount = ? WHERE path = ?", changed)


def _within(paths: Sequence[str]) -> Callable[[str], bool]:
    """Whether a source is one of ``paths`` or lies in one."""
    whole, begins = set(paths), tuple(f"{path.rstrip('/')}/" for path in paths)
    return lambda source: source in whole or source.startswith(begins)


T = TypeVar("T")


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for begin in range(0, len(items), BATCH_DOCUMENTS):
        yield items[begin : begin + BATCH_DOCUMENTS]

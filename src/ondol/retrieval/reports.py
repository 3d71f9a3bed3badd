"""What became of the files: one by one while a run goes on, and all together at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["added", "updated", "moved", "unchanged", "removed", "failed"]


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
    """A file, or a part of one, that is not in the library, and why; ``is_new`` unless it was known
    before and has not changed."""

    source: str
    reason: str
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class AddReport:
    """What became of every file. ``duplicates`` of those added, updated or moved are word for word
    like another one; ``missing`` are followed folders that are not there as a whole, ``waiting``
    files that are being written."""

    added: int
    updated: int
    unchanged: int
    failed: tuple[Failure, ...]
    chunks: int
    moved: int = 0
    removed: int = 0
    duplicates: int = 0
    missing: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()

    @property
    def has_changes(self) -> bool:
        """Whether the library is not as it was."""
        return bool(self.added or self.updated or self.moved or self.removed)


class Tally:
    """Counts what is done and tells who watches."""

    def __init__(self, on_progress: Callable[[Progress], None] | None = None) -> None:
        self.total = 0
        self.chunks = 0
        self.duplicates = 0
        self.missing: tuple[str, ...] = ()
        self.waiting: list[str] = []
        self._completed = 0
        self._counts: dict[str, int] = {}
        self._failures: list[Failure] = []
        self._on_progress = on_progress

    def done(self, source: str, outcome: Outcome, reason: str = "", *, is_new: bool = True) -> None:
        """A file is done."""
        self._completed += 1
        self._counts[outcome] = self._counts.get(outcome, 0) + 1
        if outcome == "failed":
            self._failures.append(Failure(source, reason, is_new))
        if self._on_progress is not None:
            self._on_progress(Progress(source, outcome, self._completed, self.total, reason))

    def part_failed(self, source: str, reason: str) -> None:
        """A part of a file could not be read; the file itself counts elsewhere."""
        self._failures.append(Failure(source, reason))

    def report(self) -> AddReport:
        """All of it."""
        count = self._counts.get
        return AddReport(
            added=count("added", 0),
            updated=count("updated", 0),
            unchanged=count("unchanged", 0),
            failed=tuple(self._failures),
            chunks=self.chunks,
            moved=count("moved", 0),
            removed=count("removed", 0),
            duplicates=self.duplicates,
            missing=self.missing,
            waiting=tuple(self.waiting),
        )

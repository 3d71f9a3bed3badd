"""Adding and syncing files with a progress bar on stderr, and the failures as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ondol.cli.output import Output, place
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.retrieval.library import Library
    from ondol.retrieval.reports import AddReport, Progress
    from ondol.types import Sensitivity

OUTCOMES = ("added", "updated", "moved", "removed", "unchanged")


def add_with_progress(
    library: Library,
    paths: Sequence[Path],
    output: Output,
    collection: str | None = None,
    *,
    sensitivity: Sensitivity | None = None,
    watch: bool | None = None,
) -> AddReport:
    """``library.add`` for somebody who watches; every file that was skipped is noted with why."""
    report = _with_bar(
        output,
        lambda show: library.add(
            paths, collection=collection, sensitivity=sensitivity, watch=watch, on_progress=show
        ),
    )
    for failure in report.failed:
        output.warn(t("cli.skipped", source=place(failure.source), reason=failure.reason))
    return report


def sync_with_progress(
    library: Library, paths: Sequence[Path], output: Output, *, retry: bool
) -> AddReport:
    """``library.sync`` for somebody who watches; what failed before and has not changed is only
    counted."""
    report = _with_bar(output, lambda show: library.sync(paths, retry=retry, on_progress=show))
    warn_of(report, output)
    return report


def warn_of(report: AddReport, output: Output) -> None:
    """What is new of what could not be done."""
    for path in report.missing:
        output.warn(t("sync.missing", path=path))
    for failure in report.failed:
        if failure.is_new:
            output.warn(t("cli.skipped", source=place(failure.source), reason=failure.reason))
    if not all(failure.is_new for failure in report.failed):
        output.note(t("sync.failed_before"))


def summary(report: AddReport) -> str:
    """What became of the files, in one line."""
    counts = {name: getattr(report, name) for name in OUTCOMES}
    parts = [t(_COUNTS[name], count=count) for name, count in counts.items() if count]
    if report.duplicates:
        parts.append(t("sync.count_duplicates", count=report.duplicates))
    if report.failed:
        parts.append(t("cli.count_skipped", count=len(report.failed)))
    return ", ".join(parts) or t("cli.no_files")


_COUNTS = {
    "added": "cli.count_added",
    "updated": "cli.count_updated",
    "moved": "sync.count_moved",
    "removed": "sync.count_removed",
    "unchanged": "cli.count_unchanged",
}


def _with_bar(output: Output, work: Callable[[Callable[[Progress], None]], AddReport]) -> AddReport:
    with output.bar(None, unit="file", desc=t("cli.reading")) as bar:

        def show(progress: Progress) -> None:
            bar.total = progress.total
            bar.update(progress.completed - bar.n)

        return work(show)

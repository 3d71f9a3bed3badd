"""Adding files with a progress bar on stderr, and the failures as they come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ondol.cli.output import Output, place
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.retrieval.ingest import AddReport, Progress
    from ondol.retrieval.library import Library


def add_with_progress(
    library: Library, paths: Sequence[Path], output: Output, collection: str = "default"
) -> AddReport:
    """``library.add`` for somebody who watches; every file that was skipped is noted with why."""
    with output.bar(None, unit="file", desc=t("cli.reading")) as bar:

        def show(progress: Progress) -> None:
            bar.total = progress.total
            bar.update(progress.completed - bar.n)

        report = library.add(paths, collection=collection, on_progress=show)
    for failure in report.failed:
        output.warn(t("cli.skipped", source=place(failure.source), reason=failure.reason))
    return report

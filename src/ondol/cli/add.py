"""``ondol add`` and ``ondol sync``: files into the library, and the library after the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli.command import F, PathName, command, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.errors import DocumentError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.parts import Parts
    from ondol.retrieval.reports import AddReport

SENSITIVITIES = ("private", "trusted", "public")


def _paths(*, required: bool) -> Callable[[F], F]:
    metavar = "PATH..." if required else "[PATH...]"
    kind = PathName()
    return click.argument("paths", nargs=-1, required=required, metavar=metavar, type=kind)


@command("add")
@_paths(required=True)
@option("--collection", key="collection", metavar="NAME")
@option("--sensitivity", key="add_sensitivity", type=click.Choice(SENSITIVITIES))
@option("--watch/--no-watch", key="watch", default=None)
@pass_output
def add(
    output: Output,
    paths: tuple[Path, ...],
    collection: str | None,
    sensitivity: str | None,
    watch: bool | None,
) -> None:
    from ondol.cli.ingesting import add_with_progress, summary
    from ondol.types import Sensitivity

    limit = Sensitivity[sensitivity.upper()] if sensitivity else None
    with house(output) as parts:
        report = add_with_progress(
            parts.library, paths, output, collection, sensitivity=limit, watch=watch
        )
        is_in_vain = bool(report.failed) and not (report.has_changes or report.unchanged)
        if output.json:
            output.emit(asdict(report))
        else:
            output.line(summary(report))
        if watch and (followed := _followed(parts, paths)):
            _follow(parts, followed, output)
            return
    if is_in_vain and output.json:
        click.get_current_context().exit(DocumentError.exit_code)
    if is_in_vain:
        raise nothing_read(paths)
    if report.has_changes or report.unchanged:
        output.note(t("cli.add_hint"))


@command("sync")
@_paths(required=False)
@option("--retry", key="retry", is_flag=True)
@option("--watch", key="follow", is_flag=True)
@pass_output
def sync(output: Output, paths: tuple[Path, ...], retry: bool, watch: bool) -> None:
    from ondol.cli.ingesting import summary, sync_with_progress

    with house(output) as parts:
        report = sync_with_progress(parts.library, paths, output, retry=retry)
        if output.json:
            output.emit(asdict(report))
        else:
            output.line(summary(report))
            if not parts.library.folders():
                output.note(t("sync.nothing_to_follow"))
        if watch:
            _follow(parts, paths, output)


def _followed(parts: Parts, paths: Sequence[Path]) -> list[Path]:
    """Those of ``paths`` that the library remembers: what no reader could ever read it does not."""
    from ondol.retrieval import files

    remembered = {folder.path for folder in parts.library.folders()}
    return [path for path in paths if str(files.absolute(path)) in remembered]


def _follow(parts: Parts, paths: Sequence[Path], output: Output) -> None:
    """Go on until somebody ends it; says what changed, one line (or JSON object) at a time."""
    from threading import Event

    from ondol.cli.ingesting import summary, warn_of
    from ondol.retrieval.watch import Follower

    output.note(t("sync.following"))

    def report(news: AddReport) -> None:
        if output.json:
            output.emit(asdict(news))
            return
        warn_of(news, output)
        output.line(summary(news))

    def fail(error: Exception) -> None:
        from ondol.cli.failures import explain

        output.warn(explain(error).message)

    with Follower(
        lambda: parts.library,
        lambda library: library.folders(paths),
        report=report,
        fail=fail,
    ):
        # Until Ctrl-C, whose exception arrives here.
        Event().wait()


def nothing_read(paths: Sequence[Path]) -> DocumentError:
    """None of the files could be read."""
    names = ", ".join(str(path) for path in paths)
    return DocumentError(t("cli.nothing_read", paths=names), t("cli.nothing_read_hint"))


def show_failures(output: Output) -> None:
    """The table of ``ondol list --documents --failed``."""
    from ondol.cli.output import place

    with house(output) as parts:
        failed = parts.library.failures()
    if output.json:
        output.emit({"failed": [asdict(one) for one in failed]})
        return
    rows = [
        (one.source if output.quiet else place(one.source), one.failed_at[:10], one.reason)
        for one in failed
    ]
    output.table([t("cli.column_source"), t("sync.column_tried"), t("sync.column_reason")], rows)
    if not rows:
        output.note(t("sync.no_failures"))


def show_folders(output: Output) -> None:
    """The table of ``ondol list --folders``."""
    from ondol.types import Sensitivity

    with house(output) as parts:
        folders = parts.library.folders()
    if output.json:
        found = [
            {
                "path": folder.path,
                "collection": folder.collection,
                "sensitivity": folder.sensitivity.name.lower(),
                "watch": folder.watch,
            }
            for folder in folders
        ]
        output.emit({"folders": found})
        return
    rows = [
        (
            folder.path,
            folder.collection,
            # In JSON that is "public", the loosest level, as it is of a document.
            "–" if folder.sensitivity == Sensitivity.PUBLIC else folder.sensitivity.name.lower(),
            t("sync.watched") if folder.watch else "",
        )
        for folder in folders
    ]
    columns = (t("sync.column_folder"), t("cli.column_collection"), t("sync.column_limit"), "")
    output.table(columns, rows)
    if not rows:
        output.note(t("sync.nothing_to_follow"))

"""``ondol redteam``: this installation, attacked with every corpus that comes with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli.command import command, option, pass_output
from ondol.cli.failures import closing_time
from ondol.cli.output import Output, clean, one_line
from ondol.errors import OndolError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.lab.redteam.report import Report

CHILD = (sys.executable, "-P", "-m", "ondol.cli.attacked")
GOT_THROUGH = 1
MOST_SHOWN = 5


@command("redteam")
@option("--only", key="redteam_only", metavar="PART", multiple=True)
@option("--quick", key="redteam_quick", is_flag=True)
@option(
    "--report",
    "file",
    key="redteam_report",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
)
@pass_output
def redteam(output: Output, only: tuple[str, ...], quick: bool, file: Path | None) -> None:
    from ondol.config import load
    from ondol.lab.redteam import running

    for name in only:
        if name not in running.PARTS:
            known = ", ".join(running.PARTS)
            raise UsageError(t("redteam.no_such_part", name=name), known, param="only")
    parts = tuple(name for name in running.PARTS if name in only) if only else running.PARTS
    if not (output.json or output.quiet):
        output.note(t("redteam.begin"))
    with closing_time(), output.bar(None, bar_format="{desc}") as bar:

        def tell(name: str, done: int, total: int) -> None:
            bar.set_description_str(f"{t(f'redteam.part_{name}')} {done:,} / {total:,}")

        report = running.run(CHILD, load(), parts, quick=quick, progress=tell)
    if file is not None:
        _write(report, file)
    if output.json:
        output.emit(report.json())
    else:
        _show(report, output)
        if file is not None:
            output.note(t("redteam.written", file=file))
    click.get_current_context().exit(0 if report.ok else GOT_THROUGH)


def _show(report: Report, output: Output) -> None:
    from ondol.lab.redteam.report import row, verdict

    columns = [t(f"redteam.column_{name}") for name in ("part", "attacks", "through", "seconds")]
    if not output.quiet:
        output.table(columns, [row(part) for part in report.parts])
        for part in report.parts:
            if part.reason:
                output.line(f"{t(f'redteam.part_{part.name}')}: {one_line(part.reason)}")
            for breach in part.breaches[:MOST_SHOWN]:
                told = one_line(f"{breach.attack}: {breach.told}")[:200]
                output.line(f"  {click.style('✗', fg='red')} {told}")
            if (more := part.got_through - MOST_SHOWN) > 0:
                output.line(f"  {t('redteam.and_more', count=f'{more:,}')}")
        output.line()
    output.line(clean(verdict(report)))


def _write(report: Report, file: Path) -> None:
    """As the name of the file says: JSON, or a page of Markdown."""
    import json

    from ondol.lab.redteam.report import markdown

    is_json = file.suffix.lower() == ".json"
    text = json.dumps(report.json(), indent=2, ensure_ascii=False) + "\n"
    try:
        file.write_text(text if is_json else markdown(report), encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise OndolError(t("redteam.not_written", file=file, reason=reason)) from error

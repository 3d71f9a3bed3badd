"""``ondol hub scan``: are files what they say, and nothing else?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli.command import PathName, command, pass_output
from ondol.cli.hub_group import hub
from ondol.cli.output import Output, name_line
from ondol.errors import ScanRefusedError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.hub.scan import Report

# Without these of its protections, the process that looks could do harm.
_NEEDED = frozenset(("limits", "privileges", "files", "network"))


@command("scan", hub, help=t("hub_scan.scan_help"))
@click.argument("files", type=PathName(), nargs=-1, required=True)
@click.option("--base", type=PathName(), help=t("hub_scan.option_base"))
@pass_output
def scan(output: Output, files: Sequence[Path], base: Path | None) -> None:
    from ondol.hub.scan import scan as look

    report = look(_named(files), bases=(base,) if base else ())
    if output.json:
        output.emit(report.json())
    else:
        _show(output, report)
    click.get_current_context().exit(0 if report.ok else ScanRefusedError.exit_code)


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """What is to be looked at, by names that are published: those of a folder, in it."""
    found: dict[str, Path] = {}
    for path in paths:
        inside = sorted(one for one in path.rglob("*") if one.is_symlink() or not one.is_dir())
        if path.is_dir() and not inside:
            raise UsageError(t("hub_scan.nothing_to_scan", path=path))
        names = {one.relative_to(path).as_posix(): one for one in inside} or {path.name: path}
        for name, one in names.items():
            found[name if name not in found else f"{len(found)}/{name}"] = one
    return found


def _show(output: Output, report: Report) -> None:
    from ondol.models.blobs import readable_size

    for finding in report.findings:
        mark = click.style("✗", fg="red")
        output.line(name_line(finding.file) if output.quiet else f"{mark} {finding.message}")
    if report.ok and not output.quiet:
        size, seconds = readable_size(report.size_bytes), f"{report.seconds:.1f}"
        sentence = t("hub_scan.passed", count=len(report.kinds), size=size, seconds=seconds)
        output.line(f"{click.style('✓', fg='green')} {sentence}")
    if report.kinds and not set(report.protections) >= _NEEDED:
        output.warn(t("hub_scan.unprotected"))

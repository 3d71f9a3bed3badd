"""``ondol ledger``: what was answered and what left, checked, and written out for others."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from ondol.cli.command import Group, command, option, output_of, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.cli.report import report
from ondol.errors import LedgerError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.ledger.entries import Entry

SHORT_ID = 8
NEWEST = 20
KINDS = click.Choice(
    [
        *("answer", "egress", "received", "refused", "home", "served", "enrolment", "left"),
        *("given", "tool", "feedback", "calibration", "activation", "restored", "rebuilt", "break"),
        *("federation", "round", "hub", "update"),
    ]
)
ROUTES = click.Choice(["local", "home", "abstain"])

_AGO = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Moment(click.ParamType[datetime]):
    """The type of a point in time: a day, a time in ISO 8601, or 30m, 12h, 7d, 2w ago."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        if ago := _AGO.fullmatch(text):
            with suppress(OverflowError):
                return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        with suppress(ValueError, OverflowError):
            # Without a zone it is the time of who types it.
            return datetime.fromisoformat(text).astimezone()
        raise UsageError(t("ledger.bad_time", value=text[:80]), t("ledger.bad_time_hint"))


@click.group(
    "ledger",
    cls=Group,
    help=t("cli.ledger_help"),
    invoke_without_command=True,
    subcommand_metavar="[COMMAND] …",
)
@option("--since", key="since", type=Moment(), metavar="TIME")
@option("--kind", key="ledger_kind", type=KINDS)
@option("--route", key="route", type=ROUTES)
@option("--limit", key="ledger_limit", type=click.IntRange(1), metavar="N", default=NEWEST)
@click.pass_context
def ledger(
    context: click.Context, since: datetime | None, kind: str | None, route: str | None, limit: int
) -> None:
    if context.invoked_subcommand is None:
        _list(output_of(context), since, kind or "", route or "", limit)


ledger.add_command(report)


def _list(output: Output, since: datetime | None, kind: str, route: str, limit: int) -> None:
    from ondol.ledger.entries import as_time

    begin = as_time(since) if since else ""
    with house(output) as parts:
        found = list(parts.ledger.entries(since=begin, kind=kind, route=route, limit=limit))
    if output.json:
        output.emit({"entries": [{"id": one.id, **one.json()} for one in found]})
        return
    columns = ("id", "time", "kind", "route", "what", "probability", "bytes", "seconds")
    rows = [_row(one, one.id if output.quiet else one.id[:SHORT_ID]) for one in found]
    output.table([t(f"ledger.column_{name}") for name in columns], rows)
    if not found:
        output.note(t("ledger.nothing"))


def _row(entry: Entry, id: str) -> tuple[str, ...]:
    what = entry.model or " ".join(part for part in (entry.destination, entry.purpose) if part)
    return (
        id,
        datetime.fromisoformat(entry.time).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        entry.kind,
        entry.route or "–",
        what or " ".join(entry.reasons) or "–",
        "–" if entry.probability is None else f"{entry.probability:.2f}",
        "–" if entry.bytes_out is None else f"{entry.bytes_out:,}",
        "–" if entry.seconds is None else f"{entry.seconds:.2f}",
    )


@command("verify", ledger)
@option("--home", "with_home", key="verify_home", is_flag=True)
@pass_output
def verify(output: Output, with_home: bool) -> None:
    from ondol.ledger.verification import verify as check

    with house(output) as parts:
        heads = parts.oversight.homes.heads_at_home() if with_home else {}
        found = check(parts.ledger, heads)
    if output.json:
        output.emit(found.json())
        if not found.is_intact:
            raise click.exceptions.Exit(LedgerError.exit_code)
        return
    for note in found.notes:
        output.note(t("ledger.noted", message=note.message))
    if found.is_intact:
        output.line(t("ledger.intact", entries=f"{found.entries:,}", heads=found.heads))
        return
    for finding in found.findings:
        output.line(finding.message)
        output.note(f"  {finding.hint}")
    raise LedgerError(
        t("ledger.broken", count=found.num_findings, entries=f"{found.entries:,}"),
        t("ledger.broken_hint"),
    )


@command("export", ledger)
@option("--format", "form", key="format", type=click.Choice(["jsonl", "csv"]), default="jsonl")
@option("--output", "file", key="output", metavar="FILE", type=click.Path(path_type=Path))
@pass_output
def export(output: Output, form: str, file: Path | None) -> None:
    from ondol.cli.writing import new_file
    from ondol.ledger import export as writing

    with house(output) as parts:
        lines = writing.jsonl(parts.ledger) if form == "jsonl" else writing.rows(parts.ledger)
        if file is None:
            for line in lines:
                output.write(line)
            return
        with new_file(file) as target:
            count = _write(target, lines)
    if output.json:
        output.emit({"file": str(file), "lines": count})
    else:
        output.line(t("ledger.exported", count=count, file=file))


def _write(target: IO[str], lines: object) -> int:
    count = 0
    for line in lines:  # type: ignore[attr-defined]
        target.write(line)
        count += 1
    return count

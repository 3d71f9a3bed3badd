"""``ondol forget``: documents out of the library and everywhere else, with a receipt."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli.command import PathName, command, option, pass_output, words
from ondol.cli.filtering import Wanted, filter_options
from ondol.cli.house import house
from ondol.cli.output import Output, name_line, place
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.config import Config
    from ondol.forget import FullReceipt

SHOWN = 20


@command("forget")
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=PathName())
@option("--matching", key="matching", metavar="TEXT", type=words, default="")
@option("--dry-run", key="dry_run", is_flag=True)
@option("--responses", key="forget_responses", is_flag=True)
@option("--yes", key="yes", is_flag=True)
@filter_options
@pass_output
def forget(
    output: Output,
    paths: tuple[Path, ...],
    matching: str,
    dry_run: bool,
    responses: bool,
    yes: bool,
    where: Wanted,
) -> None:
    from ondol.forget import forget as forget_everywhere

    if responses:
        if paths or matching or where or dry_run:
            raise UsageError(t("forget.responses_alone"), param="responses")
        _forget_responses(output)
        return
    if not (paths or matching.strip() or where):
        raise UsageError(t("forget.what"), t("forget.what_hint"), param="paths")
    if matching and not matching.strip('"“” \t\n'):
        raise UsageError(t("forget.no_words"), t("forget.what_hint"), param="matching")
    with house(output) as parts:
        _, passing = where.read()
        chosen = parts.library.chosen(paths, where=passing, matching=matching)
        if dry_run:
            _show_found(chosen.sources, output)
            return
        # Who names files knows what goes; who describes them may find out only now.
        if (matching or where) and not yes and (chosen.documents or chosen.collections):
            _ask(chosen.sources, output)
        receipt = forget_everywhere(
            parts,
            paths,
            where=passing,
            matching=matching,
            unload=lambda: unload_named(parts.config),
        )
    if output.json:
        output.emit(receipt.json())
    elif not (chosen.documents or chosen.paths or chosen.collections):
        output.line(t("forget.nothing"))
    else:
        _show(receipt, output)


def _forget_responses(output: Output) -> None:
    """Erase what is kept for programs to go on from."""
    with house(output) as parts:
        count, erased = parts.kept.responses.erase()
    if output.json:
        output.emit({"responses": count, "erased": erased})
    else:
        output.line(t("forget.responses_gone", count=count))
        if not erased:
            output.note(t("forget.beyond_reader"))


def _show_found(sources: Sequence[str], output: Output) -> None:
    if output.json:
        output.emit({"documents": len(sources), "sources": list(sources)})
        return
    for source in sources:
        output.line(name_line(source) if output.quiet else place(source))
    output.note(t("forget.would", documents=len(sources)))


def _ask(sources: Sequence[str], output: Output) -> None:
    if not sys.stdin.isatty() or output.json:
        raise UsageError(
            t("forget.needs_yes", documents=len(sources)), t("forget.needs_yes_hint"), param="yes"
        )
    for source in sources[:SHOWN]:
        click.echo(place(source), err=True)
    if len(sources) > SHOWN:
        click.echo(t("forget.more", count=len(sources) - SHOWN), err=True)
    click.confirm(t("forget.sure", documents=len(sources)), abort=True, err=True)


def unload_named(config: Config, models: Sequence[str] | None = None) -> list[str]:
    """Take models out of the memory of the running server, by default all that are in it."""
    from ondol.cli import remote

    server = remote.find(config)
    if server is None:
        return []
    names = [str(model["model"]) for model in server.loaded()]
    return [name for name in names if (models is None or name in models) and server.unload(name)]


def _show(receipt: FullReceipt, output: Output) -> None:
    from ondol.models.blobs import readable_size

    own = receipt.library
    output.line(t("cli.forgotten", documents=own.documents, chunks=own.chunks))
    if output.quiet:
        return
    models = ", ".join(own.models)
    rows = [
        ("text", readable_size(own.text_bytes), own.text_bytes),
        ("vectors", f"{readable_size(own.vector_bytes)} {models}".strip(), own.vector_bytes),
        ("collections", ", ".join(own.collections), len(own.collections)),
        ("places", str(own.places), own.places),
        ("failures", str(own.failures), own.failures),
        ("engines", ", ".join(receipt.engines), len(receipt.engines)),
        ("logs", str(receipt.logs), receipt.logs),
        ("trainings", str(receipt.trainings), receipt.trainings),
        ("adapters", ", ".join(receipt.adapters), len(receipt.adapters)),
        ("uploads", str(receipt.uploads), receipt.uploads),
        ("quotes", str(receipt.quotes), receipt.quotes),
        ("responses", str(receipt.responses), receipt.responses),
        ("samples", str(receipt.samples), receipt.samples),
        ("states", str(receipt.states), receipt.states),
    ]
    columns = [t("forget.column_where"), t("forget.column_what")]
    shown = [(t(f"forget.in_{name}"), what) for name, what, count in rows if count]
    if shown:
        output.table(columns, shown)
    output.line(t("forget.erased" if own.is_erased else "forget.not_erased", at=own.at))
    if own.remaining:
        output.line(t("forget.remaining", count=len(own.remaining)))
        for source in own.remaining[:SHOWN]:
            output.line(f"  {place(source)}")
    for reason in receipt.not_reached:
        output.note(t(f"forget.beyond_{reason}"))

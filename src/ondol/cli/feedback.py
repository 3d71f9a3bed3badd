"""``ondol thumb``: the owner says whether an answer was right."""

from __future__ import annotations

from dataclasses import asdict

import click

from ondol.cli.command import Group, command, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.cli.verdict import SHORT_ID
from ondol.i18n import t

thumb = Group("thumb", help=t("cli.thumb_help"), subcommand_metavar="COMMAND …")


@command("up", thumb)
@click.argument("id", required=False)
@pass_output
def up(output: Output, id: str | None) -> None:
    _say(output, id, True)


@command("down", thumb)
@click.argument("id", required=False)
@pass_output
def down(output: Output, id: str | None) -> None:
    _say(output, id, False)


@command("clear", thumb)
@click.argument("id", required=False)
@pass_output
def clear(output: Output, id: str | None) -> None:
    _say(output, id, None)


def _say(output: Output, id: str | None, right: bool | None) -> None:
    with house(output) as parts:
        outcome = parts.oversight.thumb(id, right)
        count = sum(right + wrong for *_, right, wrong in parts.oversight.outcomes.counts())
    if output.json:
        output.emit(asdict(outcome))
        return
    short = outcome.ledger_id[:SHORT_ID]
    if output.quiet:
        output.line(short)
        return
    word = {True: "thumb_up", False: "thumb_down", None: "thumb_cleared"}[right]
    told = {
        "thumb_up": t("confidence.thumb_up", id=short),
        "thumb_down": t("confidence.thumb_down", id=short),
        "thumb_cleared": t("confidence.thumb_cleared", id=short),
    }
    output.line(told[word])
    output.note(t("confidence.thumbs_so_far", count=count))

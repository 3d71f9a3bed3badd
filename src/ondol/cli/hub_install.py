"""``ondol hub install``: a model, an adapter or a pack of a hub, verified, tried out and active."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import command, pass_output, words
from ondol.cli.house import house
from ondol.cli.hub_group import hub
from ondol.cli.output import Output, clean
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.updating.bringing import Outcome
    from ondol.updating.switching import Progress, Tell


@command("install", hub, help=t("updating_cli.install_help"))
@click.argument("reference", metavar="PUBLISHER/ITEM[@VERSION]", type=words)
@click.option("--hub", "hub_name", type=words, default="", help=t("updating_cli.option_hub"))
@click.option(
    "--channel", type=click.Choice(["stable", "beta"]), help=t("updating_cli.option_channel_kept")
)
@click.option("--as", "name", type=words, default="", help=t("updating_cli.option_as"))
@click.option("--replace", is_flag=True, help=t("updating_cli.option_replace"))
@click.option("--allow-stale", is_flag=True, help=t("updating_cli.option_allow_stale"))
@pass_output
def install(
    output: Output,
    reference: str,
    hub_name: str,
    channel: str | None,
    name: str,
    replace: bool,
    allow_stale: bool,
) -> None:
    from ondol.updating import updater

    with house(output) as parts:

        def bring(agreed: bool) -> Outcome:
            with shown_progress(output) as tell:
                return updater.install(
                    parts,
                    reference,
                    hub=hub_name,
                    channel=channel or "",
                    name=name,
                    allow_stale=agreed,
                    replace=replace,
                    on_progress=tell,
                )

        try:
            outcome = bring(allow_stale)
        except UsageError as error:
            if error.param != "allow_stale" or not _asks(output):
                raise
            click.confirm(f"{error.message}\n{t('updating_cli.sure')}", abort=True, err=True)
            outcome = bring(True)
    show_outcome(output, outcome)


def ask_about_stale(output: Output, name: str, adapters: Sequence[str]) -> bool:
    """Whether the owner agrees that ``adapters`` will not fit ``name`` any more; asked where
    somebody watches, else no."""
    if not adapters or not _asks(output):
        return False
    told = t("updating.stale", name=name, adapters=", ".join(adapters))
    click.confirm(f"{told}\n{t('updating_cli.sure')}", abort=True, err=True)
    return True


def show_outcome(output: Output, outcome: Outcome) -> None:
    """What was done, in one line, and what is worth knowing."""
    if output.json:
        output.emit(outcome.json())
        return
    if output.quiet:
        output.line(outcome.name)
        return
    output.line(
        t(
            f"updating_cli.done_{outcome.what}",
            name=outcome.name,
            version=outcome.version,
            before=outcome.before,
        )
    )
    for sentence in outcome.words:
        output.note(clean(sentence))  # a publisher's words may be in it


@contextmanager
def shown_progress(output: Output) -> Iterator[Tell]:
    """One bar a step; without a terminal one line."""
    bars: dict[str, Any] = {}
    last = [""]

    def tell(progress: Progress) -> None:
        if progress.step != last[0]:
            last[0] = progress.step
            _close(bars)
            said = t(f"updating_cli.step_{progress.step}")
            is_shown = progress.completed is not None
            if not output.has_progress or not is_shown:
                output.note(said)
            is_bytes = progress.step == "fetch"
            entered = output.bar(
                progress.total, desc=said, unit="B", unit_scale=is_bytes, is_shown=is_shown
            )
            bars["entered"], bars["bar"] = entered, entered.__enter__()
        if progress.completed is not None:
            bars["bar"].total = progress.total
            bars["bar"].update(progress.completed - bars["bar"].n)

    try:
        yield tell
    finally:
        _close(bars)


def _close(bars: dict[str, Any]) -> None:
    if "entered" in bars:
        bars.pop("entered").__exit__(None, None, None)


def _asks(output: Output) -> bool:
    return not (output.json or output.quiet) and sys.stdin.isatty()

"""``ondol train list|pause|resume|cancel``: trainings of one's own, whoever is at them."""

from __future__ import annotations

import click

from ondol.cli.command import command, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.cli.train_group import train
from ondol.cli.train_personal import run_training
from ondol.errors import UsageError
from ondol.i18n import t


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from ondol.personal import standing

    try:
        return [one.id for one in standing.listed() if one.id.startswith(incomplete)]
    except Exception:
        return []


@command("list", train, help=t("personal.cli_list"))
@pass_output
def list_trainings(output: Output) -> None:
    from ondol.personal import standing

    with house(output):
        found = standing.listed()
    if output.json:
        output.emit({"trainings": [one.json() for one in found]})
        return
    rows = [
        (
            one.id,
            f"{one.training.model}:{one.training.name}",
            t(f"personal.state_{one.state}"),
            f"{one.step}/{one.steps}" if one.state in ("running", "paused") and one.steps else "–",
            f"{one.loss:.3f}" if one.loss is not None else "–",
            str(one.num_examples),
            one.started_at.replace("T", " ")[:16],
        )
        for one in found
    ]
    columns = ("id", "adapter", "state", "step", "loss", "examples", "started")
    output.table([t(f"personal.column_{name}") for name in columns], rows)
    if not rows:
        output.note(t("personal.no_trainings"))


@command("pause", train, help=t("personal.cli_pause"))
@click.argument("id", shell_complete=_complete)
@pass_output
def pause(output: Output, id: str) -> None:
    from ondol.personal import runs, standing

    with house(output):
        now = standing.read(id)
        if now.state not in ("running", "waiting"):
            raise UsageError(t("personal.not_running", id=id), t("personal.not_running_hint"))
        runs.stop(now, "pause")
    if output.json:
        output.emit(standing.read(id).json())
    else:
        output.line(id if output.quiet else t("personal.pausing", id=id))


@command("resume", train, help=t("personal.cli_resume"))
@click.argument("id", shell_complete=_complete)
@pass_output
def resume(output: Output, id: str) -> None:
    from ondol.personal import standing

    with house(output) as parts:
        before = standing.read(id)
        if before.state not in ("paused", "failed"):
            told = t("personal.not_paused", id=id, state=t(f"personal.state_{before.state}"))
            raise UsageError(told, t("personal.not_running_hint"))
        run_training(parts, output, before.training, before)


@command("cancel", train, help=t("personal.cli_cancel"))
@click.argument("id", shell_complete=_complete)
@option("--yes", "is_sure", key="yes", is_flag=True)
@pass_output
def cancel(output: Output, id: str, is_sure: bool) -> None:
    from ondol.personal import standing
    from ondol.personal.runs import Runs

    with house(output) as parts:
        standing.read(id)
        if not is_sure:
            click.confirm(t("personal.cancel_sure", id=id), abort=True, err=True)
        Runs(parts).cancel(id)
    if output.json:
        output.emit({"removed": id})
    else:
        output.line(id if output.quiet else t("personal.removed", id=id))

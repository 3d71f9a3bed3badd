"""``ondol train feedback|style|file``: an adapter of one's own, from what was said of answers, from
one's own writing, from a file of samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from ondol.cli.command import PathName, command, complete_models, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.cli.train_group import BAR, train
from ondol.errors import TrainingError, TrainingPausedError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.parts import Parts
    from ondol.personal.standing import Standing, Training

F = TypeVar("F", bound=Callable[..., Any])

TASKS = ("auto", "sft", "dpo", "kto")


def training_options(function: F) -> F:
    """What every personal training is told."""
    for add in (
        click.option("--when-idle", is_flag=True, help=t("personal.option_when_idle")),
        option("--r", key="train_r", type=click.IntRange(1, 256), default=None),
        option("--epochs", key="train_epochs", type=click.FloatRange(0.01, 100), default=None),
        click.option(
            "--task",
            type=click.Choice(TASKS),
            default="auto",
            show_default=True,
            help=t("personal.option_task"),
        ),
        option("--name", key="train_name", metavar="NAME", default="style", show_default=True),
        option("--model", key="train_model", metavar="NAME", shell_complete=complete_models),
    ):
        function = add(function)
    return function


@command("feedback", train, help=t("personal.cli_feedback"))
@training_options
@click.option("--all", "everything", is_flag=True, help=t("personal.option_all"))
@option("--yes", "is_sure", key="yes", is_flag=True)
@pass_output
def feedback(output: Output, /, everything: bool, is_sure: bool, **how: Any) -> None:
    with house(output) as parts:
        from ondol.personal import collecting

        if collecting.source_of(parts) is None:
            if not is_sure:
                count = len(parts.kept.conversations.opinions.all())
                click.confirm(t("samples.agree_feedback", count=count), abort=True, err=True)
            collecting.agree(parts)
        collecting.collect(parts)
        source = collecting.source_of(parts)
        _train(parts, output, () if everything or source is None else (source.id,), how)


@command("style", train, help=t("personal.cli_style"))
@click.argument("folder", type=PathName())
@training_options
@option("--yes", "is_sure", key="yes", is_flag=True)
@pass_output
def style(output: Output, /, folder: Path, is_sure: bool, **how: Any) -> None:
    _from_path(output, folder, is_sure, how)


@command("file", train, help=t("personal.cli_file"))
@click.argument("file", type=PathName())
@training_options
@option("--yes", "is_sure", key="yes", is_flag=True)
@pass_output
def file(output: Output, /, file: Path, is_sure: bool, **how: Any) -> None:
    _from_path(output, file, is_sure, how)


def _from_path(output: Output, path: Path, is_sure: bool, how: Mapping[str, Any]) -> None:
    from ondol.personal import importing

    path = path.expanduser().resolve()
    with house(output) as parts:
        reading = importing.look(path)
        for told in reading.skipped:
            output.note(told)
        if not is_sure:
            # Nothing is kept before the owner was told what it would be.
            click.confirm(importing.question(reading, path.name), abort=True, err=True)
        source, added = importing.take(parts, reading, path.name, origin=str(path))
        output.note(
            t(
                "personal.imported",
                added=len(added.added),
                duplicates=added.duplicates,
                refused=sum(added.refused.values()),
                name=source.name,
            )
        )
        _train(parts, output, (source.id,), how)


def _train(parts: Parts, output: Output, sources: tuple[str, ...], how: Mapping[str, Any]) -> None:
    from ondol.personal.standing import Training

    model = parts.store.get(how["model"] or parts.config["models.chat"]).name
    run_training(parts, output, Training(sources=sources, **{**how, "model": model}))


def run_training(
    parts: Parts, output: Output, wanted: Training, pinned: Standing | None = None
) -> None:
    """Train before the reader's eyes; how it ended, or where it stands when it was stopped."""
    from ondol import idle
    from ondol.personal.training import train_personal

    shown: list[str] = []
    with output.bar(None, desc=t("personal.stage_samples"), bar_format=BAR) as bar:

        def stage(name: str) -> None:
            bar.reset()
            bar.set_postfix_str("")
            bar.set_description(t(f"personal.stage_{name}"))

        def show(now: Standing) -> None:
            shown[:] = [now.id]
            bar.total = now.steps or None
            bar.update(now.step - bar.n)
            if now.loss is not None and now.eta_seconds is not None:
                left = math.ceil(now.eta_seconds / 60)
                bar.set_postfix_str(t("cli.train_loss", loss=f"{now.loss:.3f}", minutes=left))

        try:
            ended = train_personal(
                parts,
                wanted,
                stage,
                show,
                pinned=pinned,
                is_busy=idle.is_answering if wanted.when_idle else None,
            )
        except (KeyboardInterrupt, SystemExit, TrainingPausedError):
            for id in shown:
                output.note(t("personal.interrupted", id=id))
            raise
    show_end(output, ended)


def show_end(output: Output, ended: Standing) -> None:
    """The gate's table and the next step. A refusal is an error that the table explains."""
    from ondol.training.verdict_table import table

    if not (output.json or output.quiet):
        output.line(table(ended.verdict.get("rows", ())))
        for note in ended.verdict.get("notes", ()):
            output.line(note)
    if ended.state != "done":
        _refuse(output, ended)
    if output.json:
        output.emit(ended.json())
    elif output.quiet:
        output.line(ended.adapter)
    else:
        output.line(t("personal.active", name=ended.adapter))
    output.note(t("personal.active_hint", model=ended.training.model))


def _refuse(output: Output, ended: Standing) -> NoReturn:
    """With ``--json`` what was measured and why it was refused are one object."""
    reasons = " ".join(ended.verdict.get("reasons", ()))
    error = TrainingError(
        t("personal.refused", reasons=reasons).strip(),
        t("personal.refused_hint", name=ended.adapter),
    )
    if not output.json:
        raise error
    told = {"code": error.code, "message": error.message, "hint": error.hint}
    output.emit(ended.json() | {"error": told})
    raise click.exceptions.Exit(error.exit_code)

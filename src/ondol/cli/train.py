"""``ondol train``: adapters made here, from data that is here."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli import train_personal, trainings
from ondol.cli.command import command, complete_models, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.cli.train_group import BAR, train
from ondol.i18n import t
from ondol.json import adapter_json

if TYPE_CHECKING:
    from ondol.training.loop import Progress

__all__ = ["train", "train_personal", "trainings"]


@command("grounding", train)
@option("--model", key="train_model", metavar="NAME", shell_complete=complete_models)
@option("--name", key="train_name", metavar="NAME", default="grounding", show_default=True)
@option(
    "--data",
    key="train_data",
    metavar="FOLDER",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
)
@option(
    "--learn",
    key="train_learn",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
)
@option("--epochs", key="train_epochs", type=click.FloatRange(0.01, 100), default=None)
@option("--r", key="train_r", type=click.IntRange(1, 256), default=None)
@option("--seed", key="train_seed", type=click.IntRange(0), default=None)
@pass_output
def grounding(
    output: Output,
    model: str | None,
    name: str,
    data: tuple[Path, ...],
    learn: tuple[Path, ...],
    epochs: float | None,
    r: int | None,
    seed: int | None,
) -> None:
    from dataclasses import replace

    from ondol.train import GroundingTask, train_grounding
    from ondol.training.gate import table

    task = GroundingTask(model or "", data, learn)
    schedule = replace(
        task.schedule,
        epochs=epochs or task.schedule.epochs,
        seed=task.schedule.seed if seed is None else seed,
    )
    lora = replace(task.lora, r=r, lora_alpha=2 * r) if r else task.lora
    with house(output) as parts:
        task = replace(
            task, model=model or parts.config["models.chat"], schedule=schedule, lora=lora
        )
        with output.bar(None, desc=t("cli.train_evidence"), bar_format=BAR) as bar:

            def stage(name: str) -> None:
                bar.reset()
                bar.set_postfix_str("")
                bar.set_description(t(f"cli.train_{name}"))

            def show(progress: Progress) -> None:
                bar.total = progress.steps
                bar.update(progress.step - bar.n)
                left = math.ceil(progress.eta_seconds / 60)
                loss = f"{progress.loss:.3f}"
                bar.set_postfix_str(t("cli.train_loss", loss=loss, minutes=left))
                if progress.warning:
                    output.warn(progress.warning)

            def asked(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            try:
                made, trial = train_grounding(
                    parts, task, name, on_stage=stage, on_progress=show, on_trial=asked
                )
            except (KeyboardInterrupt, SystemExit):
                output.note(t("cli.train_interrupted"))
                raise
    if output.json:
        output.emit(adapter_json(made))
    elif output.quiet:
        output.line(made.full_name)
    else:
        output.line(table({t("cli.train_without"): trial.before, made.full_name: trial.after}))
        output.line(t("cli.adapter_added", name=made.full_name))
        output.note(t("cli.train_hint", name=made.full_name))

"""``ondol calibrate``: what the model is trusted with, learned from thumbs or from questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import command, model_option, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.errors import CalibrationError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.confidence.calibration import Calibrator, Labelled
    from ondol.confidence.judge import CalibratedJudge
    from ondol.confidence.learning import Change, Figures
    from ondol.parts import Parts
    from ondol.types import Task

FIXED = 0.85


@command("calibrate")
@option(
    "--questions",
    key="calibrate_questions",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
)
@option(
    "--documents",
    key="calibrate_documents",
    metavar="PATH",
    multiple=True,
    type=click.Path(path_type=Path),
)
@option("--chat", key="calibrate_chat", is_flag=True)
@option("--curve", key="calibrate_curve", is_flag=True)
@option("--target", key="calibrate_target", metavar="X", type=click.FloatRange(0.005, 0.9))
@option("--reset", key="calibrate_reset", is_flag=True)
@model_option()
@pass_output
def calibrate(
    output: Output,
    questions: Path | None,
    documents: tuple[Path, ...],
    chat: bool,
    curve: bool,
    target: float | None,
    reset: bool,
    model: str | None,
) -> None:
    if documents and (chat or questions is None):
        raise UsageError(t("confidence.documents_need_questions"), param="documents")
    with house(output, models_chat=model) as parts:
        target = target or parts.config["routing.target_error"]
        if reset:
            _reset(parts, output)
        elif curve:
            _show_curves(parts, target, output)
        else:
            _learn(parts, questions, documents, chat, target, output)


def _learn(
    parts: Parts,
    questions: Path | None,
    documents: Sequence[Path],
    chat: bool,
    target: float,
    output: Output,
) -> None:
    from ondol import calibrate as calibrating

    judge = parts.oversight.judge
    sets: list[tuple[str, str, list[Labelled]]] = []
    source = calibrating.THUMBS
    if questions is None:
        for name, digest, at, *_ in parts.oversight.outcomes.counts():
            # What has another digest now is no longer the model that was judged.
            if judge.identify(name) == digest:
                sets.append((name, at, parts.oversight.outcomes.labelled(digest, at)))
    else:
        known = calibrating.read_questions(questions)
        source = questions.name
        with output.bar(len(known), desc=t("confidence.asking")) as bar:

            def asked(done: int, total: int) -> None:
                bar.update(done - bar.n)

            if chat:
                found = calibrating.from_chat(parts, judge, known, asked)
            else:
                found = calibrating.from_documents(parts, judge, known, documents, asked)
        task: Task = "chat" if chat else "grounded"
        sets += [(n, calibrating.task_of(n, task), some) for n, some in found.items()]
    changes, refused = [], []
    for name, at, labelled in sorted(sets, key=lambda one: -len(one[2])):
        try:
            changes.append(calibrating.learn(judge, labelled, name, at, source))
        except CalibrationError as error:
            refused.append((name, at, error))
    if not changes:
        raise refused[0][2] if refused else _no_labels()
    if output.json:
        output.emit(
            {
                "changes": [change.json() for change in changes],
                "refused": [
                    {"model": name, "task": at, "reason": why.message} for name, at, why in refused
                ],
            }
        )
        return
    for change in changes:
        _show_change(change, output)
        _show_choice(judge, change.calibrator, target, output)
    for name, at, why in refused:
        output.note(f"{_named(name, at)}: {why.message}")


def _no_labels() -> CalibrationError:
    return CalibrationError(t("confidence.no_labels"), t("confidence.too_few_hint"))


def _show_change(change: Change, output: Output) -> None:
    calibrator = change.calibrator
    if output.quiet:
        output.line(calibrator.name)
        return
    output.line(_named(calibrator.model, calibrator.task), bold=True)
    rows = [_figures(t("confidence.before"), change.before)] if change.before else []
    rows.append(_figures(t("confidence.after"), change.after))
    columns = ("answers", "ece", "auroc", "brier")
    output.table(["", *(t(f"confidence.column_{name}") for name in columns)], rows)
    output.line(t("confidence.adopted" if change.adopted else "confidence.not_adopted"))


def _figures(name: str, figures: Figures) -> list[str]:
    auroc = "–" if figures.auroc is None else f"{figures.auroc:.2f}"
    return [name, str(figures.n), f"{figures.ece:.3f}", auroc, f"{figures.brier:.3f}"]


def _show_choice(
    judge: CalibratedJudge, calibrator: Calibrator, target: float, output: Output
) -> None:
    choice = judge.choice(calibrator, target)
    if output.quiet or choice is None:
        return
    kept = round(choice.kept.coverage * 100)
    percent = f"{target * 100:g}"
    if choice.threshold is not None:
        told = t(
            "confidence.feasible", target=percent, threshold=f"{choice.threshold:.2f}", kept=kept
        )
    elif choice.kept.kept:
        # What that target would keep is what the owner gets who sets it.
        bound = math.ceil(choice.bound * 100)
        possible = judge.choice(calibrator, bound / 100) if bound < 100 else None
        if possible and possible.feasible:
            kept = round(possible.kept.coverage * 100)
        told = t("confidence.infeasible", target=percent, bound=bound, kept=kept)
    else:
        told = t("confidence.impossible", target=percent)
    output.line(told)


def _show_curves(parts: Parts, target: float, output: Output) -> None:
    from ondol.confidence import threshold

    judge = parts.oversight.judge
    names = [parts.manner().model or parts.config["models.chat"]]
    wanted = [(names[0], "grounded"), ("", "grounded"), (parts.chat_manner().model, "chat")]
    found = [judge.calibrator(name, task) for name, task in wanted]
    calibrators = [one for one in found if one is not None and one.held_out]
    if not calibrators:
        raise CalibrationError(
            t("confidence.uncalibrated", name=names[0]), t("confidence.too_few_hint")
        )
    told: list[dict[str, Any]] = []
    for calibrator in calibrators:
        probabilities, right = zip(*calibrator.held_out, strict=True)
        choice = threshold.choose(probabilities, right, target)
        points = threshold.curve(probabilities, right, [FIXED, *_of(choice.threshold)])
        entry = {"model": calibrator.model, "task": calibrator.task, "n": calibrator.n}
        rows = [
            {"threshold": p.threshold, "coverage": p.coverage, "error": p.error, "kept": p.kept}
            for p in points
        ]
        told.append(entry | {"target": target, "choice": asdict(choice), "curve": rows})
        if not output.json:
            _show_curve(judge, calibrator, target, points, choice.threshold, output)
    if output.json:
        output.emit({"curves": told})


def _show_curve(
    judge: CalibratedJudge,
    calibrator: Calibrator,
    target: float,
    points: Sequence[Any],
    chosen: float | None,
    output: Output,
) -> None:
    output.line(_named(calibrator.model, calibrator.task), bold=True)
    marks = {FIXED: t("confidence.fixed"), chosen: t("confidence.chosen")}
    columns = ("threshold", "kept", "wrong", "answers")
    rows = [
        (
            f"{p.threshold:.2f}",
            f"{p.coverage * 100:.0f} %",
            f"{p.error * 100:.0f} %" if p.kept else "–",
            str(p.kept),
            marks.get(p.threshold, ""),
        )
        for p in points
    ]
    output.table([*(t(f"confidence.column_{name}") for name in columns), ""], rows)
    _show_choice(judge, calibrator, target, output)


def _of(threshold: float | None) -> list[float]:
    return [] if threshold is None else [threshold]


def _reset(parts: Parts, output: Output) -> None:
    """The owner's own calibrators away: those that come with Ondol count again."""
    known = parts.oversight.judge.calibrators
    removed = [one for one, is_own in known.list() if is_own and known.forget(one.digest, one.task)]
    if output.json:
        output.emit({"removed": [one.name for one in removed]})
    for one in removed if not output.json else ():
        output.line(t("confidence.removed", name=_named(one.model, one.task)))
    if not removed:
        output.note(t("confidence.nothing_to_reset"))


def _named(model: str, task: str) -> str:
    told = {
        "grounded": t("confidence.task_grounded", model=model),
        "chat": t("confidence.task_chat", model=model),
    }
    return told.get(task) or t("confidence.task_quoted")

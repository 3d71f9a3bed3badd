"""``ondol eval``: how good a model is at small suites and at its owner's golden questions, with the
history of it, and two evaluations beside each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import command, model_argument, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output, one_line
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.lab.evaluating.evaluate import Asked
    from ondol.lab.evaluating.results import Change, Evaluation

SHOWN = 300


def complete_suites(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Names of suites for the shell."""
    from ondol.lab.evaluating.suites import SUITES

    return [name for name in SUITES if name.startswith(incomplete)]


@command("eval")
@model_argument(name="model", metavar="[MODEL]", default="")
@click.option(
    "--suite",
    "suites",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_suites,
    help=t("evaluating.option_suite"),
)
@click.option("--golden", is_flag=True, help=t("evaluating.option_golden"))
@click.option("--quick", is_flag=True, help=t("evaluating.option_quick"))
@click.option("--wrong", is_flag=True, help=t("evaluating.option_wrong"))
@click.option("--history", "shows_history", is_flag=True, help=t("evaluating.option_history"))
@click.option("--compare", nargs=2, metavar="A B", help=t("evaluating.option_compare"))
@click.option("--rm", "removed", metavar="ID", help=t("evaluating.option_rm"))
@pass_output
def evaluate(
    output: Output,
    model: str,
    suites: tuple[str, ...],
    golden: bool,
    quick: bool,
    wrong: bool,
    shows_history: bool,
    compare: tuple[str, str] | None,
    removed: str | None,
) -> None:
    deeds = (shows_history, compare is not None, removed is not None)
    asks = any((suites, golden, quick, wrong))
    if sum(deeds) > 1 or (any(deeds) and asks) or (model and any(deeds[1:])):
        raise UsageError(t("evaluating.one_deed"))
    if shows_history:
        _history(output, model)
    elif compare is not None:
        _compare(output, *compare)
    elif removed is not None:
        _remove(output, removed)
    else:
        _evaluate(output, model, suites, golden, quick, wrong)


def _evaluate(
    output: Output, model: str, suites: tuple[str, ...], golden: bool, quick: bool, wrong: bool
) -> None:
    from ondol.lab.evaluating import evaluate as evaluating

    wanted = evaluating.Wanted(model, suites, golden or None, quick)
    with house(output) as parts:
        name = model or parts.config["models.chat"]
        with output.bar(None, desc=t("evaluating.asking", name=name)) as bar:

            def asked(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            found = evaluating.evaluate(parts, wanted, on_progress=asked)
    if output.json:
        output.emit(_json(found))
        return
    _show(output, found)
    if wrong:
        _show_wrong(output, found)


def _json(found: Asked) -> dict[str, Any]:
    """With what was said, which is kept nowhere."""
    said = {
        suite: [
            {"id": item.id, "question": item.question, "said": said.text, "right": right}
            for item, said in pairs
            for right in (_score(found.evaluation, suite).right[item.id],)
        ]
        for suite, pairs in found.said.items()
    }
    changes = _since(found)
    return found.evaluation.json() | {
        "left_out": found.left_out,
        "items": said,
        "previous": found.previous.id if found.previous else None,
        "changes": [one.json() for one in changes.values()],
    }


def _since(found: Asked) -> dict[str, Change]:
    """What changed since the evaluation before, by suite."""
    from ondol.lab.evaluating.results import compared

    if found.previous is None:
        return {}
    return {one.suite: one for one in compared(found.previous, found.evaluation)}


def _score(evaluation: Evaluation, suite: str) -> Any:
    return next(one for one in evaluation.scores if one.suite == suite)


def _show(output: Output, found: Asked) -> None:
    subject, changes = found.evaluation.subject, _since(found)
    if output.quiet:
        for score in found.evaluation.scores:
            output.line(f"{score.suite} {score.estimate.value:.3f}")
        return
    told = {"documents": subject.documents or subject.model, "chat": subject.chat or subject.model}
    shown = t("evaluating.title", name=subject.model, format=subject.format or "?", **told)
    output.line(shown, bold=True)
    rows = []
    for score in found.evaluation.scores:
        row = [score.suite, about(score.suite), f"{sum(score.right.values())}/{len(score.right)}"]
        row.append(share(score.estimate.value, score.estimate.low, score.estimate.high))
        if changes:
            row += _change(changes.get(score.suite))
        rows.append(row)
    columns = ["suite", "about", "right", "score", *(["before", "change"] if changes else [])]
    output.table([t(f"evaluating.column_{name}") for name in columns], rows)
    if found.left_out:
        output.note(t("evaluating.left_out", count=found.left_out))
    seconds = math.ceil(found.evaluation.seconds)
    output.note(t("evaluating.kept", id=found.evaluation.id, seconds=seconds))
    output.note(t("evaluating.few"))


def _change(change: Change | None) -> list[str]:
    if change is None:
        return ["–", "–"]
    return [f"{change.before:.0%}", verdict(change)]


def verdict(change: Change) -> str:
    """A change in words."""
    key = "is_worse" if change.is_worse else "is_better" if change.is_better else "is_chance"
    return f"{change.difference.value * 100:+.0f} % {t(f'evaluating.{key}')}"


def about(suite: str) -> str:
    """What a suite is about."""
    return t(f"evaluating.suite_{suite.replace('-', '_')}")


def share(value: float, low: float, high: float) -> str:
    """``66 % [61, 70]``; a dash when nothing was counted."""
    if math.isnan(value):
        return "–"
    told = f"{value * 100:.0f} %"
    return told if math.isnan(low) else f"{told} [{low * 100:.0f}, {high * 100:.0f}]"


def _show_wrong(output: Output, found: Asked) -> None:
    for suite, pairs in found.said.items():
        right = _score(found.evaluation, suite).right
        missed = [(item, said) for item, said in pairs if not right[item.id]]
        if not missed:
            continue
        output.line()
        output.line(t("evaluating.wrong_title", suite=suite), bold=True)
        for item, said in missed:
            text = one_line(said.text)[:SHOWN] or t("evaluating.said_nothing")
            output.line(f"  {item.id}")
            output.line(f"    {t('evaluating.asked')}: {one_line(item.question)[:SHOWN]}")
            output.line(f"    {t('evaluating.said')}: {text}")


def _history(output: Output, model: str) -> None:
    from ondol.lab.evaluating import evaluate as evaluating
    from ondol.lab.evaluating.history import History

    with house(output) as parts, History.open() as history:
        name = evaluating.subject_of(parts, model).model if model else ""
        found = history.all(name)
    if output.json:
        output.emit({"evaluations": [one.json() for one in found]})
        return
    rows = [
        (
            one.id,
            one.at[:16].replace("T", " "),
            one.subject.model,
            one.subject.format or "–",
            t(f"evaluating.purpose_{one.purpose}"),
            ", ".join(f"{score.suite} {_percent(score.estimate.value)}" for score in one.scores),
        )
        for one in found
    ]
    columns = ("id", "when", "model", "format", "purpose", "scores")
    output.table([t(f"evaluating.column_{name}") for name in columns], rows)
    if not rows:
        output.note(t("evaluating.no_history"))


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.0%}"


def _compare(output: Output, first: str, second: str) -> None:
    from ondol.lab.evaluating.history import History
    from ondol.lab.evaluating.results import compared

    with house(output), History.open() as history:
        before, after = history.get(first), history.get(second)
    changes = compared(before, after)
    if output.json:
        told = [one.json() for one in changes]
        output.emit({"before": before.json(), "after": after.json(), "changes": told})
        return
    if not output.quiet:
        for one in (before, after):
            output.line(f"{one.id}  {one.at[:16].replace('T', ' ')}  {one.subject.model}")
    rows = [
        (
            one.suite,
            f"{one.before:.0%}",
            f"{one.after:.0%}",
            verdict(one),
            " ".join(one.lost) or "–",
            " ".join(one.gained) or "–",
        )
        for one in changes
    ]
    columns = ("suite", "before", "score", "change", "lost", "gained")
    output.table([t(f"evaluating.column_{name}") for name in columns], rows)
    if not rows:
        output.note(t("evaluating.nothing_shared"))


def _remove(output: Output, id: str) -> None:
    from ondol.lab.evaluating.history import History

    with house(output), History.open() as history:
        found = history.remove(id)
    if output.json:
        output.emit({"removed": found.id})
    else:
        output.line(t("evaluating.removed", id=found.id))

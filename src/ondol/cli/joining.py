"""``ondol join CODE``: become a member of a federation, or a device of a home."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ondol.cli.command import command, option, pass_output, words
from ondol.cli.house import house
from ondol.cli.output import Output, clean
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.household.joining import Looked
    from ondol.household.promises import Promises
    from ondol.parts import Parts


@command("join")
@click.argument("code", required=False)
@click.option("--source", "sources", metavar="ID", multiple=True, help=t("federation_cli.source"))
@click.option("--folder", "folders", metavar="PATH", multiple=True, help=t("federation_cli.folder"))
@option("--name", key="device_name", metavar="NAME", type=words, default="")
@option("--yes", "is_sure", key="yes", is_flag=True)
@pass_output
def join(
    output: Output,
    code: str | None,
    sources: tuple[str, ...],
    folders: tuple[str, ...],
    name: str,
    is_sure: bool,
) -> None:
    from ondol.household import joining

    given = code or click.prompt(t("home.paste_code"), err=True)
    with house(output) as parts:
        looked = joining.look(parts, given)
        if not is_sure:
            if output.json or not sys.stdin.isatty():
                raise UsageError(t("federation_cli.not_asked"), t("federation_cli.not_asked_hint"))
            _show(looked, output)
            sources = sources or _sources(parts, output)
            click.confirm(t("federation_cli.agree", name=clean(looked.told.plan.name)), abort=True)
        plan = looked.told.plan
        made = joining.join(parts, given, sources, folders, name=name, expected=plan.digest)
    if output.json:
        output.emit(made.json())
        return
    output.line(t("federation_cli.joined", name=clean(made.name), pseudonym=made.me.pseudonym))
    if not (made.sources or made.folders):
        output.note(t("federation_cli.nothing_teaches", name=clean(made.name)))
    output.note(t("federation_cli.joined_hint", name=clean(made.name)))


def _show(looked: Looked, output: Output) -> None:
    plan = looked.told.plan
    output.line(
        t(
            "federation_cli.looked",
            name=clean(plan.name),
            home=clean(looked.home),
            model=clean(plan.model),
            rounds=plan.rounds,
            members=len(looked.told.members),
        )
    )
    output.line(t(f"federation_cli.task_{plan.task}"))
    show_promises(looked.promises, output)


def show_promises(promises: Promises, output: Output) -> None:
    """What it costs, in numbers and words; what home sees and what it does not."""
    for told in promises.words:
        output.line(told)
    if promises.whole is not None:
        budget = promises.plan.epsilon_budget
        output.line(
            t(
                "federation_cli.epsilon",
                whole=f"{promises.whole:.2f}",
                spent=f"{promises.spent or 0.0:.2f}",
                delta=f"{promises.plan.delta:g}",
                budget=f"{budget:g}" if budget else "–",
            )
        )
    for heading, sentences in (("seen", promises.seen), ("unseen", promises.unseen)):
        output.line(t(f"federation_cli.{heading}"))
        for told in sentences:
            output.line(f"  - {told}")


def _sources(parts: Parts, output: Output) -> tuple[str, ...]:
    """Which of the owner's sources may teach: each is asked about."""
    counts = parts.kept.samples.counts()
    chosen = []
    for one in parts.kept.samples.sources():
        found = counts.get(one.id, {})
        told = t(
            "federation_cli.may_teach",
            name=clean(one.name),
            samples=sum(number for kind, number in found.items() if kind != "held_out"),
        )
        if click.confirm(told, default=False):
            chosen.append(one.id)
    return tuple(chosen)

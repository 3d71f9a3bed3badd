"""``ondol adapters activate|rollback|history``: which adapters answer where only the model is
named."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from ondol.cli.adapters_group import adapters, complete_adapters
from ondol.cli.command import command, complete_models, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output, clean
from ondol.errors import OndolError, UsageError
from ondol.i18n import t
from ondol.models.scales import full_name

if TYPE_CHECKING:
    from ondol.models.activations import Activation
    from ondol.models.adapters import Adapter
    from ondol.parts import Parts


@command("activate", adapters)
@click.argument("name", metavar="NAME", shell_complete=complete_adapters)
@option("--again", key="activate_again", is_flag=True)
@pass_output
def activate(output: Output, name: str, again: bool) -> None:
    from ondol.personal import activating
    from ondol.personal.gating import EVALUATION

    with house(output) as parts:
        adapter = parts.adapters.find(name)
        parts.adapters.resolve(adapter.full_name)
        if adapter.template or adapter.shipped:
            raise UsageError(t("activation.for_documents", name=adapter.full_name), param="name")
        if again or adapter.is_candidate or EVALUATION not in adapter.evaluation:
            adapter = _through_the_gate(parts, adapter, output)
        done = activating.activate(parts, adapter.full_name)
    _show(output, done)


@command("rollback", adapters)
@click.argument("model", metavar="MODEL", required=False, shell_complete=complete_models)
@option("--alone", key="rollback_alone", is_flag=True)
@pass_output
def rollback(output: Output, model: str | None, alone: bool) -> None:
    from ondol.personal import activating

    with house(output) as parts:
        back = activating.deactivate if alone else activating.rollback
        done = back(parts, model)
        warning = activating.standing(parts, done.model)["warning"]
    _show(output, done)
    if warning:
        output.warn(warning)


@command("history", adapters)
@click.argument("model", metavar="MODEL", required=False, shell_complete=complete_models)
@pass_output
def history(output: Output, model: str | None) -> None:
    from ondol.personal import activating

    with house(output) as parts:
        name = activating.model_named(parts, model) if model else None
        found = parts.kept.activations.history(name)
        models = dict.fromkeys(one.model for one in found)
        warnings = [activating.standing(parts, one)["warning"] for one in models]
    if output.json:
        output.emit({"activations": [one.json() for one in found]})
    else:
        columns = ("when", "what", "chat", "documents", "ledger")
        rows = [
            (
                one.at,
                t(f"activation.reason_{one.reason}"),
                full_name(one.model, one.chosen.chat),
                full_name(one.model, one.chosen.grounded) if one.chosen.grounded else "–",
                one.ledger_id[:8] or "–",
            )
            for one in found
        ]
        output.table([t(f"activation.column_{name}") for name in columns], rows)
        if not rows:
            output.note(t("activation.history_empty"))
    for warning in filter(None, warnings):
        output.warn(warning)


def warn_of_missing(parts: Parts, model: str, output: Output) -> None:
    """Say that ``model`` answers without what was activated for it, where it does."""
    with suppress(OndolError):
        if missing := parts.kept.activations.missing(model):
            output.warn(t("activation.missing", model=model, names=", ".join(missing)))


def show_verdict(output: Output, adapter: Adapter) -> None:
    """The gate's table of ``adapter``, where it was measured, and why it was refused."""
    from ondol.personal.gating import EVALUATION
    from ondol.training.verdict_table import table

    told = adapter.evaluation.get(EVALUATION)
    if not isinstance(told, Mapping):
        return
    output.line(table(told.get("rows", ())))
    for line in (*told.get("reasons", ()), *told.get("notes", ())):
        output.note(clean(str(line)))


def _through_the_gate(parts: Parts, adapter: Adapter, output: Output) -> Adapter:
    from ondol.personal import activating, gating

    samples = parts.kept.samples.all(held_out=True)
    if not samples:
        raise UsageError(
            t("activation.no_samples", name=adapter.full_name), t("activation.no_samples_hint")
        )
    with output.bar(None, desc=t("activation.checking")) as bar:

        def asked(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        verdict = gating.judge(parts, adapter, samples, on_progress=asked)
    if not output.json and not output.quiet:
        output.line(verdict.table())
        for note in verdict.notes:
            output.note(note)
    return activating.adopt(parts, adapter, verdict)


def _show(output: Output, done: Activation) -> None:
    if output.json:
        output.emit(done.json())
        return
    name = full_name(done.model, done.chosen.chat)
    if output.quiet:
        output.line(name)
    elif done.chosen.chat:
        output.line(t("activation.now_active", name=name))
    else:
        output.line(t("activation.now_alone", model=done.model))

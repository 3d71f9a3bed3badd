"""``ondol pack``: a model's choice, terms, prompts and questions for a field, in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import Group, PathName, command, pass_output, words
from ondol.cli.house import house
from ondol.cli.output import Output, clean, one_line
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.updating.packs import InstalledPack

pack = Group("pack", help=t("cli.pack_help"), subcommand_metavar="COMMAND …")


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Packs for the shell; silent when anything is wrong, for there is nobody to tell."""
    try:
        from ondol.config import load
        from ondol.models.store import ModelStore

        here = ModelStore(load().models_dir).list()
        names = [one.name.removesuffix(":latest") for one in here if one.file("pack")]
    except Exception:
        return []
    return [name for name in names if name.startswith(incomplete)]


@command("build", pack, help=t("packs.cli_build"))
@click.argument("folder", type=PathName())
@click.option("--out", type=PathName(), help=t("packs.cli_out"))
@click.option("--no-evaluation", is_flag=True, help=t("packs.cli_no_evaluation"))
@pass_output
def build(output: Output, folder: Path, out: Path | None, no_evaluation: bool) -> None:
    from ondol.hub.packs import format
    from ondol.updating import pack_building

    said = format.read(folder)
    target = out or Path(f"{said.name}-{said.version}")
    with house(output) as parts, _progress(output) as tell:
        built, found = pack_building.build(
            parts, folder, target, evaluates=not no_evaluation, on_progress=tell
        )
    if output.json:
        output.emit(
            {
                "folder": str(target),
                "card": built.card().json(),
                "evaluation": found.json() if found else {},
            }
        )
        return
    output.line(t("packs.built", name=built.name, version=built.version, folder=target))
    show_measures(output, found.json() if found else {})
    output.note(t("packs.built_hint", folder=target))


@command("install", pack, help=t("packs.cli_install"))
@click.argument("source", metavar="FOLDER|PUBLISHER/ITEM[@VERSION]", type=words)
@click.option("--name", type=words, default="", help=t("packs.cli_name"))
@click.option("--no-evaluation", is_flag=True, help=t("packs.cli_no_evaluation"))
@click.option("--force", is_flag=True, help=t("packs.cli_force"))
@pass_output
def install(output: Output, source: str, name: str, no_evaluation: bool, force: bool) -> None:
    from ondol.updating import packs

    folder = Path(source)
    if not folder.is_dir():
        _from_hub(output, source, name, no_evaluation or force)
        return
    with house(output) as parts, _progress(output) as tell:
        made = packs.install(
            parts,
            folder,
            name=name,
            evaluates=not no_evaluation,
            force=force,
            on_progress=tell,
        )
    if output.json:
        output.emit(made.json())
        return
    output.line(t("packs.installed", name=made.name, version=made.pack.version))
    show_measures(output, made.row.evaluation)
    output.note(clean(made.pack.not_for))
    output.note(t("packs.unsigned"))
    output.note(t("packs.installed_hint", name=made.name))


def _from_hub(output: Output, source: str, name: str, is_other: bool) -> None:
    """What a hub offers comes as everything from hubs does."""
    if source.count("/") != 1 or source.startswith((".", "/", "~")) or source.endswith("/"):
        raise UsageError(t("packs.no_folder", folder=source), t("packs.source_hint"))
    if is_other:
        raise UsageError(t("packs.only_folders"), t("packs.source_hint"))
    from ondol.cli.hub_install import show_outcome, shown_progress
    from ondol.updating import updater

    with house(output) as parts, shown_progress(output) as tell:
        outcome = updater.install(parts, source, name=name, on_progress=tell)
    show_outcome(output, outcome)


@command("list", pack, help=t("packs.cli_list"))
@pass_output
def list_packs(output: Output) -> None:
    from ondol.updating import packs

    with house(output) as parts:
        found = packs.all(parts)
    if output.json:
        output.emit({"packs": [one.json() for one in found]})
        return
    rows = [
        (
            one.name,
            str(one.pack.version),
            one.pack.field,
            f"{one.row.origin.publisher}/{one.row.origin.item}".strip("/") or "–",
            str(len(one.pack.glossary.terms)),
            str(len(one.pack.prompts)),
            one_line(one.pack.title),
        )
        for one in found
    ]
    columns = ("name", "version", "field", "from", "terms", "prompts", "title")
    output.table([t(f"packs.column_{name}") for name in columns], rows)
    if not rows:
        output.note(t("packs.none"))


@command("show", pack, help=t("packs.cli_show"))
@click.argument("name", type=words, shell_complete=_complete)
@pass_output
def show(output: Output, name: str) -> None:
    from ondol.updating import packs

    with house(output) as parts:
        found = packs.get(parts, name)
    if output.json:
        output.emit(found.json())
        return
    _show(output, found)


def _show(output: Output, found: InstalledPack) -> None:
    made, origin = found.pack, found.row.origin
    output.line(clean(f"{made.title} {made.version}"), bold=True)
    output.line(clean(made.description))
    output.line(clean(made.not_for))
    said = {
        "field": made.field,
        "from": f"{origin.publisher}/{origin.item}".strip("/") or t("packs.a_folder"),
        "licence": made.licence,
        "languages": ", ".join(made.languages),
        "source": made.source,
        "model": found.model.made.parent if found.model.made else "",
        "terms": str(len(made.glossary.terms)),
        "prompts": ", ".join(one.name for one in made.prompts) or "–",
        "questions": str(len(made.questions)),
    }
    for name, text in said.items():
        output.line(f"{t(f'packs.column_{name}').capitalize()}: {one_line(text)}")
    show_measures(output, found.row.evaluation)


@command("evaluate", pack, help=t("packs.cli_evaluate"))
@click.argument("name", type=words, shell_complete=_complete)
@pass_output
def evaluate(output: Output, name: str) -> None:
    from ondol.updating import packs

    with house(output) as parts, _progress(output) as tell:
        found = packs.evaluate(parts, name, tell)
    if output.json:
        output.emit(found.row.evaluation)
        return
    show_measures(output, found.row.evaluation)


@command("remove", pack, help=t("packs.cli_remove"))
@click.argument("name", type=words, shell_complete=_complete)
@pass_output
def remove(output: Output, name: str) -> None:
    from ondol.updating import packs

    with house(output) as parts:
        gone = packs.remove(parts, name)
    if output.json:
        output.emit(
            {
                "name": gone.name,
                "freed_bytes": gone.freed_bytes,
                "kept_prompts": gone.kept_prompts,
                "answers_now": gone.answers_now,
            }
        )
        return
    output.line(t("packs.removed", name=gone.name))
    if gone.answers_now:
        output.note(t("packs.answers_now", model=gone.answers_now))
    if gone.kept_prompts:
        output.note(t("packs.prompts_stay", count=gone.kept_prompts))


def show_measures(output: Output, evaluation: Mapping[str, Any]) -> None:
    """What was measured, a line a measure, and whether chance could have done it."""
    if not evaluation:
        output.note(t("packs.nothing_measured"))
        return
    for one in evaluation["measures"]:
        verdict = "clearly_better" if one["low"] > 0 else "chance"
        verdict = "clearly_worse" if one["high"] < 0 else verdict
        told = t(
            "packs.measured",
            measure=t(f"packs.measure_{one['name']}"),
            before=f"{one['before']:.0%}",
            after=f"{one['after']:.0%}",
            count=one["n"],
        )
        output.line(f"{told} {t(f'packs.{verdict}')}")


@contextmanager
def _progress(output: Output) -> Iterator[Callable[[int, int], None]]:
    with output.bar(None, desc=t("packs.measuring"), unit="") as bar:

        def tell(done: int, total: int) -> None:
            if bar.total != total and not output.has_progress:
                # Minutes on a CPU, which nobody who sees no bar should take for a hang.
                output.note(t("packs.measuring_questions", count=total))
            bar.total = total
            bar.update(done - bar.n)

        yield tell

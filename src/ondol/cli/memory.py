"""``ondol remember`` and ``ondol memory``: what the owner wants remembered. See it, add to it,
change it, erase it, take it along."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli.collections import WORDS
from ondol.cli.command import Group, command, option, pass_output, words
from ondol.cli.house import house
from ondol.cli.output import Output, one_line
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.json import labelled_json, sensitivity_of, sensitivity_word

if TYPE_CHECKING:
    from ondol.memory.records import Learned, Memory, Suggestion
    from ondol.parts import Parts

KIND = click.Choice(["fact", "preference"])
SHORT_ID = 8

memory = Group("memory", help=t("cli.memory_help"), subcommand_metavar="COMMAND …")


@command("remember")
@click.argument("text", nargs=-1, required=True, type=words)
@option("--kind", key="memory_kind", type=KIND)
@option("--sensitivity", key="sensitivity", type=WORDS, default="private")
@option("--beside", key="memory_beside", is_flag=True)
@pass_output
def remember(
    output: Output, text: tuple[str, ...], kind: str | None, sensitivity: str, beside: bool
) -> None:
    with house(output) as parts:
        learned = _learn(parts, " ".join(text), kind, sensitivity, beside)
    show_learned(output, learned)


@command("add", memory)
@click.argument("text", nargs=-1, required=True, type=words)
@option("--kind", key="memory_kind", type=KIND)
@option("--sensitivity", key="sensitivity", type=WORDS, default="private")
@option("--beside", key="memory_beside", is_flag=True)
@pass_output
def add(
    output: Output, text: tuple[str, ...], kind: str | None, sensitivity: str, beside: bool
) -> None:
    with house(output) as parts:
        learned = _learn(parts, " ".join(text), kind, sensitivity, beside)
    show_learned(output, learned)


def _learn(parts: Parts, text: str, kind: str | None, sensitivity: str, beside: bool) -> Learned:
    from ondol.memory.saying import kind_of, unordered

    text = unordered(text)
    return parts.kept.memories.learn(
        text, kind=kind or kind_of(text), sensitivity=sensitivity_of(sensitivity), beside=beside
    )


def show_learned(output: Output, learned: Learned) -> None:
    """What became of something that was said, in words."""
    one, replaced = learned.memory, learned.replaced
    if output.json:
        found = labelled_json(replaced) if replaced else None
        output.emit({**labelled_json(one), "deed": learned.deed, "replaced": found})
        return
    label = sensitivity_word(one.sensitivity)
    report(output, one, t(f"memory.{learned.deed}", id=one.id[:SHORT_ID], sensitivity=label))
    if replaced and not output.quiet:
        output.note(t("memory.replaced_text", text=one_line(replaced.text)))
        output.note(t("memory.replaced_hint", id=one.id[:SHORT_ID], number=replaced.number))


def tell(output: Output, found: Sequence[Memory | Suggestion]) -> None:
    """A table of memories, or of what is to become one."""
    rows = [
        (
            one.id[:SHORT_ID],
            t(f"memory.kind_{one.kind}"),
            sensitivity_word(one.sensitivity),
            one_line(one.text),
        )
        for one in found
    ]
    columns = ("memory.column_id", "memory.column_kind", "cli.column_sensitivity")
    output.table([*(t(key) for key in columns), t("memory.column_text")], rows)


@command("list", memory)
@click.argument("query", nargs=-1, type=words)
@option("--kind", key="memory_kind", type=KIND)
@pass_output
def list_memories(output: Output, query: tuple[str, ...], kind: str | None) -> None:
    with house(output) as parts:
        found = parts.kept.memories.all(" ".join(query), kind=kind or "")
    if output.json:
        output.emit({"memories": [labelled_json(one) for one in found]})
        return
    tell(output, found)
    if not found:
        output.note(t("memory.nothing_found" if query or kind else "memory.nothing"))


@command("edit", memory)
@click.argument("id")
@click.argument("text", nargs=-1, type=words)
@option("--kind", key="memory_kind", type=KIND)
@option("--sensitivity", key="sensitivity", type=WORDS)
@pass_output
def edit(
    output: Output, id: str, text: tuple[str, ...], kind: str | None, sensitivity: str | None
) -> None:
    if not (text or kind or sensitivity):
        raise UsageError(t("memory.no_change"), t("memory.no_change_hint"))
    with house(output) as parts:
        changed = parts.kept.memories.edit(
            id,
            text=" ".join(text) if text else None,
            kind=kind,
            sensitivity=sensitivity_of(sensitivity) if sensitivity else None,
        )
    report(output, changed, t("memory.changed", id=changed.id[:SHORT_ID]))


@command("erase", memory)
@click.argument("ids", nargs=-1, metavar="[ID]…")
@option("--all", "everything", key="memory_all", is_flag=True)
@option("--yes", "is_sure", key="yes", is_flag=True)
@pass_output
def erase(output: Output, ids: tuple[str, ...], everything: bool, is_sure: bool) -> None:
    if bool(ids) == everything:
        raise UsageError(t("memory.which"), t("memory.none_hint"))
    with house(output) as parts:
        if everything and not is_sure:
            _ask(len(parts.kept.memories.all()), output)
        erased = parts.kept.memories.erase(None if everything else ids)
    if output.json:
        output.emit(asdict(erased))
        return
    output.line(t("memory.erased", count=erased.memories))
    if not erased.is_erased:
        output.note(t("memory.not_erased"))


@command("export", memory)
@option("--output", "file", key="output", metavar="FILE", type=click.Path(path_type=Path))
@pass_output
def export(output: Output, file: Path | None) -> None:
    from ondol.cli.writing import new_file
    from ondol.memory.carrying import as_json

    with house(output) as parts:
        everything = parts.kept.memories.carrying.everything()
    found = everything.memories
    text = json.dumps(as_json(everything), ensure_ascii=False, indent=2) + "\n"
    if file is None:
        output.write(text)
        return
    with new_file(file) as target:
        target.write(text)
    if output.json:
        output.emit({"file": str(file), "memories": len(found)})
    else:
        output.line(t("memory.exported", count=len(found), file=file))


@command("import", memory)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@pass_output
def take_in(output: Output, file: Path) -> None:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UsageError(t("memory.bad_file"), t("memory.bad_file_hint")) from error
    with house(output) as parts:
        taken = parts.kept.memories.carrying.take_in(data)
    if output.json:
        output.emit(asdict(taken))
        return
    output.line(t("memory.imported", count=taken.memories, personas=taken.personas))
    if taken.known:
        output.note(t("memory.imported_known", count=taken.known))


def report(output: Output, one: Memory, told: str) -> None:
    if output.json:
        output.emit(labelled_json(one))
    elif output.quiet:
        output.line(one.id[:SHORT_ID])
    else:
        output.line(told)


def _ask(count: int, output: Output) -> None:
    if not sys.stdin.isatty() or output.json:
        raise UsageError(t("memory.needs_yes", count=count), t("memory.needs_yes_hint"))
    click.confirm(t("memory.sure", count=count), abort=True, err=True)

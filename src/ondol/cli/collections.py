"""``ondol collection`` and ``ondol sensitivity``: where documents belong, how far they may go."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli.command import Group, PathName, command, option, pass_output, words
from ondol.cli.house import house
from ondol.cli.output import Output, clean, name_line, place
from ondol.errors import DocumentNotFoundError
from ondol.i18n import t
from ondol.json import labelled_json, sensitivity_of, sensitivity_word
from ondol.types import Sensitivity

if TYPE_CHECKING:
    from ondol.retrieval.collections import Relabelling

WORDS = click.Choice([sensitivity_word(level) for level in Sensitivity], case_sensitive=False)

collection = Group("collection", help=t("cli.collection_help"), subcommand_metavar="COMMAND …")


@command("list", collection)
@pass_output
def list_collections(output: Output) -> None:
    from ondol.models.blobs import readable_size

    with house(output) as parts:
        found = parts.library.collections.all()
    if output.json:
        output.emit({"collections": [labelled_json(one) for one in found]})
        return
    rows = [
        (
            one.name,
            sensitivity_word(one.sensitivity),
            str(one.documents),
            str(one.chunks),
            readable_size(one.size_bytes),
            str(one.limited) if one.limited else "–",
        )
        for one in found
    ]
    columns = ("name", "sensitivity", "documents", "chunks", "size", "limited")
    output.table([t(f"cli.column_{name}") for name in columns], rows)


@command("create", collection)
@click.argument("name", type=words)
@option("--sensitivity", key="sensitivity", type=WORDS, default="private")
@pass_output
def create(output: Output, name: str, sensitivity: str) -> None:
    with house(output) as parts:
        made = parts.library.collections.create(name, sensitivity_of(sensitivity))
    if output.json:
        output.emit(labelled_json(made))
        return
    output.line(t("cli.collection_created", name=clean(made.name), sensitivity=sensitivity))
    output.note(t("cli.collection_created_hint", name=clean(made.name)))


@command("set", collection)
@click.argument("name", type=words)
@click.argument("sensitivity", type=WORDS)
@pass_output
def set_sensitivity(output: Output, name: str, sensitivity: str) -> None:
    level = sensitivity_of(sensitivity)
    with house(output) as parts:
        done = parts.library.collections.set_sensitivity(name, level)
        changed = parts.library.collections.get(name)
    if output.json:
        output.emit(labelled_json(changed) | asdict(done))
        return
    output.line(t("cli.sensitivity_set", name=clean(changed.name), sensitivity=sensitivity))
    _show_change(done, level, output)


@command("rename", collection)
@click.argument("name", type=words)
@click.argument("new_name", type=words)
@pass_output
def rename(output: Output, name: str, new_name: str) -> None:
    with house(output) as parts:
        renamed = parts.library.collections.rename(name, new_name)
    if output.json:
        output.emit(labelled_json(renamed))
    else:
        output.line(t("cli.collection_renamed", name=clean(name), new_name=clean(renamed.name)))


@command("rm", collection)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=words)
@pass_output
def rm(output: Output, names: tuple[str, ...]) -> None:
    with house(output) as parts:
        parts.library.collections.remove(*names)
    if output.json:
        output.emit({"removed": list(names)})
        return
    for name in names:
        output.line(t("cli.collection_removed", name=clean(name)))


@command("sensitivity")
@click.argument("path", required=False, type=PathName())
@click.argument("sensitivity", required=False, type=WORDS)
@pass_output
def limit(output: Output, path: Path | None, sensitivity: str | None) -> None:
    if path is None:
        _list_limits(output)
    elif sensitivity is None:
        _show_labels(path, output)
    else:
        level = sensitivity_of(sensitivity)
        with house(output) as parts:
            done = parts.library.collections.set_limit(path, level)
        if output.json:
            output.emit({"path": str(path), "sensitivity": sensitivity} | asdict(done))
            return
        word = "limit_taken" if level == Sensitivity.PUBLIC else "sensitivity_set"
        output.line(t(f"cli.{word}", name=name_line(str(path)), sensitivity=sensitivity))
        _show_change(done, level, output)


def _list_limits(output: Output) -> None:
    with house(output) as parts:
        found = parts.library.collections.limits()
    if output.json:
        output.emit({"limits": [labelled_json(one) for one in found]})
        return
    rows = [
        (one.path if output.quiet else place(one.path), sensitivity_word(one.sensitivity))
        for one in found
    ]
    output.table([t(f"cli.column_{name}") for name in ("path", "sensitivity")], rows)
    if not rows:
        output.note(t("cli.no_limits"))


def _show_labels(path: Path, output: Output) -> None:
    from ondol.cli.documents import show_documents
    from ondol.retrieval.collections import names_of
    from ondol.retrieval.filters import Filter

    with house(output) as parts:
        library, names = parts.library, names_of(path)
        found = library.documents(where=Filter(paths=tuple(names)))
        places = {one.path for one in library.collections.limits()}
        places |= {one.path for one in library.folders()}
        if not found and places.isdisjoint(names):
            raise DocumentNotFoundError(
                t("library.not_in_library", path=path), t("library.not_in_library_hint")
            )
    show_documents(found, output)


def _show_change(done: Relabelling, level: Sensitivity, output: Output) -> None:
    """One sentence about what may travel now that might not before."""
    if done.loosened:
        output.line(t(f"cli.loosened_{sensitivity_word(level)}", count=done.loosened))
    if done.tightened:
        output.line(t("cli.tightened", count=done.tightened))

"""``ondol create``: a model of one's own from a Modelfile."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli.command import PathName, command, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.json import model_json

if TYPE_CHECKING:
    from ondol.models.making import Recipe
    from ondol.models.modelfile import Modelfile
    from ondol.models.store import ModelStore


@command("create")
@click.argument("name")
@option("-f", "--file", "file", key="modelfile", type=PathName(), metavar="FILE", default=None)
@pass_output
def create(output: Output, name: str, file: Path | None) -> None:
    from ondol.models import modelfile
    from ondol.models.making import make

    given = modelfile.parse(_read(file or Path("Modelfile")))
    folder = Path() if file is None or str(file) == "-" else file.parent
    with house(output) as parts:
        model = make(
            name, _recipe(given, folder, parts.store), parts.store, parts.adapters, output.note
        )
    if output.json:
        output.emit(model_json(model))
    else:
        output.line(model.name if output.quiet else t("cli.created", name=model.name))
        output.note(t("cli.created_hint", name=model.name))


def _read(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UsageError(t("models.no_such_path", path=file), t("cli.modelfile_hint")) from None


def _recipe(given: Modelfile, folder: Path, store: ModelStore) -> Recipe:
    """What the Modelfile says. What is a file beside it is read, all else is a model's name."""
    from ondol.models.making import Recipe

    sources = {one: _files(one, folder) for one in given.sources}
    names = [one for one, files in sources.items() if not files]
    files = [file for found in sources.values() for file in found]
    if len(names) > 1 or (names and files):
        raise UsageError(t("making.one_source"), param="from")
    adapters = [folder / Path(one).expanduser() for one in given.adapters]
    return Recipe(
        source=names[0] if names else "",
        files=_taken(files, store),
        adapters=_taken(adapters, store),
        system=given.system,
        template=given.template,
        parameters=given.parameters,
        messages=given.messages,
        licences=given.licences,
    )


def _files(source: str, folder: Path) -> Sequence[Path]:
    path = folder / Path(source).expanduser()
    if path.is_dir():
        return sorted(path.glob("*.gguf"))
    return [path] if path.is_file() else []


def _taken(files: Sequence[Path], store: ModelStore) -> dict[str, str]:
    from ondol.models import incoming

    return {file.name: incoming.take(store.blobs, file) for file in files}

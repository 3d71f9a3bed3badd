"""``ondol pull``, ``list``, ``show``, ``cp`` and ``rm``: the models on this machine."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli.command import command, model_argument, option, pass_output
from ondol.cli.filtering import Wanted, filter_options
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.errors import AdapterNotFoundError, ModelError, UsageError
from ondol.i18n import t
from ondol.json import model_json

if TYPE_CHECKING:
    from ondol.cli.remote import Server
    from ondol.models.adapters import Adapter
    from ondol.models.store import Model
    from ondol.parts import Parts


@command("pull")
@click.argument("name", shell_complete=lambda c, p, i: _catalogue_names(i))
@option("--projector", key="pull_projector", type=click.Path(path_type=Path))
@pass_output
def pull(output: Output, name: str, projector: Path | None) -> None:
    from ondol.cli.pulling import pull_with_progress

    with house(output) as parts:
        model = pull_with_progress(parts, name, output, projector)
        stale = [one for one in parts.adapters.list(model.name) if one.stale]
    for one in stale:
        output.warn(t("adapters.stale", name=one.full_name, model=one.model))
    if output.json:
        output.emit(model_json(model))
        return
    from ondol.models.blobs import readable_size

    output.line(t("cli.pulled", name=model.name, size=readable_size(model.size_bytes)))
    output.note(t(f"cli.pulled_hint_{model.kind}", name=model.name))


@command("list")
@option("--documents", key="documents", is_flag=True)
@option("--failed", key="failed", is_flag=True)
@option("--folders", key="folders", is_flag=True)
@filter_options
@pass_output
def list_models(
    output: Output, documents: bool, failed: bool, folders: bool, where: Wanted
) -> None:
    from ondol.cli.documents import list_documents
    from ondol.models.blobs import readable_size

    if folders or failed:
        from ondol.cli.add import show_failures, show_folders

        (show_folders if folders else show_failures)(output)
        return
    if documents or where:
        list_documents(output, where)
        return
    with house(output) as parts:
        models = parts.store.list()
        damaged = parts.store.damaged()
    if output.json:
        output.emit({"models": [model_json(model) for model in models]})
        return
    rows = [
        (
            model.name,
            readable_size(model.size_bytes),
            model.quantization or "–",
            f"{model.context_length:,}" if model.context_length else "–",
            _age(model.modified_at),
        )
        for model in models
    ]
    columns = ("name", "size", "quantization", "context", "modified")
    output.table([t(f"cli.column_{name}") for name in columns], rows)
    for path in damaged:
        output.warn(t("cli.damaged_model", path=path))
    if not rows:
        output.note(t("cli.no_models"))


@command("show")
@model_argument()
@pass_output
def show(output: Output, name: str) -> None:
    from ondol.cli.adapters import show_adapter
    from ondol.models.blobs import readable_size
    from ondol.models.tuned import tuned

    with house(output) as parts:
        model, adapter = parts.adapters.resolve(name)
        if adapter is not None:
            show_adapter(output, adapter)
            return
        files = [
            {"role": f.role, "name": f.name, "digest": f.digest, "size_bytes": f.size_bytes}
            for f in model.files
        ]
        record = tuned(parts.store, model)
    if output.json:
        output.emit({**model_json(model), "files": files, "tuned": record and record.format})
        return
    for key, value in [*_facts(model), *([("tuned", record.format)] if record else [])]:
        output.line(f"{click.style(t(f'cli.fact_{key}'), bold=True)}: {value}")
    for file in model.files:
        output.line(f"  {file.name}  {readable_size(file.size_bytes)}  {file.digest}", dim=True)


@command("cp")
@model_argument(name="source")
@click.argument("destination")
@pass_output
def cp(output: Output, source: str, destination: str) -> None:
    from ondol.models.making import duplicate

    with house(output) as parts:
        parts.adapters.refuse(source, "copy")
        model = duplicate(source, destination, parts.store, parts.adapters)
    if output.json:
        output.emit(model_json(model))
    else:
        output.line(t("cli.copied", source=source, destination=model.name))


@command("rm")
@model_argument(name="names", nargs=-1, required=True, metavar="NAME...")
@pass_output
def rm(output: Output, names: tuple[str, ...]) -> None:
    from ondol.cli import remote
    from ondol.models.blobs import readable_size

    removed = []
    with house(output) as parts:
        server = remote.find(parts.config)
        for name in names:
            freed_bytes = _remove(parts, server, name)
            removed.append({"name": name, "freed_bytes": freed_bytes})
            if not output.json:
                size = readable_size(freed_bytes)
                output.line(name if output.quiet else t("cli.removed", name=name, size=size))
    if output.json:
        output.emit({"removed": removed})


def _remove(parts: Parts, server: Server | None, name: str) -> int:
    """Remove a model or an adapter; the bytes freed."""
    adapter = _adapter(parts, name)
    if adapter is not None:
        return parts.adapters.remove(adapter.model, adapter.name)
    if server is not None:
        # Otherwise the running server would go on answering with it.
        with suppress(ModelError):
            server.unload(name)
    with suppress(ModelError, UsageError):  # what is wrong, the store says
        parts.adapters.forget_private(name)
    return parts.store.remove(name)


def _adapter(parts: Parts, name: str) -> Adapter | None:
    """The adapter that ``name`` means, perhaps a stale one; None where it means a model."""
    try:
        return parts.adapters.resolve(name)[1]
    except AdapterNotFoundError:
        return parts.adapters.find(name)
    except (ModelError, UsageError):
        return None  # a damaged model can be removed; what else is wrong, the store says


def _facts(model: Model) -> list[tuple[str, str]]:
    from ondol.models.blobs import readable_size

    known = {
        "name": model.name,
        "kind": model.kind,
        "family": model.family,
        "parameters": f"{model.parameters:,}" if model.parameters else "",
        "quantization": model.quantization,
        "context": f"{model.context_length:,}" if model.context_length else "",
        "dimensions": f"{model.embedding_length:,}" if model.embedding_length else "",
        "size": readable_size(model.size_bytes),
        "format": model.format,
        "licence": model.licence,
        "source": model.source,
        "parent": model.made.parent if model.made else "",
        "system": model.made.system if model.made else "",
        "digest": model.digest,
    }
    return [(key, value) for key, value in known.items() if value]


def _age(moment: datetime) -> str:
    """``3 days ago``."""
    seconds = max(0, (datetime.now(moment.tzinfo) - moment).total_seconds())
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            return t(f"cli.age_{unit}", count=int(seconds // length))
    return t("cli.age_now")


def _catalogue_names(incomplete: str) -> list[str]:
    from ondol.models import catalog

    return [entry.name for entry in catalog.load() if entry.name.startswith(incomplete)]

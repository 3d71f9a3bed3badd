"""``ondol adapters``: small additions to a model, by name: ``smollm2:135m:grounding``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli import activations, adapters_merging
from ondol.cli.adapters_group import adapters, complete_adapters
from ondol.cli.command import command, complete_models, model_argument, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output, clean
from ondol.i18n import t
from ondol.json import adapter_json

if TYPE_CHECKING:
    from ondol.models.adapters import Adapter

__all__ = ["activations", "adapters", "adapters_merging", "show_adapter"]


@command("list", adapters)
@model_argument(name="model", required=False)
@pass_output
def list_adapters(output: Output, model: str | None) -> None:
    from ondol.models.blobs import readable_size

    with house(output) as parts:
        found = parts.adapters.list(model)
    if output.json:
        output.emit({"adapters": [adapter_json(one) for one in found]})
        return
    rows = [
        (
            one.full_name,
            readable_size(one.size_bytes),
            str(one.r),
            t("cli.adapter_stale") if one.stale else ", ".join(one.languages) or "–",
            one.description or "–",
        )
        for one in found
    ]
    columns = ("name", "size", "rank", "languages", "description")
    output.table([t(f"cli.column_{name}") for name in columns], rows)
    if not rows:
        output.note(t("cli.no_adapters"))


@command("show", adapters)
@click.argument("name", shell_complete=complete_adapters)
@pass_output
def show(output: Output, name: str) -> None:
    with house(output) as parts:
        found = parts.adapters.find(name)
    show_adapter(output, found)


@command("add", adapters)
@click.argument("file", type=click.Path(path_type=Path))
@option("--model", key="adapter_model", metavar="NAME", shell_complete=complete_models)
@option("--name", key="adapter_name", metavar="NAME", required=True)
@option("--description", key="description", metavar="TEXT", default="")
@pass_output
def add(output: Output, file: Path, model: str | None, name: str, description: str) -> None:
    with house(output) as parts:
        made = parts.adapters.add(
            file, name=name, model=model or parts.config["models.chat"], description=description
        )
    if output.json:
        output.emit(adapter_json(made))
    elif output.quiet:
        output.line(made.full_name)
    else:
        output.line(t("cli.adapter_added", name=made.full_name))
        output.note(t("cli.adapter_added_hint", name=made.full_name))


@command("rm", adapters)
@click.argument(
    "names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_adapters
)
@pass_output
def rm(output: Output, names: tuple[str, ...]) -> None:
    from ondol.models.blobs import readable_size

    removed = []
    with house(output) as parts:
        for name in names:
            found = parts.adapters.find(name)
            freed_bytes = parts.adapters.remove(found.model, found.name)
            removed.append({"name": found.full_name, "freed_bytes": freed_bytes})
            if not output.json:
                size = readable_size(freed_bytes)
                output.line(name if output.quiet else t("cli.removed", name=name, size=size))
    if output.json:
        output.emit({"removed": removed})


def show_adapter(output: Output, one: Adapter) -> None:
    """All about one adapter."""
    from ondol.models.blobs import readable_size
    from ondol.personal.gating import EVALUATION

    if output.json:
        output.emit(adapter_json(one))
        return
    known = {
        "name": one.full_name,
        "description": one.description,
        "base": one.model,
        "size": readable_size(one.size_bytes),
        "rank": f"{one.r} (alpha {one.lora_alpha:g})",
        "modules": ", ".join(one.target_modules),
        "languages": ", ".join(one.languages),
        "digest": one.digest,
        "base_digest": one.base_digest,
        "template": one.template,
        "abstention_bias": f"{one.abstention_bias:+g}" if one.abstention_bias else "",
        "created": one.created_at.date().isoformat(),
        "trained_on": _told(one.trained_on),
        "evaluation": _told({k: v for k, v in one.evaluation.items() if k != EVALUATION}),
    }
    for key, value in known.items():
        if value:
            output.line(f"{click.style(t(f'cli.fact_{key}'), bold=True)}: {clean(value)}")
    activations.show_verdict(output, one)
    if one.stale:
        why = "adapters.outdated" if one.is_outdated else "adapters.stale"
        output.warn(t(why, name=one.full_name, model=one.model))


def _told(facts: object) -> str:
    return json.dumps(facts, ensure_ascii=False) if facts else ""

"""``ondol adapters merge``, ``compare`` and ``export``: adapters beside each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.adapters_group import adapters, complete_adapters
from ondol.cli.command import PathName, command, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output, clean
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.json import adapter_json

if TYPE_CHECKING:
    from ondol.personal.merging import Comparison


@command("merge", adapters, help=t("merging.merge_help"))
@click.argument(
    "names", nargs=-1, required=True, metavar="A B...", shell_complete=complete_adapters
)
@click.option("--name", metavar="NAME", required=True, help=t("merging.option_name"))
@click.option("--r", "r", type=int, default=0, metavar="R", help=t("merging.option_r"))
@click.option("--weights", metavar="W,W", default="", help=t("merging.option_weights"))
@pass_output
def merge(output: Output, names: tuple[str, ...], name: str, r: int, weights: str) -> None:
    from ondol.personal import merging

    counted = _weights(weights)
    with house(output) as parts:
        made = merging.merge(parts, names, name, weights=counted, r=r)
    if output.json:
        output.emit({"adapter": adapter_json(made.adapter), "kept": round(made.kept, 6)})
    elif output.quiet:
        output.line(made.adapter.full_name)
    else:
        kept = f"{100 * made.kept:.1f} %"
        called = made.adapter.full_name
        output.line(t("merging.merged", name=called, kept=kept, names=", ".join(names)))
        output.note(t("merging.merged_hint", name=called))


@command("compare", adapters, help=t("merging.compare_help"))
@click.argument("name", metavar="A", shell_complete=complete_adapters)
@click.argument("other", metavar="B", shell_complete=complete_adapters)
@pass_output
def compare(output: Output, name: str, other: str) -> None:
    from ondol.personal import merging

    with house(output) as parts:
        found = merging.compare(parts, name, other)
    if output.json:
        output.emit(found.json())
        return
    _show(output, found)


@command("export", adapters, help=t("merging.export_help"))
@click.argument("name", shell_complete=complete_adapters)
@click.option(
    "--output", "-o", "file", type=PathName(), metavar="FILE", help=t("merging.option_output")
)
@pass_output
def export(output: Output, name: str, file: Path | None) -> None:
    from ondol.personal import merging

    with house(output) as parts:
        found = parts.adapters.find(name)
        destination = file or Path(f"{found.name}.gguf")
        written, manifest = merging.export(parts, name, destination)
        is_personal = merging.is_personal(parts, found)
    if output.json:
        about = {"file": str(written), "manifest": str(manifest), "is_personal": is_personal}
        output.emit({"name": found.full_name, **about})
    elif output.quiet:
        output.line(str(written))
    else:
        output.line(t("merging.exported", file=written, manifest=manifest))
        if is_personal:
            output.warn(t("merging.exported_personal"))


def _weights(text: str) -> list[float] | None:
    try:
        return [float(part) for part in text.split(",")] if text.strip() else None
    except ValueError:
        raise UsageError(t("merging.weights", weights=text), param="weights") from None


def _show(output: Output, found: Comparison) -> None:
    one, other = found.adapters
    columns = [
        t("merging.column_module"),
        *(t("merging.column_norm", name=adapter.name) for adapter in found.adapters),
        *(t(f"merging.column_{name}") for name in ("cosine", "overlap")),
    ]
    rows = [
        (
            t("merging.all") if row.module == "all" else row.module,
            f"{row.norm_a:.3f}",
            f"{row.norm_b:.3f}",
            *("–" if x is None else f"{x:.3f}" for x in (row.cosine, row.overlap)),
        )
        for row in found.rows
    ]
    output.table(columns, rows)
    output.note(t("merging.explain"))
    for adapter in (one, other):
        if adapter.evaluation:
            told = json.dumps(_brief(adapter.evaluation), ensure_ascii=False)
            output.line(f"{t('merging.evaluated')} {adapter.full_name}: {clean(told)}")


def _brief(evaluation: Any) -> Any:
    """The numbers of an evaluation, without the texts of what was asked."""
    if isinstance(evaluation, dict):
        return {k: _brief(v) for k, v in evaluation.items() if not isinstance(v, str | list)}
    return round(evaluation, 4) if isinstance(evaluation, float) else evaluation

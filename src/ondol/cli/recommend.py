"""``ondol recommend``: which models suit this machine, or another."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import command, option, pass_output
from ondol.cli.output import Output
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.models.recommendation import Recommendation


@command("recommend")
@option("--ram", key="ram", metavar="SIZE")
@option("--kind", key="kind", type=click.Choice(("chat", "embedding", "reranker")), default="chat")
@option("--good-for", key="good_for", metavar="TOPIC")
@option("--limit", key="rows", type=click.IntRange(1, 1000), default=5, metavar="N")
@pass_output
def recommend(output: Output, ram: str | None, kind: str, good_for: str | None, limit: int) -> None:
    from ondol.models import catalog
    from ondol.models.hardware import machine
    from ondol.models.recommendation import parse_size, show_size
    from ondol.models.recommendation import recommend as judge

    place = parse_size(ram) if ram else machine()
    found = judge(catalog.load(), place, kind=kind, limit=limit, good_for=good_for)
    if output.json:
        output.emit({"models": [_json(each) for each in found]})
        return
    if output.quiet:
        output.table(["name"], [(each.entry.name,) for each in found])
        return
    for each in found:
        head = click.style(each.entry.name, bold=True)
        output.line(f"{head}  {show_size(each.entry.size_bytes)}")
        output.line(f"   {each.why}", dim=True)
    if found:
        output.note(t("cli.recommend_hint", name=found[0].entry.name))
    else:
        output.note(t("cli.nothing_fits"))


def _json(each: Recommendation) -> dict[str, Any]:
    entry = asdict(each.entry)
    shown = ("name", "kind", "size_bytes", "parameters", "context_length", "licence", "good_for")
    return {
        **{name: entry[name] for name in shown},
        "fits": each.fits,
        "need_bytes": each.need_bytes,
        "why": each.why,
    }

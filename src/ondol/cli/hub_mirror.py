"""``ondol hub fetch``, ``waiting`` and ``refuse``: what a mirror brought, before it is approved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli.command import command, pass_output, words
from ondol.cli.house import house
from ondol.cli.hub_group import hub
from ondol.cli.hub_keys import hub_argument
from ondol.cli.hub_serve import source_of, upstream_options
from ondol.cli.output import Output, clean, one_line
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.hub.mirror.quarantine import Held, Quarantine


@command("fetch", hub, help=t("hub_mirror.fetch_help"))
@hub_argument
@click.argument("repository", type=words, metavar="REPOSITORY[@REVISION]")
@upstream_options
@click.option(
    "--file",
    "paths",
    multiple=True,
    type=words,
    metavar="PATH",
    help=t("hub_mirror.option_file"),
)
@pass_output
def fetch(
    output: Output,
    folder: Path,
    repository: str,
    upstream: str | None,
    most_gb: int,
    paths: tuple[str, ...],
) -> None:
    from ondol.hub.mirror.bringing import name_of
    from ondol.hub.mirror.front import HUGGING_FACE, bringer
    from ondol.hub.mirror.pulling import check
    from ondol.models.patience import Watch

    source = source_of(upstream or HUGGING_FACE, most_gb)
    assert source is not None
    name, _, revision = repository.partition("@")
    with house(output) as parts:
        _quarantine(folder)
        one = bringer(folder, parts.egress, source)
        pinned = one.upstream.pin(name, revision or "main")
        for path in paths:
            check(pinned, path)
        # Its operator asks for it, whatever was decided before.
        one.quarantine.admit(name_of(pinned))
        with output.bar(0, desc=clean(name), unit="B", unit_scale=True) as bar:

            def told(done: int, total: int | None) -> None:
                bar.total = total
                bar.update(done - bar.n)

            held = one.bring(pinned, paths, Watch(told))
    if output.json:
        output.emit(held.json())
    elif output.quiet:
        output.line(held.name)
    else:
        _describe(output, held)
        output.note(t("hub_mirror.fetched_hint", folder=folder, held=held.name))


@command("waiting", hub, help=t("hub_mirror.waiting_help"))
@hub_argument
@click.argument("name", type=words, required=False)
@pass_output
def waiting(output: Output, folder: Path, name: str | None) -> None:
    quarantine = _quarantine(folder)
    if name is not None:
        held = quarantine.get(name)
        if output.json:
            output.emit(held.json())
        else:
            _describe(output, held)
        return
    found, refused = quarantine.list(), quarantine.refusals()
    if output.json:
        output.emit({"waiting": [held.json() for held in found], "refused": refused})
    elif output.quiet:
        for held in found:
            output.line(held.name)
    elif not found:
        output.note(t("hub_mirror.nothing_waits"))
    else:
        columns = [
            t(f"hub_mirror.column_{one}")
            for one in ("name", "repository", "revision", "size", "since")
        ]
        rows = [
            (
                held.name,
                held.origin.repository,
                one_line(held.origin.revision),
                _size(held.size_bytes),
                _when(held.held_at),
            )
            for held in found
        ]
        output.table(columns, rows)
    if not output.json:
        for one, why in refused.items():
            output.note(t("hub_mirror.was_refused", name=one, why=one_line(why)))


@command("refuse", hub, help=t("hub_mirror.refuse_help"))
@hub_argument
@click.argument("name", type=words)
@pass_output
def refuse(output: Output, folder: Path, name: str) -> None:
    quarantine = _quarantine(folder)
    held = quarantine.get(name)
    with quarantine.holding(held.name):
        why = t("hub_mirror.refused_by_operator")
        quarantine.refuse(held.name, why, held.origin.repository, held.origin.commit)
    if output.json:
        output.emit({"refused": held.name, "repository": held.origin.repository})
    else:
        output.line(t("hub_mirror.is_refused", name=clean(held.origin.repository)))


def _quarantine(folder: Path) -> Quarantine:
    """That of the hub in ``folder``; HubNotFoundError where there is none."""
    from ondol.hub.mirror.front import hub_in
    from ondol.hub.mirror.quarantine import Quarantine

    hub_in(folder)
    return Quarantine(folder)


def _describe(output: Output, held: Held) -> None:
    """What an operator needs to know before saying yes."""
    card, origin = held.card, held.origin
    output.line(t("hub_mirror.held", name=clean(origin.repository), commit=origin.commit))
    facts = (
        ("revision", origin.revision),
        ("licence", card.licence),
        ("architecture", " ".join(one for one in (card.architecture, card.quantization) if one)),
        ("size", _size(held.size_bytes)),
        ("scanned", t("hub_mirror.scan_clean" if held.report.get("ok") else "hub_mirror.scan_bad")),
    )
    for key, value in facts:
        output.line(f"  {t(f'hub_mirror.fact_{key}')}: {one_line(value) or '–'}")
    for file in origin.files:
        output.line(f"  {_size(file.size_bytes):>10}  {one_line(file.path)}")
    for path, why in held.left_out.items():
        output.line("  " + t("hub_mirror.without", path=one_line(path), why=one_line(why)))


def _size(size_bytes: int) -> str:
    from ondol.models.blobs import readable_size

    return readable_size(size_bytes)


def _when(moment: str) -> str:
    return moment[:16].replace("T", " ")

"""``ondol feedback``: what a model may learn from. Agree to it, see it, take it out again."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli.collections import WORDS
from ondol.cli.command import Group, command, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output, one_line
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.json import sensitivity_of

if TYPE_CHECKING:
    from ondol.personal.forgetting import Receipt
    from ondol.samples.records import Added, Source

KIND = click.Choice(["sft", "preference", "thumb"])
PERSONAL = click.Choice(["keep", "skip", "redact"])
DEPENDENTS = click.Choice(["stale", "remove", "retrain"])
SHORT_ID = 8

feedback = Group("feedback", help=t("cli.feedback_help"), subcommand_metavar="COMMAND …")


@command("sources", feedback, help=t("samples.sources_help"))
@pass_output
def sources(output: Output) -> None:
    with house(output) as parts:
        samples = parts.kept.samples
        counts, found = samples.counts(), samples.sources()
    if output.json:
        output.emit({"sources": [one.json(counts.get(one.id)) for one in found]})
        return
    columns = ("id", "kind", "name", "samples", "held_out", "since")
    output.table(
        [t(f"samples.column_{name}") for name in columns],
        [
            (
                one.id[:SHORT_ID],
                t(f"samples.kind_{one.kind}"),
                one_line(one.name),
                str(sum(n for kind, n in counts.get(one.id, {}).items() if kind != "held_out")),
                str(counts.get(one.id, {}).get("held_out", 0)),
                one.consented_at[:10],
            )
            for one in found
        ],
    )
    if not found:
        output.note(t("samples.nothing"))


@command("collect", feedback, help=t("samples.collect_help"))
@option("--personal", key="personal", type=PERSONAL, default="keep")
@option("--yes", "is_sure", key="yes", is_flag=True)
@pass_output
def collect(output: Output, personal: str, is_sure: bool) -> None:
    from ondol.personal import collecting

    with house(output) as parts:
        if collecting.source_of(parts) is None:
            said = len(parts.kept.conversations.opinions.all())
            _ask(t("samples.agree_feedback", count=said), output, is_sure)
            collecting.agree(parts, personal=personal)
        done = collecting.collect(parts)
        source = collecting.source_of(parts)
    assert source is not None
    _report(output, source, done.added)
    if done.gone.samples and not output.json:
        output.note(t("samples.taken_back", count=done.gone.samples))


@command("import", feedback, help=t("samples.import_help"))
@click.argument("path", type=click.Path(path_type=Path))
@option("--name", key="samples_name", metavar="NAME", default="")
@option("--from", "owners", key="samples_from", metavar="ADDRESS", multiple=True)
@option("--personal", key="personal", type=PERSONAL, default="keep")
@option("--sensitivity", key="sensitivity", type=WORDS, default="private")
@option("--yes", "is_sure", key="yes", is_flag=True)
@pass_output
def import_samples(
    output: Output,
    path: Path,
    name: str,
    owners: tuple[str, ...],
    personal: str,
    sensitivity: str,
    is_sure: bool,
) -> None:
    from ondol.personal import importing

    path = path.expanduser().resolve()
    with house(output) as parts:
        reading = importing.look(path, owners=owners)
        _ask(importing.question(reading, str(path)), output, is_sure)
        source, added = importing.take(
            parts,
            reading,
            name or path.name,
            origin=str(path),
            personal=personal,  # type: ignore[arg-type]
            sensitivity=sensitivity_of(sensitivity),
        )
    _report(output, source, added)
    if not output.json:
        for told in reading.skipped:
            output.note(told)


@command("list", feedback, help=t("samples.list_help"))
@option("--source", key="samples_source", metavar="ID")
@option("--kind", key="samples_kind", type=KIND)
@option("--held-out", "held_out", key="samples_held_out", is_flag=True)
@pass_output
def list_samples(output: Output, source: str | None, kind: str | None, held_out: bool) -> None:
    with house(output) as parts:
        found = parts.kept.samples.all(
            source=source,
            kind=kind,  # type: ignore[arg-type]
            held_out=True if held_out else None,
        )
    if output.json:
        output.emit({"samples": [one.json() for one in found]})
        return
    columns = ("id", "kind", "language", "asked", "reply")
    output.table(
        [t(f"samples.column_{name}") for name in columns],
        [
            (
                one.id[:SHORT_ID],
                t(f"samples.kind_{one.kind}")
                + (f" {t('samples.held')}" if one.is_held_out else ""),
                one.language,
                one_line(one.messages[-1].content),
                one_line(one.reply),
            )
            for one in found
        ],
    )
    if not found:
        output.note(t("samples.nothing"))


@command("show", feedback, help=t("samples.show_help"))
@click.argument("id")
@pass_output
def show(output: Output, id: str) -> None:
    with house(output) as parts:
        samples = parts.kept.samples
        one = samples.get(id)
        source = samples.source(one.source)
        digests = samples.adapters_of([one.id])
        adapters = sorted(a.full_name for a in parts.adapters.list() if a.digest in digests)
    if output.json:
        output.emit({**one.json(), "adapters": adapters})
        return
    rows = [("id", one.id), ("kind", t(f"samples.kind_{one.kind}")), ("name", source.name)]
    rows += [("language", one.language), ("adapters", ", ".join(adapters))]
    rows += [("held_out", t("samples.held"))] if one.is_held_out else []
    for key, value in rows:
        if value:
            output.line(f"{t(f'samples.column_{key}')}: {value}")
    for message in one.messages:
        output.line(f"\n{message.role}:\n{message.content}")
    output.line(f"\n{t('samples.column_reply')}:\n{one.reply}")
    if one.rejected is not None:
        output.line(f"\n{t('samples.column_rejected')}:\n{one.rejected}")
    if one.is_desirable is not None:
        output.line("\n" + t("samples.liked" if one.is_desirable else "samples.disliked"))


@command("rm", feedback, help=t("samples.rm_help"))
@click.argument("ids", nargs=-1, metavar="[ID]…")
@option("--source", key="samples_source", metavar="ID")
@option("--adapters", "dependents", key="samples_adapters", type=DEPENDENTS, default="stale")
@option("--yes", "is_sure", key="yes", is_flag=True)
@pass_output
def rm(
    output: Output, ids: tuple[str, ...], source: str | None, dependents: str, is_sure: bool
) -> None:
    from ondol.cli.forget import unload_named
    from ondol.personal.forgetting import forget_samples

    if bool(ids) == bool(source):
        raise UsageError(t("samples.which"), t("samples.no_sample_hint"))
    with house(output) as parts:
        samples = parts.kept.samples
        if source:
            _ask(
                t(
                    "samples.sure_source",
                    name=samples.source(source).name,
                    count=len(samples.all(source=source)),
                ),
                output,
                is_sure,
            )
        receipt = forget_samples(
            parts,
            None if source else ids,
            source=source,
            dependents=dependents,  # type: ignore[arg-type]
            unload=lambda models: unload_named(parts.config, models),
        )
    if output.json:
        output.emit(receipt.json())
    else:
        _show(receipt, output)


@command("export", feedback, help=t("samples.export_help"))
@option("--output", "file", key="output", metavar="FILE", type=click.Path(path_type=Path))
@option("--source", key="samples_source", metavar="ID")
@option("--kind", key="samples_kind", type=KIND)
@pass_output
def export(output: Output, file: Path | None, source: str | None, kind: str | None) -> None:
    from ondol.cli.writing import new_file
    from ondol.samples.exporting import lines

    with house(output) as parts:
        found = parts.kept.samples.all(source=source, kind=kind)  # type: ignore[arg-type]
    if file is None:
        for line in lines(found):
            output.write(line)
        return
    with new_file(file) as target:
        target.writelines(lines(found))
    if output.json:
        output.emit({"file": str(file), "samples": len(found)})
    else:
        output.line(t("samples.exported", count=len(found), file=file))


def _ask(question: str, output: Output, is_sure: bool) -> None:
    if is_sure:
        return
    if not sys.stdin.isatty() or output.json:
        raise UsageError(f"{question} {t('samples.needs_yes')}", t("samples.needs_yes_hint"))
    click.confirm(question, abort=True, err=True)


def _report(output: Output, source: Source, added: Added) -> None:
    if output.json:
        output.emit({"source": source.id, **_added(added)})
        return
    if output.quiet:
        output.line(source.id[:SHORT_ID])
        return
    output.line(
        t("samples.added", count=len(added.added), name=source.name, id=source.id[:SHORT_ID])
    )
    if added.duplicates:
        output.note(t("samples.duplicates", count=added.duplicates))
    for code, count in sorted(added.refused.items()):
        output.note(t(f"samples.refused_{code}", count=count))


def _added(added: Added) -> Mapping[str, object]:
    return {
        "added": len(added.added),
        "duplicates": added.duplicates,
        "refused": dict(added.refused),
    }


def _show(receipt: Receipt, output: Output) -> None:
    output.line(t("samples.erased", count=receipt.samples))
    if receipt.trainings:
        output.line(t("samples.trainings_gone", count=receipt.trainings))
    for deed in ("stale", "removed", "retrain"):
        if names := getattr(receipt, deed):
            output.line(t(f"samples.adapters_{deed}", names=", ".join(names)))
    if receipt.federations:
        output.note(t("samples.shared", names=", ".join(receipt.federations)))
    for reason in receipt.not_reached:
        output.note(t(f"samples.beyond_{reason}"))

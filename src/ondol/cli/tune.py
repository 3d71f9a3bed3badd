"""``ondol tune``: how this machine runs a model best, measured; applied and taken back by one
command."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli.command import command, model_argument, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.errors import InvalidModelError, ModelError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.lab.tuning.choosing import Row
    from ondol.lab.tuning.report import Report
    from ondol.parts import Parts

BAR = 32


@command("tune")
@model_argument(required=False)
@option("--dry-run", key="tune_dry_run", is_flag=True)
@option("--apply", "format", key="tune_apply", metavar="FORMAT")
@option("--undo", key="tune_undo", is_flag=True)
@option("--quick", key="tune_quick", is_flag=True)
@option("--picture", key="tune_picture", metavar="FILE", type=click.Path(path_type=Path))
@pass_output
def tune(
    output: Output,
    name: str | None,
    dry_run: bool,
    format: str | None,
    undo: bool,
    quick: bool,
    picture: Path | None,
) -> None:
    if (dry_run, format is not None, undo).count(True) > 1:
        raise UsageError(t("tune.both_ways"))
    with house(output) as parts:
        name = name or parts.config["models.chat"]
        if undo:
            _undo(parts, name, output)
            return
        _tune(parts, name, format or "", output, is_dry=dry_run, is_quick=quick, picture=picture)


def _tune(
    parts: Parts,
    name: str,
    format: str,
    output: Output,
    *,
    is_dry: bool,
    is_quick: bool,
    picture: Path | None,
) -> None:
    from ondol.lab.tuning.jobs import known_format, mix_of_owner
    from ondol.lab.tuning.tuning import Tuning

    with output.bar(None, bar_format="{desc} [{elapsed}]") as bar:
        tuning = Tuning(
            parts, name, mix_of_owner(parts), is_quick=is_quick, on_step=bar.set_description_str
        )
        with tuning:
            wanted = known_format(tuning, format)
            _unload(parts, tuning.model, output)
            report = tuning.run(wanted)
            if not is_dry:
                if not tuning.apply(report):
                    told = t("tune.replaced", name=report.model)
                    raise InvalidModelError(told, t("tune.replaced_hint", name=report.model))
                report = report.as_applied()
    if picture is not None:
        from ondol.lab.tuning.picture import drawn

        picture.write_text(drawn(report), encoding="utf-8")
        output.note(t("tune.picture_written", path=picture))
    _show(report, output)


def _unload(parts: Parts, name: str, output: Output) -> None:
    from ondol.cli import remote

    server = remote.find(parts.config)
    if server is None:
        return
    with suppress(ModelError):
        server.unload(name)
        output.note(t("tune.server_unloaded", name=name))


def _undo(parts: Parts, name: str, output: Output) -> None:
    from ondol.lab.tuning.surroundings import tunable
    from ondol.models import tuned
    from ondol.models.blobs import readable_size

    model = tunable(parts, name)
    freed = tuned.undo(parts.store, model)
    if output.json:
        output.emit({"model": model.name, "undone": freed is not None, "freed_bytes": freed or 0})
    elif output.quiet:
        output.line(model.name)
    elif freed is None:
        output.line(t("tune.nothing_to_undo", name=model.name))
    else:
        output.line(t("tune.undone", name=model.name, size=readable_size(freed)))


def _show(report: Report, output: Output) -> None:
    if output.json:
        output.emit(report.json())
        return
    if output.quiet:
        output.line(report.chosen.format)
        return
    _show_head(report, output)
    _show_rows([*report.rows, *_distinct(report)], report, output)
    if report.variants:
        output.line()
        output.line(t("tune.variants", format=report.variants[0].format))
        _show_variants(report, output)
    output.line()
    _show_bars(report, output)
    output.line()
    _show_choice(report, output)


def _show_head(report: Report, output: Output) -> None:
    bandwidth = f"{report.bandwidth / 1e9:.0f}"
    output.line(
        t(
            "tune.headline",
            name=report.model,
            cpu=report.cpu,
            cores=report.cores,
            engine=report.engine,
            bandwidth=bandwidth,
        ),
        bold=True,
    )
    mix = report.mix
    key = "mix" if mix.requests else "mix_default"
    said = {"prompt": mix.prompt_tokens, "answer": mix.answer_tokens, "requests": mix.requests}
    output.line(t(f"tune.{key}", **said))
    if report.was_busy:
        output.warn(t("tune.busy"))
    output.line()


def _distinct(report: Report) -> Sequence[Row]:
    """The chosen way, where it is a variant of its row."""
    return [report.chosen] if report.chosen.running else []


def _show_rows(rows: Sequence[Row], report: Report, output: Output) -> None:
    from ondol.models.blobs import readable_size

    names = ("format", "size", "memory", "prefill", "decode", "perplexity", "loss", "answers")
    columns = [*(t(f"tune.column_{name}") for name in names), t("tune.column_energy")]
    columns += [t("tune.column_seconds"), ""]
    shown = []
    for row in rows:
        joules = row.joules_per_token(report.mix)
        shown.append(
            [
                row.format,
                readable_size(row.size_bytes),
                readable_size(row.resident_bytes) if row.resident_bytes else "–",
                f"{row.prefill:.0f}" if row.prefill else "–",
                f"{row.decode:.0f}" if row.decode else "–",
                "–" if row.perplexity is None else f"{row.perplexity:.2f}",
                _loss(row),
                "–" if row.accuracy is None else f"{row.accuracy * 100:.0f} %",
                "–" if joules is None else f"{joules:.2f}",
                f"{row.seconds(report.mix):.2f} s" if row.prefill else "–",
                _verdict(row, report),
            ]
        )
    output.table(columns, shown)
    source = t(f"tune.energy_{report.original.energy_source}")
    output.line(t("tune.columns_note", source=source), dim=True)


def _show_variants(report: Report, output: Output) -> None:
    names = ("prefill", "decode", "seconds")
    rows = [
        (
            _running(row),
            f"{row.prefill:.0f}",
            f"{row.decode:.0f}",
            f"{row.seconds(report.mix):.2f} s",
        )
        for row in report.variants
    ]
    output.table(["", *(t(f"tune.column_{name}") for name in names)], rows)


def _running(row: Row) -> str:
    return " ".join(f"{name}={value}" for name, value in row.running.items())


def _loss(row: Row) -> str:
    return "–" if row.loss is None else f"{row.loss.value * 100:+.2f} %"


def _verdict(row: Row, report: Report) -> str:
    if row == report.chosen:
        return t("tune.chosen")
    if row.is_original:
        return t("tune.came")
    return t(f"tune.refused_{row.refused}") if row.refused else ""


def _show_bars(report: Report, output: Output) -> None:
    """The same as a picture: what waits longer is longer."""
    mix = report.mix
    rows = [row for row in [*report.rows, *_distinct(report)] if row.prefill]
    longest = max(row.seconds(mix) for row in rows)
    said = {"prompt": mix.prompt_tokens, "answer": mix.answer_tokens}
    output.line(t("tune.picture_title", **said), bold=True)
    wide = max(len(row.format) for row in rows)
    for row in rows:
        seconds = row.seconds(mix)
        bar = "█" * max(1, round(BAR * seconds / longest))
        style = {"fg": "green"} if row == report.chosen else {}
        output.line(f"{row.format:{wide}} {bar} {seconds:.2f} s", **style)


def _show_choice(report: Report, output: Output) -> None:
    from ondol.lab.tuning.choosing import MOST_LOSS

    chosen, mix, name = report.chosen, report.mix, report.model
    if not report.changes_something:
        output.line(t("tune.stays", name=name))
        return
    told = t(
        "tune.best",
        format=chosen.format,
        after=f"{chosen.seconds(mix):.2f}",
        before=f"{report.original.seconds(mix):.2f}",
        gain=f"{report.gain():.1f}",
        loss=f"{chosen.loss.value * 100 if chosen.loss else 0:+.2f}",
    )
    output.line(told, bold=True)
    if chosen.running:
        output.line(t("tune.best_running", running=_running(chosen)))
    if chosen.loss and chosen.loss.high > MOST_LOSS:
        loss, most = f"{chosen.loss.value * 100:+.1f}", f"{MOST_LOSS * 100:g}"
        output.warn(t("tune.costs", format=chosen.format, loss=loss, most=most))
    if report.applied:
        output.line(t("tune.applied", name=name, format=chosen.format))
        output.note(t("tune.undo_with", name=name))
    else:
        output.note(t("tune.dry", name=name, format=chosen.format))

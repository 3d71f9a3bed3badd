"""``ondol library``: its embedding model, its terms, where its vectors are, and a way out of
damage."""

from __future__ import annotations

from dataclasses import asdict

import click

from ondol.cli.command import Group, command, model_argument, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.cli.output import place as shown_place
from ondol.i18n import t

library = Group("library", help=t("cli.library_help"), subcommand_metavar="COMMAND …")


@command("reembed", library)
@model_argument(name="model", required=False)
@pass_output
def reembed(output: Output, model: str | None) -> None:
    with house(output) as parts:
        name = parts.store.get(model or parts.config["models.embedding"]).name
        with output.bar(None, unit="chunk", desc=t("vectors.embedding")) as bar:

            def show(completed: int, total: int) -> None:
                bar.total = total
                bar.update(completed - bar.n)

            report = parts.library.reembed(name, on_progress=show)
        configured = parts.store.get(parts.config["models.embedding"]).name
    if output.json:
        output.emit(asdict(report))
        return
    same = report.previous in (None, report.model) and not report.chunks
    key = "vectors.same_model" if same else "vectors.reembedded"
    output.line(t(key, model=report.model, chunks=report.chunks))
    if configured != report.model:
        output.note(t("vectors.settings_differ", configured=configured, model=report.model))


@command("reindex", library)
@pass_output
def reindex(output: Output) -> None:
    from ondol.retrieval import korean

    with house(output) as parts:
        with output.bar(None, unit="chunk", desc=t("korean.reindexing")) as bar:

            def show(completed: int, total: int) -> None:
                bar.total = total
                bar.update(completed - bar.n)

            report = parts.library.reindex(show)
    if output.json:
        output.emit(asdict(report))
    elif report.analyser != korean.analyser():
        output.line(t("korean.interrupted"))
    elif report.previous == report.analyser and not report.chunks:
        output.line(t("korean.same"))
    else:
        key = "korean.reindexed" if report.analyser else "korean.reindexed_plain"
        output.line(t(key, analyser=report.analyser, chunks=report.chunks))


@command("move", library)
@click.argument("place", metavar="local|qdrant://HOST:PORT/COLLECTION")
@pass_output
def move(output: Output, place: str) -> None:
    from ondol import paths, settings_file

    with house(output) as parts:
        before = parts.config["retrieval.vectors"]
        source, target = parts.opener(before), parts.opener(place)
        verified = parts.library.move(target)
        settings_file.write(paths.config_file(), {"retrieval.vectors": place})
        if source.is_kept and before != place:
            parts.library.leave(source)
    if output.json:
        output.emit({"place": place, **asdict(verified)})
        return
    if target.is_kept:
        output.line(
            t("vectors.moved", place=place, vectors=verified.vectors, scores=verified.scores)
        )
    else:
        key = "vectors.moved_back" if source.is_kept else "vectors.in_memory"
        output.line(t(key, vectors=verified.vectors))
    if before != place:
        output.note(t("vectors.restart"))


@command("rebuild", library)
@option("--force", key="rebuild_force", is_flag=True)
@pass_output
def rebuild(output: Output, force: bool) -> None:
    from ondol import paths
    from ondol.rebuild import rebuild as put_anew

    with house(output) as parts:
        done = put_anew(paths.database_file(), force=force)
        parts.ledger.acknowledge("rebuilt")
        report = parts.library.sync()
    if output.json:
        output.emit({**asdict(done), "report": asdict(report)})
        return
    output.line(t("rebuild.done", documents=report.added, places=done.places))
    for name in done.kept:
        output.line(t("rebuild.kept", file=shown_place(name)))
    if not done.has_all:
        output.note(t("rebuild.not_all"))

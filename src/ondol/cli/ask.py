"""``ondol ask``: a question, answered from the library, from files just named, or from stdin."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli import stdin
from ondol.cli.answers import show_answer
from ondol.cli.command import PathName, command, model_option, option, pass_output, words
from ondol.cli.filtering import Wanted, filter_options
from ondol.cli.house import house
from ondol.cli.output import Output, name_line
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.types import GenerateOptions
from ondol.types import Wanted as WantedRoute

if TYPE_CHECKING:
    from ondol.ask import Event
    from ondol.parts import Parts


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, about what, and how to answer."""

    text: str
    model: str
    options: GenerateOptions
    paths: tuple[Path, ...]
    piped: str
    where: Wanted
    everything: bool
    wanted: WantedRoute
    pinned: str | None = None


@command("ask")
@click.argument("question", required=False, type=words)
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=PathName())
@model_option()
@option("--max-tokens", key="max_tokens", type=click.IntRange(1), metavar="N")
@option("--temperature", key="temperature", type=click.FloatRange(0, 2), metavar="X")
@option("--seed", key="seed", type=click.IntRange(0), metavar="N")
@option("--all", "everything", key="all", is_flag=True)
@option("--here", "wanted", key="here", flag_value="here")
@option("--home", "wanted", key="home", flag_value="home")
@option("--redact", key="redact", is_flag=True)
@option("--pinned", key="pinned", metavar="NAME", type=words)
@option("--verbose", key="verbose", is_flag=True)
@filter_options
@pass_output
def ask(
    output: Output,
    question: str | None,
    paths: tuple[Path, ...],
    model: str | None,
    max_tokens: int | None,
    temperature: float | None,
    seed: int | None,
    everything: bool,
    wanted: WantedRoute | None,
    redact: bool,
    pinned: str | None,
    verbose: bool,
    where: Wanted,
) -> None:
    with house(output, models_chat=model, routing_redact=redact or None) as parts:
        piped = stdin.read_piped(parts.config["retrieval.max_file_mb"] << 20)
        asked = Question(
            text=question or piped,
            model=parts.config["models.chat"],
            options=GenerateOptions(max_tokens=max_tokens, temperature=temperature, seed=seed),
            paths=paths,
            piped=piped if question else "",
            where=where,
            everything=everything,
            wanted=wanted or "auto",
            pinned=pinned,
        )
        if not where.read(asked.text)[0].strip():
            raise UsageError(t("cli.no_question"), t("cli.no_question_hint"))
        with closing(_events(asked, parts, output)) as events:
            show_answer(events, output, parts.num_quotes, verbose=verbose)
    if paths:
        output.note(t("cli.keep_hint", paths=" ".join(name_line(str(path)) for path in paths)))


def _events(asked: Question, parts: Parts, output: Output) -> Generator[Event, None, None]:
    from ondol.ask import ask as answer
    from ondol.cli import remote
    from ondol.cli.activations import warn_of_missing
    from ondol.models import scales

    if asked.pinned is not None and (asked.paths or asked.piped):
        raise UsageError(t("pins.only_here"), t("pins.only_here_hint"))
    if asked.paths or asked.piped:
        _open_folder(asked, parts, output)
    elif server := remote.find(parts.config):
        text, fields = asked.where.for_server(asked.text)
        yield from server.ask(
            text,
            asked.model,
            asked.options,
            fields,
            everything=asked.everything,
            wanted=asked.wanted,
            redact=parts.config["routing.redact"],
            pinned=asked.pinned,
        )
        return
    # An unknown name is said now, and not after the documents have been searched.
    model, named = scales.of(parts.adapters, asked.model)
    if not named:
        warn_of_missing(parts, model.name, output)
    text, where = asked.where.read(asked.text)
    if asked.pinned is not None:
        from ondol.pinned import asked_of

        answer = partial(asked_of, asked.pinned, library=parts.library)
    yield from answer(
        text,
        parts,
        model=asked.model,
        options=asked.options,
        where=where,
        everything=asked.everything,
        wanted=asked.wanted,
    )


def _open_folder(asked: Question, parts: Parts, output: Output) -> None:
    """Answer from the named files and stdin alone; nothing of them is kept."""
    from ondol.cli.add import nothing_read
    from ondol.cli.ingesting import add_with_progress
    from ondol.database import IN_MEMORY

    library = parts.open_library(IN_MEMORY)
    parts.use_library(library)
    if asked.piped:
        library.add_text(stdin.NAME, asked.piped)
    if asked.paths:
        report = add_with_progress(library, asked.paths, output)
        if report.failed and not (report.added or asked.piped):
            raise nothing_read(asked.paths)

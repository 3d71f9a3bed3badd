"""``ondol persona``: profiles that chats begin with, one of them chosen."""

from __future__ import annotations

from dataclasses import asdict

import click

from ondol.cli.command import Group, command, pass_output, words
from ondol.cli.house import house
from ondol.cli.output import Output, one_line
from ondol.i18n import t

persona = Group("persona", help=t("cli.persona_help"), subcommand_metavar="COMMAND …")


@command("list", persona)
@pass_output
def list_personas(output: Output) -> None:
    with house(output) as parts:
        found = parts.kept.memories.personas.all()
    if output.json:
        output.emit({"personas": [asdict(one) for one in found]})
        return
    rows = [("*" if one.is_chosen else "", one.name, one_line(one.text)) for one in found]
    columns = ("memory.column_chosen", "memory.column_name", "memory.column_text")
    output.table([t(key) for key in columns], rows)
    if not found:
        output.note(t("memory.no_personas"))


@command("set", persona)
@click.argument("name")
@click.argument("text", nargs=-1, required=True, type=words)
@pass_output
def put(output: Output, name: str, text: tuple[str, ...]) -> None:
    with house(output) as parts:
        made = parts.kept.memories.personas.put(name, " ".join(text))
    if output.json:
        output.emit(asdict(made))
        return
    output.line(t("memory.persona_kept", name=made.name))
    if not made.is_chosen:
        output.note(t("memory.persona_use_hint", name=made.name))


@command("use", persona)
@click.argument("name")
@pass_output
def use(output: Output, name: str) -> None:
    with house(output) as parts:
        parts.kept.memories.personas.choose(name)
    _told(output, name)


@command("off", persona)
@pass_output
def off(output: Output) -> None:
    with house(output) as parts:
        parts.kept.memories.personas.choose(None)
    _told(output, None)


@command("rm", persona)
@click.argument("name")
@pass_output
def remove(output: Output, name: str) -> None:
    with house(output) as parts:
        is_erased = parts.kept.memories.personas.remove(name)
    if output.json:
        output.emit({"is_erased": is_erased})
        return
    output.line(t("memory.persona_gone", name=name))
    if not is_erased:
        output.note(t("memory.not_erased"))


def _told(output: Output, name: str | None) -> None:
    if output.json:
        output.emit({"chosen": name})
    elif name is None:
        output.line(t("memory.persona_off"))
    else:
        output.line(t("memory.persona_used", name=name))

"""The rest of ``ondol memory``: what memories said before, and what waits for a yes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ondol.cli.collections import WORDS
from ondol.cli.command import command, option, pass_output, words
from ondol.cli.house import house
from ondol.cli.memory import KIND, SHORT_ID, memory, report, show_learned, tell
from ondol.cli.output import Output, one_line
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.json import labelled_json, sensitivity_of

if TYPE_CHECKING:
    from ondol.memory.proposing import Generate
    from ondol.memory.records import Suggestion
    from ondol.parts import Parts


@command("history", memory)
@click.argument("id")
@option("--erase", "erases", key="memory_erase_history", is_flag=True)
@option("--number", key="memory_number", type=click.IntRange(1), metavar="N")
@pass_output
def history(output: Output, id: str, erases: bool, number: int | None) -> None:
    if number is not None and not erases:
        raise UsageError(t("memory.number_erases"), t("memory.restore_hint"))
    with house(output) as parts:
        if erases:
            erased = parts.kept.memories.history.erase(id, number)
            if output.json:
                output.emit({"versions": erased.memories, "is_erased": erased.is_erased})
                return
            output.line(t("memory.erased", count=erased.memories))
            if not erased.is_erased:
                output.note(t("memory.not_erased"))
            return
        now, found = parts.kept.memories.get(id), parts.kept.memories.history.of(id)
    if output.json:
        output.emit({"memory": labelled_json(now), "history": [labelled_json(v) for v in found]})
        return
    rows = [("", t("memory.now"), one_line(now.text))]
    rows += [(str(one.number), one.at[:10], one_line(one.text)) for one in found]
    columns = ("memory.column_number", "memory.column_until", "memory.column_text")
    output.table([t(key) for key in columns], rows)
    if not found:
        output.note(t("memory.no_history"))


@command("restore", memory)
@click.argument("id")
@click.argument("number", type=click.IntRange(1))
@option("--beside", key="memory_restore_beside", is_flag=True)
@pass_output
def restore(output: Output, id: str, number: int, beside: bool) -> None:
    with house(output) as parts:
        found = parts.kept.memories.history.restore(id, number, beside=beside)
    report(output, found, t("memory.restored", id=found.id[:SHORT_ID], text=one_line(found.text)))


@command("suggestions", memory)
@pass_output
def suggestions(output: Output) -> None:
    with house(output) as parts:
        _list(output, parts.kept.memories.suggestions.all())


@command("suggest", memory)
@click.argument("conversation", required=False)
@option("--model", key="memory_model", metavar="MODEL")
@pass_output
def suggest(output: Output, conversation: str | None, model: str | None) -> None:
    from ondol.server.conversing import remembering

    with house(output) as parts:
        chosen = conversation or _latest(parts)
        generate = _generate(parts, model, output) if model else None
        _list(output, remembering.look_through(parts, chosen, generate))


@command("accept", memory)
@click.argument("id")
@click.argument("text", nargs=-1, type=words)
@option("--kind", key="memory_kind", type=KIND)
@option("--sensitivity", key="sensitivity", type=WORDS)
@pass_output
def accept(
    output: Output, id: str, text: tuple[str, ...], kind: str | None, sensitivity: str | None
) -> None:
    with house(output) as parts:
        memories = parts.kept.memories
        learned = memories.suggestions.accept(
            id,
            memories,
            text=" ".join(text) if text else None,
            kind=kind,
            sensitivity=sensitivity_of(sensitivity) if sensitivity else None,
        )
    show_learned(output, learned)


@command("decline", memory)
@click.argument("ids", nargs=-1, metavar="[ID]…")
@option("--all", "everything", key="memory_all_suggestions", is_flag=True)
@pass_output
def decline(output: Output, ids: tuple[str, ...], everything: bool) -> None:
    if bool(ids) == everything:
        raise UsageError(t("memory.which_suggestions"), t("memory.suggestion_hint"))
    with house(output) as parts:
        waiting = parts.kept.memories.suggestions
        count = waiting.decline([one.id for one in waiting.all()] if everything else ids)
    if output.json:
        output.emit({"declined": count})
    else:
        output.line(t("memory.declined", count=count))


def _list(output: Output, found: list[Suggestion]) -> None:
    if output.json:
        output.emit({"suggestions": [labelled_json(one) for one in found]})
        return
    tell(output, found)
    output.note(t("memory.how_to_say_yes" if found else "memory.no_suggestions"))


def _latest(parts: Parts) -> str:
    """The conversation in which something was said last."""
    found = [one for one in parts.kept.conversations.page()[0] if not one.pinned]
    found = found or parts.kept.conversations.page()[0]
    if not found:
        raise UsageError(t("memory.no_conversation"))
    return found[0].id


def _generate(parts: Parts, name: str, output: Output) -> Generate:
    from ondol.answering import gather
    from ondol.cli.pulling import ensure_model

    model = ensure_model(parts, name, output)
    if "completion" not in model.capabilities:
        raise UsageError(t("cli.cannot_chat", name=model.name), t("cli.cannot_chat_hint"))
    return lambda messages, options: (
        gather(list(parts.engine(model.name).generate(messages, options))).text
    )

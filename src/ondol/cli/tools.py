"""A chat in the terminal whose model may call tools: each call is shown, and asked for."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, cast

import click

from ondol.ask import Event
from ondol.cli.output import Output, clean
from ondol.i18n import t
from ondol.tooling import ToolUse, with_tools
from ondol.types import Answer, Evidence, GenerateOptions, Message, Sensitivity, Token, Wanted

if TYPE_CHECKING:
    from ondol.cli.chat import Talker
    from ondol.parts import Parts
    from ondol.toolbox import Toolbox, Tools

LONGEST_SHOWN = 2000

Replying = Generator[Token, None, Answer | None]


def open_box(parts: Parts) -> Toolbox | None:
    """The tools of the owner's servers; ``None`` where there are no servers."""
    from ondol.toolbox import Toolbox

    box = Toolbox(parts.kept.tool_servers, parts.egress, parts.ledger, parts.oversight.inspector)
    return box if box.has_servers() else None


def tools_of(parts: Parts, box: Toolbox, output: Output) -> Tools:
    """What is at hand; what is not is said."""

    def label_of(messages: Sequence[Message]) -> Sensitivity:
        return parts.trust.label("", Evidence(), messages).sensitivity

    found = box.open(label_of)
    for _, problem in found.problems:
        output.warn(problem)
    return found


class Tooled:
    """A ``Talker`` that may call tools. What was allowed for good holds for this conversation."""

    def __init__(self, talk: Talker, tools: Tools, output: Output) -> None:
        self._talk, self._tools, self._output = talk, tools, output
        self._always: set[tuple[str, str]] = set()

    def __call__(
        self, messages: list[Message], options: GenerateOptions, wanted: Wanted
    ) -> Replying:
        def begin(said: list[Message], given: GenerateOptions) -> Iterator[Event]:
            tokens = cast(Replying, self._talk(said, given, wanted))
            answer = yield from tokens
            if answer is not None:
                yield answer

        known: Answer | None = None
        for event in with_tools(begin, messages, options, self._tools, self._allow):
            if isinstance(event, Token):
                yield event
            elif isinstance(event, Answer):
                known = event
            elif isinstance(event, ToolUse):
                self._show(event)
        return known

    def _show(self, use: ToolUse) -> None:
        name = f"{use.server} {use.tool}"
        if use.status == "asked":
            self._output.note("")
            self._output.note(t("mcp.calls", name=name, arguments=_short(use.arguments)))
            if use.leaves:
                self._output.note(t("mcp.goes_to", place=use.leaves))
        else:
            self._output.note(t(f"mcp.use_{use.status}", name=name, text=_short(use.text)))

    def _allow(self, use: ToolUse) -> bool:
        if (use.server, use.tool) in self._always:
            return True
        said = click.prompt(
            t("mcp.allow_question"),
            type=click.Choice(["y", "n", "a"]),
            default="n",
            show_choices=True,
            err=True,
        )
        if said == "a":
            self._always.add((use.server, use.tool))
        return bool(said != "n")


def _short(text: str) -> str:
    return clean(text)[:LONGEST_SHOWN]

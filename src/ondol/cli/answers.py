"""An answer on the screen: the quotes as soon as they are found, then the model, word by word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from ondol.answering import shown
from ondol.cli.output import Output, clean, one_line, place
from ondol.cli.verdict import show_escalation, show_verdict
from ondol.i18n import t
from ondol.json import answer_json
from ondol.types import Answer, Escalation, Evidence, Quote, Route, Token, Usage

if TYPE_CHECKING:
    from ondol.ask import Event


def show_answer(
    events: Iterable[Event], output: Output, num_quotes: int, *, verbose: bool = False
) -> None:
    """Show the events of one answer as they come, or its JSON at the end."""
    if output.json:
        answer = [event for event in events if isinstance(event, Answer)][-1]
        output.emit(answer_json(answer))
        return
    quoted: Sequence[Quote] = ()
    text = Text(output)
    for event in events:
        if isinstance(event, Evidence):
            quoted = event.quotes if event.is_listing else shown(event.quotes, num_quotes)
            show_quotes(quoted, output)
        elif isinstance(event, Token):
            text.show(event)
        elif isinstance(event, Escalation):
            text.end()
            show_escalation(event, output)
            text = Text(output)
        else:
            text.end()
            _finish(event, quoted, output, verbose)


class Text:
    """Tokens to the screen; begins at the first letter and ends with a line feed."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._has_begun = False

    def show(self, token: Token) -> None:
        text = clean(token.text if self._has_begun else token.text.lstrip())
        if text and not token.reasoning:
            self._has_begun = True
            self._output.write(text)

    def end(self) -> None:
        if self._has_begun:
            self._output.line()


def show_quotes(quotes: Sequence[Quote], output: Output) -> None:
    """Each sentence with its number, and under it where it stands."""
    for quote in quotes:
        number = click.style(f"[{quote.number}]", bold=True)
        output.line(f"{number} {one_line(quote.text)}")
        output.line(f"    {place(quote.source, quote.page)}", dim=True)
        for source in quote.also_in:
            output.line(f"    {place(source)}", dim=True)
    if quotes:
        output.line()


def show_timings(usage: Usage, first_token: float | None, total: float, output: Output) -> None:
    """What ``--verbose`` adds about a generation."""
    parts = [t("cli.tokens", prompt=usage.prompt_tokens, completion=usage.completion_tokens)]
    if first_token is not None:
        parts.append(t("cli.first_token", seconds=f"{first_token:.2f}"))
        if total > first_token and usage.completion_tokens > 1:
            rate = (usage.completion_tokens - 1) / (total - first_token)
            parts.append(t("cli.rate", rate=f"{rate:.1f}"))
    parts.append(t("cli.total", seconds=f"{total:.2f}"))
    output.note(" · ".join(parts), dim=True)


def _finish(answer: Answer, quoted: Sequence[Quote], output: Output, verbose: bool) -> None:
    if "not_in_evidence" in answer.reasons:
        output.note(t("cli.hint", hint=t("answer.not_in_evidence_hint")))
    elif answer.route is Route.ABSTAIN:
        output.line(answer.text)
        output.note(t("cli.hint", hint=t("answer.nothing_found_hint")))
    elif "listing" in answer.reasons:
        output.line(answer.text)
    if "model_language" in answer.reasons:
        output.note(t("cli.hint", hint=t("answer.model_language_hint")))
    numbers = {quote.number for quote in quoted}
    also_cited = [quote for quote in answer.quotes if quote.number not in numbers]
    if also_cited:
        # A number in the answer must lead somewhere.
        if answer.model:
            output.line()
        show_quotes(also_cited, output)
    if answer.model or answer.confidence:
        show_verdict(answer, output)
    if verbose:
        output.note(t("cli.retrieved", milliseconds=f"{answer.seconds.retrieve * 1e3:.0f}"))
        show_timings(answer.usage, answer.seconds.first_token, answer.seconds.total, output)

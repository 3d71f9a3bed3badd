"""``ondol run``: a conversation with a model, one answer or many."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import click

from ondol.answering import gather
from ondol.chat import Reply
from ondol.cli import stdin
from ondol.cli.answers import Text, show_timings
from ondol.cli.command import command, model_argument, option, pass_output, words
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.cli.verdict import show_verdict
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.json import usage_json, verdict_json
from ondol.types import Answer, Completion, GenerateOptions, Message, Token, Wanted

if TYPE_CHECKING:
    from ondol.parts import Parts


class Talker(Protocol):
    """Whoever continues a conversation: an engine here, or a running server. A generator returns
    what is known of its reply."""

    def __call__(
        self, messages: list[Message], options: GenerateOptions, wanted: Wanted
    ) -> Iterator[Token]: ...


@dataclass(slots=True)
class Conversation:
    """What was said so far, and who answers."""

    model: str
    talk: Talker
    options: GenerateOptions
    messages: list[Message] = field(default_factory=list)
    wanted: Wanted = "here"
    """Who answers, until somebody else is wanted: the pin of this conversation."""
    answer: Answer | None = None
    """What is known of the latest reply, once it is whole."""

    def reply(self, prompt: str) -> Generator[Token, None, None]:
        """The model's words; the turn is remembered, cut short or not, unless it failed."""
        turn = [*self.messages, Message("user", prompt)]
        said: list[Token] = []
        self.answer = None
        tokens = self.talk(turn, self.options, self.wanted)
        try:
            while True:
                try:
                    token = next(tokens)
                except StopIteration as end:
                    self.answer = end.value
                    return
                said.append(token)
                yield token
        finally:
            close = getattr(tokens, "close", None)
            if close is not None:
                close()
            if said:
                self.messages = [*turn, Message("assistant", gather(said).text)]

    def clear(self) -> None:
        """Forget everything but the instructions."""
        self.messages = [m for m in self.messages if m.role == "system"]


@command("run")
@model_argument(name="model", required=False)
@click.argument("prompt", nargs=-1, metavar="[PROMPT]...", type=words)
@option("--system", key="system", metavar="TEXT", type=words)
@option("--max-tokens", key="max_tokens", type=click.IntRange(1), metavar="N")
@option("--temperature", key="temperature", type=click.FloatRange(0, 2), metavar="X")
@option("--seed", key="seed", type=click.IntRange(0), metavar="N")
@option("--home", "at_home", key="home", is_flag=True)
@option("--verbose", key="verbose", is_flag=True)
@pass_output
def run(
    output: Output,
    model: str | None,
    prompt: tuple[str, ...],
    system: str | None,
    max_tokens: int | None,
    temperature: float | None,
    seed: int | None,
    at_home: bool,
    verbose: bool,
) -> None:
    options = GenerateOptions(max_tokens=max_tokens, temperature=temperature, seed=seed)
    if model and " " in model:
        # No name has a space in it: somebody left the model out.
        prompt, model = (model, *prompt), None
    with house(output, models_chat=model) as parts:
        piped = stdin.read_piped(parts.config["retrieval.max_file_mb"] << 20)
        text = "\n\n".join(part for part in (" ".join(prompt), piped) if part)
        if not text and (output.json or not stdin.is_terminal()):
            raise UsageError(t("cli.no_prompt"), t("cli.no_prompt_hint"))
        talking = _begin(parts, system, options, output)
        talking.wanted = "home" if at_home else "here"
        if text:
            _answer_once(talking, text, output, verbose)
        else:
            from ondol.cli.repl import converse

            converse(talking, output, verbose=verbose)


def show_reply(
    talking: Conversation, prompt: str, output: Output, *, verbose: bool = False
) -> None:
    """Stream the answer to ``prompt``. Ctrl-C stops the model and is passed on."""
    text, started, first = Text(output), time.perf_counter(), None
    token = Token("")
    with closing(talking.reply(prompt)) as tokens:
        try:
            for token in tokens:
                if first is None and token.text:
                    first = time.perf_counter() - started
                text.show(token)
        finally:
            text.end()
    if talking.answer is not None:
        # There are no quotes in a chat that could say it.
        show_verdict(replace(talking.answer, support=()), output)
    if verbose and token.usage:
        show_timings(token.usage, first, time.perf_counter() - started, output)


def _begin(
    parts: Parts, system: str | None, options: GenerateOptions, output: Output
) -> Conversation:
    """A conversation with the configured model, which is fetched if the catalogue knows it."""
    from ondol.cli import remote
    from ondol.cli.pulling import ensure_model

    model = ensure_model(parts, parts.config["models.chat"], output)
    if "completion" not in model.capabilities:
        raise UsageError(t("cli.cannot_chat", name=model.name), t("cli.cannot_chat_hint"))
    server = remote.find(parts.config)

    def talk(
        messages: list[Message], options: GenerateOptions, wanted: Wanted
    ) -> Generator[Token, None, Answer | None]:
        if server is not None:
            return (yield from server.chat(model.name, messages, options, wanted))
        reply = Reply(
            lambda given: parts.engine(model.name).generate(messages, given),
            messages,
            options,
            parts.trust,
            model.name,
            wanted,
        )
        with closing(reply):
            yield from reply
        return reply.answer

    return Conversation(model.name, talk, options, [Message("system", system)] if system else [])


def _answer_once(talking: Conversation, prompt: str, output: Output, verbose: bool) -> None:
    if not output.json:
        show_reply(talking, prompt, output, verbose=verbose)
        return
    started = time.perf_counter()
    completion = gather(list(talking.reply(prompt)))
    known = verdict_json(talking.answer) if talking.answer else {}
    output.emit(_reply_json(talking.model, completion, time.perf_counter() - started) | known)


def _reply_json(model: str, completion: Completion, seconds: float) -> dict[str, object]:
    return {
        "answer": completion.text.strip(),
        "model": model,
        "finish_reason": completion.finish_reason,
        "usage": usage_json(completion.usage),
        "seconds": {"total": round(seconds, 4)},
    }

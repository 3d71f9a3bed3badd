"""``ondol run``: a conversation with a model, one answer or many."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import click

from ondol.answering import gather, merge
from ondol.chat import FOLDED, Reply
from ondol.cli import stdin
from ondol.cli.answers import Text, show_timings
from ondol.cli.command import command, model_argument, option, pass_output, words
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.cli.verdict import show_verdict
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.json import usage_json, verdict_json
from ondol.long_chat import LongChat
from ondol.preset import messages_of
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
    known: Callable[[str], str] | None = None
    """What goes along that is known of the owner, for a prompt that is answered here."""
    instructions: str = ""
    """What the model was made with: it stands unless the conversation has instructions of its own,
    and what is known of the owner does not take its place."""
    stays: bool = False
    """Whether it is about what is pinned, which nobody but this device reads as a whole."""
    is_told: bool = False
    """Whether it was said that its beginning is given to the model in excerpts."""

    def reply(self, prompt: str) -> Generator[Token, None, None]:
        """The model's words; the turn is remembered, cut short or not, unless it failed."""
        turn = [*self.messages, Message("user", prompt)]
        said: list[Token] = []
        self.answer = None
        tokens = self.talk(self._told(turn), self.options, self.wanted)
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

    def _told(self, turn: list[Message]) -> list[Message]:
        """``turn`` with what is known of the owner; it is in no turn that is kept."""
        told = self.known(turn[-1].content) if self.known and self.wanted == "here" else ""
        if not told:
            return turn
        own = [m.content for m in turn if m.role == "system"] or [self.instructions]
        rest = [m for m in turn if m.role != "system"]
        return [Message("system", "\n\n".join(filter(None, [*own, told]))), *rest]

    def clear(self) -> None:
        """Forget everything but the instructions."""
        self.messages = [m for m in self.messages if m.role == "system"]
        self.is_told = False


@command("run")
@model_argument(name="model", required=False)
@click.argument("prompt", nargs=-1, metavar="[PROMPT]...", type=words)
@option("--system", key="system", metavar="TEXT", type=words)
@option("--max-tokens", key="max_tokens", type=click.IntRange(1), metavar="N")
@option("--temperature", key="temperature", type=click.FloatRange(0, 2), metavar="X")
@option("--seed", key="seed", type=click.IntRange(0), metavar="N")
@option("--home", "at_home", key="home", is_flag=True)
@option("--no-tools", "without_tools", key="no_tools", is_flag=True)
@option("--pinned", key="chat_pinned", metavar="NAME", type=words)
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
    without_tools: bool,
    pinned: str | None,
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
        if pinned is not None:
            system = _opening(parts, pinned, system, at_home)
        talking = _begin(parts, system, options, output)
        talking.wanted = "home" if at_home else "here"
        talking.stays = pinned is not None
        # What is pinned is known as a prompt's beginning, letter by letter: nothing goes into it.
        may_ask = not (without_tools or output.json or pinned) and stdin.is_terminal()
        with _with_tools(talking, parts, output) if may_ask else nullcontext():
            if text:
                _answer_once(talking, text, output, verbose)
            else:
                from ondol.cli.remembering import Notebook
                from ondol.cli.repl import converse

                notebook = Notebook(parts, output)
                talking.known = None if pinned else notebook.known
                converse(talking, output, notebook.take, verbose=verbose)


def _opening(parts: Parts, name: str, system: str | None, at_home: bool) -> str:
    """What a chat about what is pinned as ``name`` begins with."""
    from ondol.pinned import read

    if system or at_home:
        raise UsageError(t("pins.only_here"), t("pins.chat_hint"), param="pinned")
    return read(parts.library, name).opening.content


@contextmanager
def _with_tools(talking: Conversation, parts: Parts, output: Output) -> Iterator[None]:
    """Let the model call the tools of the owner's MCP servers, if there are any and it can."""
    from ondol.cli import tools

    box = tools.open_box(parts)
    if box is None:
        yield
        return
    try:
        if "tools" not in parts.store.get(talking.model).capabilities:
            output.note(t("mcp.model_without_tools", model=talking.model))
        elif (found := tools.tools_of(parts, box, output)).tools:
            talking.talk = tools.Tooled(talking.talk, found, output)
        yield
    finally:
        box.close()


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
        if FOLDED in talking.answer.reasons and not talking.is_told:
            talking.is_told = True
            output.note(t(f"ledger.reason_{FOLDED}"))
    if verbose and token.usage:
        show_timings(token.usage, first, time.perf_counter() - started, output)


def _begin(
    parts: Parts, system: str | None, options: GenerateOptions, output: Output
) -> Conversation:
    """A conversation with the configured model, which is fetched if the catalogue knows it."""
    from ondol.cli import remote
    from ondol.cli.activations import warn_of_missing
    from ondol.cli.pulling import ensure_model

    model = ensure_model(parts, parts.config["models.chat"], output)
    if "completion" not in model.capabilities:
        raise UsageError(t("cli.cannot_chat", name=model.name), t("cli.cannot_chat_hint"))
    server = remote.find(parts.config)
    manner = parts.chat_manner(model.name)
    warn_of_missing(parts, model.name, output)

    def talk(
        messages: list[Message], options: GenerateOptions, wanted: Wanted
    ) -> Generator[Token, None, Answer | None]:
        if server is not None:
            return (yield from server.chat(model.name, messages, options, wanted))
        reply = Reply(
            lambda given: LongChat(parts.engine(model.name), messages, given),
            messages,
            merge(manner.options, options),
            parts.trust,
            manner.model,
            wanted,
            is_personal=manner.is_personal,
            before=messages_of(model.made) if model.made else (),
        )
        with closing(reply):
            yield from reply
        return reply.answer

    said = [Message("system", system)] if system else []
    made = model.made.system if model.made else ""
    return Conversation(model.name, talk, options, said, instructions=made)


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

"""A reply from documents to a client that knows of none: the pipeline of ``ask`` as one text.

The last turn of the user's is the question, what stands before it the conversation; a client's
instructions are meant for a model and not passed on. Tokens go out as they come, the quotes below
them. What home may still replace is not sent, so that no text ever holds two answers: where home
may be asked, an answer goes out in one piece. Raises what ``ask`` raises, and ``UsageError`` for
what an answer with quotes cannot be.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ondol.answering import says_something
from ondol.i18n import t, use_language
from ondol.prompt import MARKS
from ondol.role_marks import harmless
from ondol.server.conversing.replying import HISTORY_SHARE, latest
from ondol.server.generation import cannot
from ondol.server.grounded.errands import is_errand, ordered
from ondol.server.grounded.searching import Searching
from ondol.server.grounded.text import Inert, below, language_of, without_quotes
from ondol.types import (
    Answer,
    Escalation,
    Evidence,
    FinishReason,
    GenerateOptions,
    Message,
    Route,
    Sensitivity,
    Token,
    Wanted,
)

if TYPE_CHECKING:
    from ondol.parts import Parts
    from ondol.retrieval.filters import Filter

# What Claude Code and Codex tell a model beside what their user writes.
_ASIDES = ("system-reminder", "environment_context")

# The field that asks for a format, by endpoint.
_FORMATS = {
    "/v1/chat/completions": "response_format",
    "/v1/responses": "text.format",
    "/v1/messages": "output_config",
}


@dataclass(frozen=True, slots=True)
class Question:
    """What the user asks, and what was said ``before``."""

    text: str
    before: Sequence[Message]
    has_images: bool = False


def question_in(messages: Sequence[Message]) -> Question | None:
    """What the user asks; ``None`` where nothing is asked of documents, but something of the
    model: no user speaks, or the client itself does."""
    at = next((i for i in reversed(range(len(messages))) if messages[i].role == "user"), None)
    text = "" if at is None else _said(messages[at].content)
    if at is None or not text or is_errand(text):
        return None
    return Question(text, _history(messages[:at]), bool(messages[at].images))


def unasked(messages: Sequence[Message], options: GenerateOptions) -> GenerateOptions:
    """``options`` for the model's own reply, where ``question_in`` finds no question."""
    text = next((m.content for m in reversed(messages) if m.role == "user"), "")
    return ordered(text, options) if is_errand(text) else options


def check(name: str, path: str, asked: Question, options: GenerateOptions) -> None:
    """Refuse what an answer with quotes cannot be. Tools that may be called are not."""
    if options.json_schema is not None:
        raise cannot(name, t("grounded.deed_format"), _FORMATS.get(path, "format"))
    if options.tools and options.tool_choice == "required":
        raise cannot(name, t("grounded.deed_calls"), "tool_choice")
    if options.logprobs is not None:
        raise cannot(name, t("grounded.deed_logprobs"), "logprobs")
    if options.logit_bias:
        raise cannot(name, t("grounded.deed_bias"), "logit_bias")
    if asked.has_images:
        raise cannot(name, t("server.deed_vision"), "messages")


class GroundedReply:
    """The tokens of an answer to what is ``asked`` from what passes ``where``, then its quotes.
    ``answer`` is there as soon as it is known; ``loading`` is how the model is loaded. Any thread
    may close it. It speaks the question's language, and what goes wrong is said in the request's.
    """

    def __init__(
        self,
        parts: Parts,
        model: str,
        where: Filter,
        asked: Question,
        options: GenerateOptions,
        wanted: Wanted,
        loading: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.answer: Answer | None = None
        self._is_sent = False
        self._language = language_of(asked.text)
        self._asking = Searching(
            parts,
            asked.text,
            loading=loading,
            may_ask_home=lambda: not self._is_sent,
            model=model,
            history=latest(asked.before, int(parts.config["engine.num_ctx"] * HISTORY_SHARE)),
            options=replace(options, tools=(), tool_choice="auto", think=None),
            where=where,
            wanted=wanted,
        )
        self._wants_home = wanted != "here"
        self._tokens = self._write()

    @property
    def route(self) -> Route | None:
        """Who answers, once that is known."""
        return self.answer.route if self.answer else None

    def __iter__(self) -> Iterator[Token]:
        return self

    def __next__(self) -> Token:
        with use_language(self._language):
            return next(self._tokens)

    def close(self) -> None:
        """Stop whoever generates."""
        self._asking.close()
        self._tokens.close()

    def _write(self) -> Generator[Token]:
        """Every token of the text, the last with why it ended and what it cost."""
        text, sent = Inert(), ""
        held, is_held = "", False
        ended: FinishReason = "stop"
        for event in self._asking:
            if isinstance(event, Evidence):
                is_held = self._wants_home and self._may_travel(event)
            elif isinstance(event, Escalation):
                held, is_held = "", True
            elif isinstance(event, Answer):
                self.answer = event
            elif event.reasoning:
                if not is_held and event.text:
                    yield _plain(event)
            else:
                ended = event.finish_reason or ended
                held += event.text
                if not is_held and (sent or _has_words(held)):
                    self._is_sent = True
                    said, held = held if sent else held.lstrip(), ""
                    sent += said
                    yield Token(text.pass_on(said))
        answer = self.answer
        if answer is None:
            return
        yield Token(text.pass_on(harmless(_missing(answer.text, sent, held))) + text.rest())
        quotes = below(answer)
        if quotes:
            yield Token(f"\n\n{quotes}")
        yield Token("", finish_reason=ended, usage=answer.usage)

    def _may_travel(self, evidence: Evidence) -> bool:
        """Whether home may yet be asked about ``evidence``."""
        if not evidence.quotes or evidence.sensitivity is Sensitivity.PRIVATE:
            return False
        home = self._asking.trust.home
        return home is not None and home.state() is not None


def _history(messages: Sequence[Message]) -> list[Message]:
    """What was said before, as this house would have said it."""
    said = {"user": _said, "assistant": without_quotes}
    turns = [Message(m.role, said[m.role](m.content)) for m in messages if m.role in said]
    return [turn for turn in turns if turn.content.strip()]


def _said(text: str) -> str:
    """What a user wrote, without what the program put between tags of its own."""
    for tag in _ASIDES:
        kept, begins, rest = text.partition(f"<{tag}>")
        while begins:
            _, ends, rest = rest.partition(f"</{tag}>")
            if not ends:
                return text
            more, begins, rest = rest.partition(f"<{tag}>")
            kept += more
        text = kept
    return text.strip()


def _has_words(text: str) -> bool:
    return any(map(str.isalpha, MARKS.sub("", text)))


def _missing(text: str, sent: str, held: str) -> str:
    """What is still to be sent of an answer. What was announced ("The answer is:") and then not
    said is followed by what was found instead."""
    if not sent:
        return text
    whole = sent + held
    if whole.strip() == text or says_something(whole):
        return held.rstrip()
    return f"{held.rstrip()} {text}"


def _plain(token: Token) -> Token:
    return Token(token.text, reasoning=True)

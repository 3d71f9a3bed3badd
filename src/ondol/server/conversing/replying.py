"""What a run does: an answer from the documents, a plain reply, or the rest of one that was cut.

Each is an iterator over the events of ``ask`` that any thread may close. All of them are judged,
labelled, routed and written down as they are for every other client.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ondol.answering import about_tokens, merge
from ondol.ask import Event
from ondol.chat import Reply
from ondol.long_chat import LongChat
from ondol.memory.prompt import Remembered
from ondol.parts import Parts
from ondol.preset import messages_of
from ondol.prompt import build_prompt, citations
from ondol.retrieval.filters import Filter
from ondol.role_marks import harmless
from ondol.routing.sensitivity import join
from ondol.server.asking import Asking
from ondol.server.conversing.remembering import facts, instructions_of
from ondol.server.conversing.replying_tools import Tooling
from ondol.toolbox import Toolbox
from ondol.tooling import Allow, ToolUse
from ondol.trust import Trust
from ondol.types import (
    Answer,
    Evidence,
    GenerateOptions,
    Label,
    Labeller,
    Message,
    Quote,
    Sensitivity,
    Token,
    Wanted,
)

# Of a model's context, what was said before may take this share beside the sentences.
HISTORY_SHARE = 0.25
ATTACHED = "Sentences from the files that I attached:"


@dataclass(frozen=True, slots=True)
class Wish:
    """How an answer is wanted. ``where`` is a filter, ``system`` the owner's own instructions,
    which a plain reply follows."""

    model: str | None = None
    where: Filter | None = None
    wanted: Wanted = "auto"
    options: GenerateOptions = field(default_factory=GenerateOptions)
    system: str = ""


def narrowed(wish: Wish, where: Filter) -> Wish:
    """``wish`` for the documents that pass ``where``."""
    return replace(wish, where=where)


def from_documents(
    parts: Parts, question: str, history: Sequence[Message], wish: Wish
) -> Iterator[Event]:
    """An answer from the documents, with as much of the conversation as fits beside them."""
    return Asking(
        parts,
        question,
        model=wish.model,
        history=latest(history, int(parts.config["engine.num_ctx"] * HISTORY_SHARE)),
        options=wish.options,
        where=wish.where,
        wanted=wish.wanted,
    )


def plain_reply(
    parts: Parts,
    question: str,
    history: Sequence[Message],
    wish: Wish,
    box: Toolbox | None = None,
    allow: Allow = lambda use: False,
) -> Iterator[Event | ToolUse]:
    """A reply of the model itself; what is remembered of the owner goes along, and what the files
    that pass the filter say, where there is one: nothing else is searched. A model that can call
    tools gets those in ``box``."""
    known = facts(parts, question)
    evidence = parts.retriever.evidence(question, where=wish.where) if wish.where else Evidence()
    # What is remembered does not take the place of what the model was made with.
    own = wish.system or (instructions_of(parts, wish.model) if known.text else "")
    told = "\n\n".join(text for text in (own, known.text) if text)
    system = [Message("system", told)] if told else []
    asked = question
    if evidence.quotes:
        said = "\n".join(
            f"[{q.number}] {harmless(' '.join(q.text.split()))}" for q in evidence.quotes
        )
        asked = f"{ATTACHED}\n{said}\n\n{question}"
    messages = [*system, *history, Message("user", asked)]
    brought = _Brought(evidence, known)
    if box is None or not box.has_servers() or not _calls_tools(parts, wish):
        return _Chatting(parts, messages, wish, brought)
    trust = _labelling(parts.trust, brought)
    tools = box.open(lambda said: trust.label("", Evidence(), said).sensitivity)
    return Tooling(
        lambda said, options: _Chatting(parts, said, replace(wish, options=options), brought),
        messages,
        wish.options,
        tools,
        allow,
        tools.problems,
    )


def _calls_tools(parts: Parts, wish: Wish) -> bool:
    from ondol.models import scales

    found = scales.as_model(parts.adapters, wish.model or parts.config["models.chat"])
    return "tools" in found.capabilities


def rest_of(
    parts: Parts,
    question: str,
    history: Sequence[Message],
    said: str,
    answer: Mapping[str, Any],
    wish: Wish,
) -> Iterator[Event]:
    """What follows ``said`` in an answer that was cut. ``answer`` is what was known of it; its
    quotes are given to the model again. Nobody but this device is asked."""
    quotes = tuple(_quote(one) for one in answer.get("quotes") or ())
    here = replace(wish, wanted="here")
    if quotes:
        manner = parts.manner(wish.model)
        given = manner.given(quotes)
        messages = build_prompt(question, given, history, manner.template)
        here = replace(here, model=manner.model or wish.model)
    else:
        system = [Message("system", wish.system)] if wish.system else []
        messages = [*system, *history, Message("user", question)]
    before = Sensitivity[str(answer.get("sensitivity") or "private").upper()]
    brought = _Brought(Evidence(quotes=quotes), said=said, sensitivity=before)
    return _Chatting(parts, [*messages, Message("assistant", said)], here, brought)


@dataclass(frozen=True, slots=True)
class _Brought:
    """What goes into a prompt beside what was said: ``evidence``, ``facts``, and the beginning of
    the answer itself, with the label that it was ``said`` under."""

    evidence: Evidence
    facts: Remembered = field(default_factory=Remembered)
    said: str = ""
    sensitivity: Sensitivity = Sensitivity.PUBLIC


class _Chatting:
    """The events of one reply: its tokens, then its answer."""

    def __init__(
        self, parts: Parts, messages: Sequence[Message], wish: Wish, brought: _Brought
    ) -> None:
        from ondol.models import scales

        found = scales.as_model(parts.adapters, wish.model or parts.config["models.chat"])
        manner = parts.chat_manner(found.name)
        self._brought = brought
        self._trust = _labelling(parts.trust, brought)
        self._engine, self._messages = partial(parts.engine, found.name), messages
        self._reply = Reply(
            self._generate,
            list(messages),
            merge(manner.options, wish.options),
            self._trust,
            manner.model,
            wish.wanted,
            is_personal=manner.is_personal,
            before=messages_of(found.made) if found.made else (),
        )
        self._is_told = False
        # What a reply goes on from was shown with its beginning.
        self._shows = bool(brought.evidence.quotes) and not brought.said

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Evidence | Token | Answer:
        if self._shows:
            self._shows = False
            return self._brought.evidence
        try:
            return next(self._reply)
        except StopIteration:
            if self._is_told or self._reply.answer is None:
                raise
            self._is_told = True
            return self._whole(self._reply.answer)

    def close(self) -> None:
        """Stop the generation; any thread may."""
        self._reply.close()

    def _generate(self, options: GenerateOptions) -> LongChat:
        """Of all that is labelled, as much as fits."""
        return LongChat(self._engine(), self._messages, options)

    def _whole(self, answer: Answer) -> Answer:
        """``answer`` with what it goes on from, and the quotes that it was given."""
        brought, quotes = self._brought, self._brought.evidence.quotes
        if not brought.said:
            return replace(answer, quotes=quotes, citations=citations(answer.text, quotes))
        text = brought.said + answer.text
        level = min(brought.sensitivity, answer.sensitivity)
        if self._trust.labeller is not None:
            self._trust.labeller.remember(text, level)
        return replace(
            answer,
            text=text,
            quotes=quotes,
            citations=citations(text, quotes),
            # The judge heard only the end of it.
            confidence=None,
            support=(),
            sensitivity=level,
        )


class _Labelling:
    """Labels a prompt together with what was brought into it. The owner's instructions are the
    owner's words, as a question is."""

    def __init__(self, labeller: Labeller, brought: _Brought) -> None:
        self._labeller = labeller
        self._brought = brought
        self.remember, self.hear, self.stamp = labeller.remember, labeller.hear, labeller.stamp

    def label(self, question: str, evidence: Evidence, history: Sequence[Message] = ()) -> Label:
        turns = [replace(m, role="user") if m.role == "system" else m for m in history]
        label = self._labeller.label(question, self._brought.evidence, turns)
        if not self._brought.facts.text:
            return label
        return join(label, Label(self._brought.facts.sensitivity, ("memory",)))


def _labelling(trust: Trust, brought: _Brought) -> Trust:
    if trust.labeller is None:
        return trust
    return replace(trust, labeller=_Labelling(trust.labeller, brought))


def latest(history: Sequence[Message], tokens: int) -> list[Message]:
    """The latest whole exchanges of ``history`` that are about ``tokens`` long together."""
    found: list[Message] = []
    for message in reversed(history):
        tokens -= about_tokens(message.content)
        if tokens < 0:
            break
        found.insert(0, message)
    while found and found[0].role != "user":
        found.pop(0)
    return found


def _quote(found: Mapping[str, Any]) -> Quote:
    """The quote that ``quote_json`` wrote."""
    given = {name: found[name] for name in Quote.__dataclass_fields__ if name in found}
    given["sensitivity"] = Sensitivity[str(given["sensitivity"]).upper()]
    return Quote(**{**given, "also_in": tuple(given.get("also_in", ()))})

"""What is remembered of a chat's owner, as the chat uses it and adds to it.

Only what the owner typed into Ondol's own chat is looked at: not documents, files, answers or
results of tools, and nothing that a program with a key of its own says. What was stated
("remember that …") is taken out of what models and later turns are given: it reaches them as a
memory, with that memory's label, for as long as it is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ondol import callers
from ondol.ask import Event
from ondol.conversations.records import Message
from ondol.errors import OndolError
from ondol.i18n import t
from ondol.json import labelled_json
from ondol.memory import saying
from ondol.memory.prompt import Remembered, for_prompt
from ondol.memory.proposing import Generate, propose
from ondol.memory.records import CHAT, Learned, Suggestion
from ondol.parts import Parts
from ondol.tooling import ToolUse
from ondol.types import Answer, Route, Seconds, Sensitivity, Token, Usage


@dataclass(frozen=True, slots=True)
class Noted:
    """What a message added to what is remembered, and what it suggests; ``rest`` is what is left
    of it to be answered. An event of a run where there is anything to tell."""

    rest: str
    learned: Learned | None = None
    suggestions: tuple[Suggestion, ...] = ()

    @property
    def sensitivity(self) -> Sensitivity:
        return self.learned.memory.sensitivity if self.learned else Sensitivity.PUBLIC

    def kept(self) -> dict[str, Any]:
        """What stays with the answer: no text, which would be left when the memory is erased."""
        found: dict[str, Any] = {}
        if self.learned:
            replaced = self.learned.replaced
            found["remembered"] = {
                "memory": self.learned.memory.id,
                "deed": self.learned.deed,
                "version": replaced.number if replaced else None,
            }
        if self.suggestions:
            found["suggestions"] = [one.id for one in self.suggestions]
        return found

    def json(self) -> dict[str, Any]:
        """As who listens to the run is told."""
        learned = self.learned
        return {
            "remembered": learned_json(learned) if learned else None,
            "suggestions": [labelled_json(one) for one in self.suggestions],
        }


def learned_json(learned: Learned) -> dict[str, Any]:
    """A memory as it is now, what was done, and the version that it took the place of."""
    replaced = labelled_json(learned.replaced) if learned.replaced else None
    return {**labelled_json(learned.memory), "deed": learned.deed, "replaced": replaced}


def is_owner() -> bool:
    """Whether the owner asks, here or with a phone of theirs: programs have keys."""
    id = callers.current().id
    return id == callers.OWNER.id or id.startswith("device:")


def note(parts: Parts, asked: Message) -> Noted:
    """Remember what ``asked`` states, if it does, and note what it suggests."""
    if not is_owner():
        return Noted(asked.content)
    memories = parts.kept.memories
    said = saying.stated(asked.content)
    learned = None
    if said:
        source = f"{CHAT}:{asked.conversation}"
        learned = memories.learn(said.text, kind=said.kind, source=source)
        if parts.trust.labeller is not None:
            # Where a program asks in this conversation, its turns are looked at as they are.
            parts.trust.labeller.remember(said.text, learned.memory.sensitivity)
    rest = said.rest if said else asked.content
    found = saying.noticed(rest)
    made = memories.suggestions.note(found, asked.conversation, asked.id) if found else []
    return Noted(rest, learned, tuple(made))


def look_through(
    parts: Parts, conversation: str, generate: Generate | None = None
) -> list[Suggestion]:
    """What the owner's messages of a conversation suggest, by rules, and by what a model makes of
    them where there is one to ``generate``; those that are new. Raises
    ``ConversationNotFoundError``."""
    said = [m for m in parts.kept.conversations.messages(conversation) if m.role == "user"]
    waiting = parts.kept.memories.suggestions
    made = []
    for one in said:
        stated = saying.stated(one.content)
        found = saying.noticed(stated.rest if stated else one.content)
        made += waiting.note(found, conversation, one.id)
    if generate is not None and said:
        found = propose([one.content for one in said], generate)
        made += waiting.note(found, conversation, said[-1].id)
    return made


def without_stated(messages: Sequence[Message]) -> list[Message]:
    """``messages`` without what they state, and without exchanges that did nothing else."""
    if not is_owner():
        return list(messages)
    found: list[Message] = []
    is_left_out = False
    for one in messages:
        said = saying.stated(one.content) if one.role == "user" else None
        if one.role == "user":
            is_left_out = said is not None and not said.rest
        if not is_left_out:
            found.append(replace(one, content=said.rest) if said else one)
    return found


def acknowledged(noted: Noted) -> Iterator[Event]:
    """The answer to a message that only states something; no model is asked for it, and it repeats
    nothing of what was said."""
    text = t(f"memory.noted_{noted.learned.deed if noted.learned else 'known'}")
    yield Token(text)
    yield Token("", finish_reason="stop", usage=Usage())
    yield Answer(
        text=text,
        quotes=(),
        citations=(),
        confidence=None,
        route=Route.LOCAL,
        reasons=("remembered",),
        usage=Usage(),
        seconds=Seconds(0.0, None, 0.0),
        sensitivity=noted.sensitivity,
    )


def facts(parts: Parts, question: str) -> Remembered:
    """What is remembered of the owner and fits a reply to ``question``; its label counts. Programs
    get none of it."""
    memories = parts.kept.memories

    def alike(question: str, texts: Sequence[str]) -> list[float]:
        try:
            return memories.likeness.of(question, texts, parts.embedder)
        except OndolError:
            # No embedder is installed: words have to do.
            return [0.0] * len(texts)

    most = parts.config["memory.prompt_tokens"]
    if not most or not is_owner():
        return _NOTHING
    return for_prompt(memories.all(), question, max_tokens=most, alike=alike)


_NOTHING = Remembered()


def instructions(parts: Parts, persona: str, system: str, model: str | None = None) -> str:
    """What a plain reply follows: the persona that counts, then the chat's own instructions, or
    else those that ``model`` was made with. Empty where only the latter are there."""
    told = parts.kept.memories.personas.text_for(persona) if is_owner() else ""
    if told and not system:
        system = instructions_of(parts, model)
    return "\n\n".join(text for text in (told, system) if text)


def instructions_of(parts: Parts, model: str | None) -> str:
    """What ``model``, by default the configured one, was made with; they stand by themselves
    before a chat that has no system message at all."""
    from ondol.models import scales

    made = scales.as_model(parts.adapters, model or parts.config["models.chat"]).made
    return made.system if made else ""


class Telling:
    """An answer's events after what was ``noted``; any thread may close it."""

    def __init__(self, noted: Noted, events: Iterator[Event | ToolUse]) -> None:
        self._noted: Noted | None = noted if noted.learned or noted.suggestions else None
        self._events = events

    def __iter__(self) -> Iterator[Event | ToolUse | Noted]:
        return self

    def __next__(self) -> Event | ToolUse | Noted:
        if self._noted is not None:
            noted, self._noted = self._noted, None
            return noted
        return next(self._events)

    def close(self) -> None:
        """Stop the generation."""
        close = getattr(self._events, "close", None)
        if close is not None:
            close()

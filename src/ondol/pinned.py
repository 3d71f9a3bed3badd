"""Answers from a pinned document as a whole: its text is what the prompt begins with, so that the
engine has read it before anybody asks.

What the library's evidence step finds for the question is quoted beside, and marks what the answer
says. Such an answer is given here and never leaves. Sees the protocols of ``ask``, and an engine
that can ``prepare``. Raises what retrieval and the engine raise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ondol.answering import Clock, answer_from, merge, nothing_found, says_something
from ondol.ask import AskParts, Event, streamed
from ondol.errors import ContextLengthError, DocumentNotFoundError, UsageError
from ondol.i18n import t
from ondol.role_marks import harmless
from ondol.trust import STAYS, of_an_adapter
from ondol.types import Answer, Engine, Evidence, GenerateOptions, Message, Quote, Route, Wanted

if TYPE_CHECKING:
    from pathlib import Path

    from ondol.engine.generation import Cancellation
    from ondol.engine.states.keeping import Saved
    from ondol.retrieval.pins import Pin, PinnedDocument

INSTRUCTIONS = (
    "Answer the question from the document below only. Answer briefly, in the language of the "
    "question."
)
# What a question and its answer need beside the document, at the least.
ROOM_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Pinned:
    """A pin with what it holds, as it was in the epoch ``since`` (``states.folder``);
    ``is_still_there`` says whether it is pinned to this day."""

    pin: Pin
    documents: Sequence[PinnedDocument]
    since: str | None = None
    is_still_there: Callable[[], bool] = lambda: True

    @property
    def opening(self) -> Message:
        """What every prompt about it begins with, letter by letter the same."""
        texts = (f"# {one.title}\n\n{harmless(one.text).strip()}" for one in self.documents)
        return Message("system", "\n\n".join((INSTRUCTIONS, *texts)))

    def in_sight(self, evidence: Evidence) -> Evidence:
        """``evidence`` and all else that the model has read, for its label."""
        read = (
            Quote(0, one.text, one.source, 0, len(one.text), 0.0, sensitivity=one.sensitivity)
            for one in self.documents
        )
        return replace(evidence, quotes=(*evidence.quotes, *read))


def read(library: Any, name: str) -> Pinned:
    """The pin called ``name``, with what whoever asks may read of it. Raises
    ``DocumentNotFoundError``."""
    from ondol.engine.states.folder import epoch

    since = epoch()  # before: what is forgotten from here on must not be kept
    pin = library.pins.get(name)

    def is_still_there() -> bool:
        try:
            return bool(library.pins.get(name) == pin)
        except DocumentNotFoundError:
            return False

    return Pinned(pin, library.pins.documents(pin), since, is_still_there)


def prepare(
    pinned: Pinned, engine: Any, num_ctx: int, cancellation: Cancellation | None = None
) -> Saved:
    """Have ``engine`` read what is pinned, and keep its state. Raises ``ContextLengthError`` where
    it is longer than ``num_ctx`` tokens leave room for, ``Cancelled`` to who cancels it."""
    from ondol.engine.states.keeping import Saved

    tokens = engine.count_tokens(pinned.opening.content)
    if tokens + ROOM_TOKENS > num_ctx:
        raise ContextLengthError(
            t("pins.too_long", name=pinned.pin.name, tokens=tokens, limit=num_ctx),
            t("pins.too_long_hint"),
        )
    how = {"cancellation": cancellation} if cancellation is not None else {}
    saved = _read_by(engine, pinned, **how)
    return Saved(tokens, 0) if saved is None else saved


def _read_by(engine: Any, pinned: Pinned, **how: Any) -> Saved | None:
    """What ``engine`` keeps of what is pinned; None for one that keeps nothing. It reads for
    minutes where that is long: what was unpinned meanwhile leaves no state."""
    from ondol.engine.states import folder

    reads = getattr(engine, "prepare", None)
    if reads is None:
        return None
    saved: Saved | None = reads([pinned.opening], pin=pinned.pin.name, since=pinned.since, **how)
    if saved is not None and saved.size_bytes and not pinned.is_still_there():
        folder.erase_of_pins({pinned.pin.name})
    return saved


def ask_pinned(
    question: str,
    parts: AskParts,
    pinned: Pinned,
    *,
    model: str | None = None,
    history: Sequence[Message] = (),
    options: GenerateOptions | None = None,
) -> Iterator[Event]:
    """Answer from all that is pinned: one ``Evidence``, then ``Token``s, then one ``Answer``."""
    clock = Clock(time.perf_counter())
    trust = parts.trust
    recording = trust.start("grounded")
    evidence = parts.retriever.evidence(question, where=pinned.pin.where, history=history)
    clock.retrieve = clock.elapsed()
    yield evidence
    # Looked up once: what is said with an adapter is private though it went meanwhile.
    manner = parts.manner(model)
    answer = yield from _answered(question, parts, pinned, evidence, model, history, options, clock)
    label = trust.label(question, pinned.in_sight(evidence), history)
    label = of_an_adapter(label) if manner.is_personal else label
    decision = replace(STAYS, route=answer.route, reasons=("pinned",))
    yield trust.close(recording, answer, decision, label)


def _answered(
    question: str,
    parts: AskParts,
    pinned: Pinned,
    evidence: Evidence,
    model: str | None,
    history: Sequence[Message],
    options: GenerateOptions | None,
    clock: Clock,
) -> Generator[Event, None, Answer]:
    engine: Engine = parts.engine(model)
    # What an adapter for answers has learned is to read a few sentences, not a document.
    plain = replace(parts.manner(model).options, adapters={}, logit_bias={}, stop=())
    messages = [pinned.opening, *history, Message("user", question)]
    # In the same pieces whether a state is there or not: then the answer is the same, too.
    with suppress(NotImplementedError):
        _read_by(engine, pinned)
    completion = yield from streamed(engine.generate(messages, merge(plain, options)), clock)
    if not says_something(completion.text):
        return replace(nothing_found(clock), usage=completion.usage, reasons=("pinned",))
    answer = answer_from(
        completion, evidence, evidence.quotes, parts.num_quotes, engine.model, clock
    )
    judge = parts.trust.judge
    silent = answer.route is Route.ABSTAIN or judge is None
    support = () if silent or judge is None else judge.support(answer.text, evidence.quotes)
    return replace(answer, reasons=(*answer.reasons, "pinned"), support=support)


def asked_of(
    name: str,
    question: str,
    parts: AskParts,
    library: Any,
    *,
    where: Any = None,
    everything: bool = False,
    wanted: Wanted = "auto",
    **how: Any,
) -> Iterator[Event]:
    """``ask_pinned`` of the pin ``name`` of ``library``, for whoever may have asked for something
    that such an answer is not. Raises ``UsageError``."""
    if where or everything or wanted == "home":
        raise UsageError(t("pins.only_here"), t("pins.only_here_hint"), param="pinned")
    return ask_pinned(question, parts, read(library, name), **how)


def prepare_in(
    parts: Any, name: str, model: str | None = None, cancellation: Cancellation | None = None
) -> Saved:
    """Have the engine of the house read the pin ``name``; see ``prepare``."""
    pinned = read(parts.library, name)
    from ondol.models import scales

    found, _ = scales.of(parts.adapters, model or parts.config["models.chat"])
    # A model that was made from another is loaded as it was made to be.
    made = found.made.parameters.get("num_ctx") if found.made else None
    limit = min(made or parts.config["engine.num_ctx"], found.context_length or 1 << 30)
    return prepare(pinned, parts.engine(model), limit, cancellation)


def listed(library: Any) -> list[dict[str, Any]]:
    """The pins that whoever asks may read, with the bytes of their states on disk."""
    from ondol.engine.states import folder

    return [
        asdict(pin) | {"state_bytes": folder.size_of(pin.name)}
        for pin in library.pins.all()
        if library.pins.documents(pin)
    ]


def pin(library: Any, path: Path | None = None, collection: str = "", name: str = "") -> Pin:
    """Pin a document or a collection (``Pins.add``). What a model has made of what had that name
    before is erased: it would be taken for this one's when that is forgotten."""
    from ondol.engine.states import folder

    made: Pin = library.pins.add(path=path, collection=collection, name=name)
    folder.erase_of_pins({made.name})
    return made


def unpin(library: Any, name: str) -> None:
    """Take a pin off, and erase what a model has made of it."""
    from ondol.engine.states import folder

    library.pins.remove(name)
    folder.erase_of_pins({name})

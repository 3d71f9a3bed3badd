"""THE pipeline: a question walks through the house once.

Retrieval finds sentences, the engine says what it makes of them, and the owner gets both, the
sentences first. Nothing relevant in the library is an answer of its own, and so is a language that
the model cannot read: no model is asked, so none can invent. A model that says the sentences do
not hold the answer abstains too, and the owner still sees the nearest ones. Sees only protocols;
``parts.py`` picks the classes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ondol.i18n import t
from ondol.prompt import (
    MARKS,
    PLAIN,
    Template,
    abstains,
    build_prompt,
    build_rewriting_prompt,
    citations,
)
from ondol.types import (
    Answer,
    Completion,
    Engine,
    Evidence,
    GenerateOptions,
    Message,
    Quote,
    Retriever,
    Route,
    Seconds,
    Token,
    Usage,
)

Event = Evidence | Token | Answer

# SmolLM2 needs 2.8 tokens for a syllable of Hangul. Vocabularies made with Korean in them should
# stay near one; that is expected, not measured: no such model can be had offline.
MOST_TOKENS_PER_LETTER = 1.7
FEWEST_LETTERS = 3
MOST_REWRITTEN_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model is asked about documents: with how many of the best quotes (None: all that fit
    the evidence budget), in which layout, and how it generates. ``model`` is what then answers, its
    adapter included ("": what was asked for); ``rewrites`` says that it can be trusted to make a
    question of a conversation stand alone."""

    options: GenerateOptions
    max_quotes: int | None = None
    template: Template = PLAIN
    model: str = ""
    rewrites: bool = False


class AskParts(Protocol):
    """What answering needs of the house."""

    @property
    def retriever(self) -> Retriever: ...

    @property
    def num_quotes(self) -> int:
        """How many sentences are quoted above an answer."""
        ...

    def manner(self, model: str | None = None) -> Manner:
        """How ``model`` is asked."""
        ...

    def engine(self, model: str | None = None) -> Engine: ...


@dataclass(slots=True)
class _Clock:
    """Seconds since the question arrived."""

    started: float
    retrieve: float = 0.0
    first_token: float | None = None

    def elapsed(self) -> float:
        return time.perf_counter() - self.started

    def seconds(self) -> Seconds:
        return Seconds(self.retrieve, self.first_token, self.elapsed())


def ask(
    question: str,
    parts: AskParts,
    *,
    model: str | None = None,
    history: Sequence[Message] = (),
    options: GenerateOptions | None = None,
    where: Any = None,
    everything: bool = False,
) -> Iterator[Event]:
    """Answer from the owner's documents: one ``Evidence``, then ``Token``s, then one ``Answer``.

    ``where`` is the retriever's filter: only documents that pass it are looked at. A question for
    all there is ("list all …"), or any with ``everything``, is answered with every quote that fits
    and how many they are; no model is asked, for it could only leave some out. Closing the iterator
    stops the engine. Raises what retrieval and the engine raise.
    """
    clock = _Clock(time.perf_counter())
    if everything or parts.retriever.asks_for_all(question):
        listing = parts.retriever.listing(question, where=where)
        # One sentence may itself be the list.
        if everything or len(listing.quotes) > 1:
            clock.retrieve = clock.elapsed()
            yield listing
            yield _everything(listing, clock) if listing.quotes else _nothing_found(clock)
            return
    asked, before = _stand_alone(question, parts, model, history)
    evidence = parts.retriever.evidence(asked, where=where, history=before)
    clock.retrieve = clock.elapsed()
    yield evidence
    if not evidence.quotes:
        yield _nothing_found(clock)
        return
    engine = parts.engine(model)
    if not can_read(engine, question):
        yield _in_the_documents_words(evidence, parts.num_quotes, "model_language", clock)
        return
    manner = parts.manner(model)
    quotes = evidence.quotes[: manner.max_quotes]
    prompt = build_prompt(question, quotes, history, manner.template)
    tokens = []
    stream = engine.generate(prompt, merge(manner.options, options))
    try:
        for token in stream:
            if clock.first_token is None and token.text:
                clock.first_token = clock.elapsed()
            tokens.append(token)
            yield token
    finally:
        close = getattr(stream, "close", None)
        if close is not None:
            close()
    completion = gather(tokens)
    if says_something(completion.text):
        name = manner.model or engine.model
        yield _answer(completion, evidence, quotes, parts.num_quotes, name, clock)
    else:
        answer = _in_the_documents_words(evidence, parts.num_quotes, "model_said_nothing", clock)
        yield replace(answer, usage=completion.usage)


def _stand_alone(
    question: str, parts: AskParts, model: str | None, history: Sequence[Message]
) -> tuple[str, Sequence[Message]]:
    """What to search for: a model that can makes the question stand alone, else retrieval looks at
    what was said before it."""
    if not history or not parts.retriever.follows_up(question):
        return question, ()
    if not parts.manner(model).rewrites:
        return question, history
    options = GenerateOptions(max_tokens=MOST_REWRITTEN_TOKENS, temperature=0.0, stop=("\n",))
    stream = parts.engine(model).generate(build_rewriting_prompt(question, history), options)
    rewritten = gather(list(stream)).text.strip()
    return (rewritten, ()) if says_something(rewritten) else (question, history)


def can_read(engine: Engine, question: str) -> bool:
    """Whether the model's vocabulary knows the question's script.

    A model that needs several tokens for one letter was hardly trained on that script: what it says
    in it is noise. Words of plain ASCII tell nothing and cost nothing.
    """
    foreign = " ".join(word for word in question.split() if not word.isascii())
    letters = sum(character.isalpha() for character in foreign)
    if letters < FEWEST_LETTERS:
        return True
    return engine.count_tokens(foreign) <= MOST_TOKENS_PER_LETTER * letters


def says_something(text: str) -> bool:
    """Whether ``text`` is more than marks and an announcement ("The answer is:")."""
    plain = MARKS.sub("", text).strip()
    return any(character.isalnum() for character in plain) and not plain.endswith(":")


def gather(tokens: Sequence[Token]) -> Completion:
    """A whole completion from its tokens; reasoning is not part of the text."""
    last = tokens[-1] if tokens else Token("")
    text = "".join(token.text for token in tokens if not token.reasoning)
    return Completion(text, tuple(tokens), last.finish_reason or "stop", last.usage or Usage())


def merge(defaults: GenerateOptions, given: GenerateOptions | None) -> GenerateOptions:
    """``given`` wherever it says something, else ``defaults``."""
    if given is None:
        return defaults
    said = {
        name: value
        for name in GenerateOptions.__dataclass_fields__
        if (value := getattr(given, name)) not in (None, (), {})
    }
    return replace(defaults, **said)


def _answer(
    completion: Completion,
    evidence: Evidence,
    given: Sequence[Quote],
    num_quotes: int,
    model: str,
    clock: _Clock,
) -> Answer:
    text = completion.text.strip()
    cited = citations(text, given)
    silent = abstains(text)
    return Answer(
        text=text,
        quotes=shown(evidence.quotes, num_quotes, cited),
        citations=cited,
        confidence=None,
        route=Route.ABSTAIN if silent else Route.LOCAL,
        reasons=("not_in_evidence",) if silent else (),
        usage=completion.usage,
        seconds=clock.seconds(),
        model=model,
    )


def shown(quotes: Sequence[Quote], num_quotes: int, cited: Sequence[int] = ()) -> tuple[Quote, ...]:
    """The best ``num_quotes``, and whatever else the answer cites."""
    return tuple(q for q in quotes if q.number <= num_quotes or q.number in cited)


def _in_the_documents_words(
    evidence: Evidence, num_quotes: int, reason: str, clock: _Clock
) -> Answer:
    """The best sentence itself, where the model could only add noise, or added nothing."""
    best = evidence.quotes[0]
    return _without_a_model(
        f"{' '.join(best.text.split())} [{best.number}]",
        Route.LOCAL,
        reason,
        clock,
        quotes=shown(evidence.quotes, num_quotes),
        citations=(best.number,),
    )


def _everything(listing: Evidence, clock: _Clock) -> Answer:
    documents = {source for q in listing.quotes for source in (q.source, *q.also_in)}
    text = t("answer.everything", count=len(listing.quotes), documents=len(documents))
    return _without_a_model(text, Route.LOCAL, "listing", clock, quotes=listing.quotes)


def _nothing_found(clock: _Clock) -> Answer:
    return _without_a_model(t("answer.nothing_found"), Route.ABSTAIN, "no_evidence", clock)


def _without_a_model(
    text: str,
    route: Route,
    reason: str,
    clock: _Clock,
    *,
    quotes: tuple[Quote, ...] = (),
    citations: tuple[int, ...] = (),
) -> Answer:
    return Answer(
        text=text,
        quotes=quotes,
        citations=citations,
        confidence=None,
        route=route,
        reasons=(reason,),
        usage=Usage(),
        seconds=clock.seconds(),
    )

"""THE pipeline: a question walks through the house once.

Retrieval finds sentences, the engine says what it makes of them, and the owner gets both, the
sentences first. Nothing relevant in the library is an answer of its own, and so is a language that
the model cannot read: no model is asked, so none can invent. A model that says the sentences do
not hold the answer abstains too, and the owner still sees the nearest ones. Then the judge says how
sure that is, the policy who is to answer, and the ledger what happened. Sees only protocols;
``parts.py`` picks the classes.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ondol.answering import (
    Clock,
    about_tokens,
    answer_from,
    everything_found,
    gather,
    in_the_documents_words,
    merge,
    nothing_found,
    says_something,
    why_no_model,
)
from ondol.errors import OndolError
from ondol.prompt import (
    GROUNDING,
    PLAIN,
    Template,
    best_quotes,
    build_prompt,
    build_rewriting_prompt,
)
from ondol.trust import LOGPROBS, STAYS, Trust, of_an_adapter
from ondol.types import (
    Answer,
    Completion,
    Decision,
    Engine,
    Escalation,
    Evidence,
    GenerateOptions,
    Label,
    Message,
    Quote,
    Retriever,
    Route,
    Token,
    Wanted,
)

Event = Evidence | Token | Escalation | Answer

MOST_REWRITTEN_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model is asked about documents: with how many of the best quotes (None: all that fit
    the evidence budget; and only those that score within ``margin`` of the best), in which layout,
    and how it generates. ``model`` is what then answers, its
    adapter included ("": what was asked for); ``rewrites`` says that it can be trusted to make a
    question of a conversation stand alone."""

    options: GenerateOptions
    max_quotes: int | None = None
    template: Template = PLAIN
    model: str = ""
    rewrites: bool = False
    is_personal: bool = False
    margin: float | None = None

    @property
    def is_terse(self) -> bool:
        """Whether it gives one short answer or none: what no owner has taught otherwise."""
        return self.template == GROUNDING and not self.is_personal

    def given(self, quotes: Sequence[Quote]) -> tuple[Quote, ...]:
        """What of ``quotes``, best first, the model is to answer from."""
        return best_quotes(quotes, self.max_quotes, self.margin)


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

    @property
    def trust(self) -> Trust:
        """Who judges, labels, decides and writes down."""
        ...


def ask(
    question: str,
    parts: AskParts,
    *,
    model: str | None = None,
    history: Sequence[Message] = (),
    options: GenerateOptions | None = None,
    where: Any = None,
    everything: bool = False,
    wanted: Wanted = "auto",
) -> Iterator[Event]:
    """Answer from the owner's documents: one ``Evidence``, then ``Token``s, then one ``Answer``.

    Where the device is not sure and the policy allows, an ``Escalation`` with its draft comes
    before the ``Token``s of home; ``wanted`` asks for one or the other. ``where`` is the
    retriever's filter: only documents that pass it are looked at. A question for all there is
    ("list all …"), or any with ``everything``, is answered with every quote that fits and how many
    they are; no model is asked, for it could only leave some out. Closing the iterator stops
    whoever generates. Raises what retrieval and the engine raise.
    """
    clock = Clock(time.perf_counter())
    trust = parts.trust
    recording = trust.start("grounded")
    if everything or parts.retriever.asks_for_all(question):
        listing = parts.retriever.listing(question, where=where)
        # One sentence may itself be the list.
        if everything or len(listing.quotes) > 1:
            clock.retrieve = clock.elapsed()
            yield listing
            answer = everything_found(listing, clock) if listing.quotes else nothing_found(clock)
            label = trust.label(question, listing, history)
            yield trust.close(recording, answer, replace(STAYS, route=answer.route), label)
            return
    searched, before = _stand_alone(question, parts, model, history)
    evidence = parts.retriever.evidence(searched, where=where, history=before)
    clock.retrieve = clock.elapsed()
    yield evidence
    if not evidence.quotes:
        answer, label = nothing_found(clock), trust.label(question, evidence, history)
        yield trust.close(recording, answer, replace(STAYS, route=answer.route), label)
        return
    # Looked up once: what is said with an adapter is private though it went meanwhile.
    manner = parts.manner(model)
    asked = _Asked(question, history, evidence, options, model, manner, clock)
    draft, decision = None, STAYS
    if wanted == "home":
        label = trust.label(question, evidence, history)
        decision = trust.decide(
            None, label, answered=False, wanted=wanted, prompt_tokens=asked.prompt_tokens()
        )
    if decision.route is not Route.HOME:
        draft = yield from _here(asked, parts)
        # Not before: a document may become private while the model thinks.
        label = trust.label(question, evidence, history)
        decision = trust.decide(
            draft.confidence, label, wanted=wanted, prompt_tokens=asked.prompt_tokens()
        )
    if decision.route is Route.HOME:
        answer, decision = yield from _at_home(asked, parts, draft, decision, label)
    else:
        answer = _kept(draft, decision) if draft else nothing_found(clock)
    of_draft = of_an_adapter(label) if manner.is_personal else label
    if decision.route is not Route.HOME:
        label = of_draft
    yield trust.close(recording, answer, decision, label, of_draft=of_draft)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What whoever answers has to know."""

    question: str
    history: Sequence[Message]
    evidence: Evidence
    options: GenerateOptions | None
    model: str | None
    manner: Manner
    clock: Clock

    def prompt_tokens(self) -> int:
        """About how much home would have to read."""
        turns = build_prompt(self.question, self.evidence.quotes, self.history, PLAIN)
        return about_tokens(*(turn.content for turn in turns))


def _here(asked: _Asked, parts: AskParts) -> Generator[Event, None, Answer]:
    """The device's own answer, judged."""
    engine, evidence, trust = parts.engine(asked.model), asked.evidence, parts.trust
    manner = asked.manner
    options = merge(manner.options, asked.options)
    if reason := why_no_model(engine, asked.question, evidence, options, is_terse=manner.is_terse):
        answer = in_the_documents_words(evidence, parts.num_quotes, reason, asked.clock)
        if reason == "open_request":
            # Calibrators have learned when an answer is right; no one answer is, here.
            return answer
        silence = Completion("", (), "stop", answer.usage)
        return trust.judged(answer, asked.question, evidence, answer.quotes, silence)
    given = manner.given(evidence.quotes)
    if trust.judge is not None:
        options = replace(options, logprobs=max(LOGPROBS, options.logprobs or 0))
    prompt = build_prompt(asked.question, given, asked.history, manner.template)
    completion = yield from streamed(engine.generate(prompt, options), asked.clock)
    if says_something(completion.text):
        name = manner.model or engine.model
        answer = answer_from(completion, evidence, given, parts.num_quotes, name, asked.clock)
    else:
        reason = "model_said_nothing"
        answer = in_the_documents_words(evidence, parts.num_quotes, reason, asked.clock)
        answer = replace(answer, usage=completion.usage)
    return trust.judged(answer, asked.question, evidence, given, completion)


def _at_home(
    asked: _Asked, parts: AskParts, draft: Answer | None, decision: Decision, label: Label
) -> Generator[Event, None, tuple[Answer, Decision]]:
    """Home's answer in the draft's place; the draft, unsure, where home fails or knows no better.
    Where home was wanted at once the draft is made when home has failed."""
    home = parts.trust.home
    state = home.state() if home else None
    if home is None or state is None:
        raise AssertionError("the policy chose a home that is not there")
    yield Escalation(draft, state.name, decision.reasons)
    evidence = asked.evidence
    prompt = build_prompt(asked.question, evidence.quotes, asked.history, PLAIN)
    options = merge(
        replace(asked.manner.options, adapters={}, logit_bias={}, stop=()),
        asked.options,
    )
    try:
        completion = yield from streamed(home.generate(prompt, options, label=label), asked.clock)
    except OndolError as error:
        if draft is None:
            if asked.clock.first_token is not None:
                yield Token("\n")
            draft = yield from _here(asked, parts)
        return _fallen_back(draft, decision, "home_failed", error.code)
    name = f"{state.name}/{state.model}"
    answer = answer_from(completion, evidence, evidence.quotes, parts.num_quotes, name, asked.clock)
    if draft is not None and (answer.route is Route.ABSTAIN or not says_something(completion.text)):
        return _fallen_back(draft, decision, "home_knew_no_better")
    support = parts.trust.judge.support(answer.text, evidence.quotes) if parts.trust.judge else ()
    answer = replace(
        answer, route=Route.HOME, reasons=decision.reasons, draft=draft, support=support
    )
    return answer, decision


def _fallen_back(draft: Answer, decision: Decision, *why: str) -> tuple[Answer, Decision]:
    reasons = tuple(dict.fromkeys((*decision.reasons, *why)))
    back = replace(decision, route=Route.LOCAL, reasons=reasons)
    return _kept(draft, back), back


def _kept(draft: Answer, decision: Decision) -> Answer:
    """The device's answer with why it was kept; one that abstains is no answer of the device's."""
    route = draft.route if draft.route is Route.ABSTAIN else decision.route
    reasons = tuple(dict.fromkeys((*draft.reasons, *decision.reasons)))
    return replace(draft, route=route, reasons=reasons)


def streamed(stream: Iterator[Token], clock: Clock) -> Generator[Token, None, Completion]:
    tokens = []
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
    return gather(tokens)


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

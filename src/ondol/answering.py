"""Answers, put together: from a completion, from the documents' own words, or from nothing.

None of them is judged or routed yet; that is what ``ask`` does next.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ondol.i18n import t
from ondol.prompt import MARKS, abstains, citations
from ondol.types import (
    Answer,
    Completion,
    Engine,
    Evidence,
    GenerateOptions,
    Quote,
    Route,
    Seconds,
    Token,
    ToolCall,
    Usage,
)

# SmolLM2 needs 2.8 tokens for a syllable of Hangul. Vocabularies made with Korean in them should
# stay near one; that is expected, not measured: no such model can be had offline.
MOST_TOKENS_PER_LETTER = 1.7
FEWEST_LETTERS = 3

MOST_TOLD = 3
"""Sentences that tell of a topic in the documents' own words."""


@dataclass(slots=True)
class Clock:
    """Seconds since the question arrived."""

    started: float
    retrieve: float = 0.0
    first_token: float | None = None

    def elapsed(self) -> float:
        return time.perf_counter() - self.started

    def seconds(self) -> Seconds:
        return Seconds(self.retrieve, self.first_token, self.elapsed())


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


def why_no_model(
    engine: Engine, question: str, evidence: Evidence, options: GenerateOptions, *, is_terse: bool
) -> str:
    """Why the documents' own words answer better than this device's model would; "" where it is to
    be asked. ``is_terse``: it has learned to give the one short answer, and takes a request for
    whatever is said of something for a question that the sentences do not answer."""
    if not can_read(engine, question):
        return "model_language"
    is_open = bool(evidence.on_topic) and options.json_schema is None
    return "open_request" if is_open and is_terse else ""


def about_tokens(*texts: str) -> int:
    """About how many tokens ``texts`` are to a model that is not at hand, on the high side: a token
    is taken to be three ASCII characters, or one of any other script."""
    ascii_characters = sum(character.isascii() for text in texts for character in text)
    return -(-ascii_characters // 3) + sum(map(len, texts)) - ascii_characters


def says_something(text: str) -> bool:
    """Whether ``text`` is more than marks and an announcement ("The answer is:")."""
    plain = MARKS.sub("", text).strip()
    return any(character.isalnum() for character in plain) and not plain.endswith(":")


def gather(tokens: Sequence[Token]) -> Completion:
    """A whole completion from its tokens; reasoning is not part of the text."""
    last = tokens[-1] if tokens else Token("")
    text = "".join(token.text for token in tokens if not token.reasoning)
    reason, usage = last.finish_reason or "stop", last.usage or Usage()
    return Completion(text, tuple(tokens), reason, usage, calls_in(tokens))


def calls_in(tokens: Sequence[Token]) -> tuple[ToolCall, ...]:
    """The calls that ``tokens`` are pieces of, in their order; not one that was cut off."""
    found: dict[int, ToolCall] = {}
    for token in tokens:
        piece = token.tool_call
        if piece is None:
            continue
        before = found.get(piece.index, ToolCall("", "", ""))
        found[piece.index] = ToolCall(
            before.id or piece.id, before.name or piece.name, before.arguments + piece.arguments
        )
    calls = tuple(found[index] for index in sorted(found))
    return calls if not calls or _is_whole(calls[-1].arguments) else calls[:-1]


def _is_whole(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        return False


def merge(defaults: GenerateOptions, given: GenerateOptions | None) -> GenerateOptions:
    """``given`` wherever it says something, else ``defaults``; what stops either stops both."""
    if given is None:
        return defaults
    said = {
        name: value
        for name in GenerateOptions.__dataclass_fields__
        if (value := getattr(given, name)) not in (None, (), {})
    }
    return replace(defaults, **said | {"stop": (*defaults.stop, *given.stop)})


def answer_from(
    completion: Completion,
    evidence: Evidence,
    given: Sequence[Quote],
    num_quotes: int,
    model: str,
    clock: Clock,
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


def in_the_documents_words(
    evidence: Evidence, num_quotes: int, reason: str, clock: Clock
) -> Answer:
    """The best sentence itself, where a model could only add noise, or added nothing; of an open
    request the best few that speak of its topic."""
    told = [q for q in evidence.quotes if q.number in evidence.on_topic][:MOST_TOLD]
    told = told or list(evidence.quotes[:1])
    cited = tuple(quote.number for quote in told)
    return _without_a_model(
        "\n".join(f"{' '.join(quote.text.split())} [{quote.number}]" for quote in told),
        Route.LOCAL,
        reason,
        clock,
        quotes=shown(evidence.quotes, num_quotes, cited),
        citations=cited,
    )


def everything_found(listing: Evidence, clock: Clock) -> Answer:
    documents = {source for q in listing.quotes for source in (q.source, *q.also_in)}
    text = t("answer.everything", count=len(listing.quotes), documents=len(documents))
    return _without_a_model(text, Route.LOCAL, "listing", clock, quotes=listing.quotes)


def nothing_found(clock: Clock) -> Answer:
    return _without_a_model(t("answer.nothing_found"), Route.ABSTAIN, "no_evidence", clock)


def _without_a_model(
    text: str,
    route: Route,
    reason: str,
    clock: Clock,
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

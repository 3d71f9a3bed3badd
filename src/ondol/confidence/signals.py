"""What a completion shows of itself for nothing: how sure its tokens were, how well its answer fits
the question, and how well both fit the evidence.

Everything is a number with a fixed meaning; logprobs are natural logarithms. A signal that cannot
be had (no logprobs, no citation) is left out, and counts as average. The length-normalised
log-probability is the best single one known for small models (arXiv:2605.02241).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ondol.confidence.expected import asks_for, candidates, fits
from ondol.confidence.spans import (
    cuts_a_name,
    goes_on_after,
    goes_on_before,
    is_qualified,
    mentions,
    names_and_numbers,
)
from ondol.confidence.words import content_words, folded, shared
from ondol.prompt import ABSTENTION_OPENS, MARKS, abstains
from ondol.types import Completion, Evidence, Quote, Token

LEAST_LOGPROB = -12.0
_WHY = re.compile(
    r"\b(?:why|how (?!many|much|old|long|far|tall|large|big|high|often|fast))|왜|어떻게"
)
# What a question is about is left out: it would be learned, and be wrong of the next subject.
_OF_CHAT = ("mean_logprob", "min_logprob", "first_logprob", "mean_margin", "mean_entropy")
_OF_ABSTENTIONS = (
    "first_logprob",
    "first_margin",
    "question_words",
    "quote_score",
    "quote_lead",
    "quote_coverage",
    "hit_score",
    "hit_lead",
    "same_source",
)


@dataclass(frozen=True, slots=True)
class Parted:
    """The tokens of a completion: of the answer proper, and of the first citation mark."""

    answer: tuple[Token, ...]
    mark: tuple[Token, ...]


def of_chat(question: str, completion: Completion) -> dict[str, float]:
    """The signals of a reply that has no evidence."""
    tokens = [t for t in completion.tokens if t.logprob is not None and not t.reasoning]
    text = completion.text.strip()
    words = text.split()
    told = _token_signals(tokens)
    found = {name: told[name] for name in _OF_CHAT if name in told}
    return found | {
        "tokens": math.log1p(len(tokens)),
        "cut_off": float(completion.finish_reason == "length"),
        "echo": _echo(question, text),
        "repeats": 1.0 - len({w.lower() for w in words}) / len(words) if words else 0.0,
    }


def of_grounded(
    question: str, evidence: Evidence, given: Sequence[Quote], completion: Completion
) -> dict[str, float]:
    """The signals of an answer from the sentences ``given``, which are the best of ``evidence``.
    Where no model spoke (no tokens), those of the evidence alone."""
    found = _evidence_signals(question, evidence)
    parted = _parted(completion)
    if not parted.answer:
        return found
    text = completion.text.strip()
    found |= _token_signals(parted.answer)
    if abstains(text):
        # How sure an abstention is shows in other ways than how sure an answer is.
        return {"abstains": 1.0} | {
            f"abstained_{name}": found[name] for name in _OF_ABSTENTIONS if name in found
        }
    found |= {
        "abstains": 0.0,
        "cut_off": float(completion.finish_reason == "length"),
        "tokens": math.log1p(len(parted.answer)),
        "uncited": float(not parted.mark),
    }
    if parted.mark:
        # How sure it was that the answer ends here, and of the number.
        found["end_logprob"] = _logprob(parted.mark[0])
        found["mark_logprob"] = sum(_logprob(token) for token in parted.mark[1:])
    said = MARKS.sub("", text).strip().rstrip(".")
    return found | _answer_signals(question, said, _cited(text, given) or given[0], given)


def _token_signals(tokens: Sequence[Token]) -> dict[str, float]:
    if not tokens:
        return {}
    logprobs = [_logprob(token) for token in tokens]
    margins = [_margin(token) for token in tokens]
    first = tokens[0]
    opening = [a.logprob for a in first.top if a.text.strip() == ABSTENTION_OPENS]
    return {
        "sequence_logprob": sum(logprobs),
        "mean_logprob": sum(logprobs) / len(logprobs),
        "min_logprob": min(logprobs),
        "first_logprob": logprobs[0],
        "first_entropy": _entropy(first),
        "first_margin": margins[0],
        "mean_margin": sum(margins) / len(margins),
        "min_margin": min(margins),
        "mean_entropy": sum(map(_entropy, tokens)) / len(tokens),
        "abstention_logprob": max(opening, default=_floor(first)),
    }


def _evidence_signals(question: str, evidence: Evidence) -> dict[str, float]:
    quotes, hits = evidence.quotes, evidence.hits
    asked = content_words(question)
    found = {"question_words": math.log1p(len(question.split()))}
    if quotes:
        best = quotes[0]
        kind = asks_for(question)
        found |= {
            "quote_score": best.score,
            "quote_lead": best.score - quotes[1].score if len(quotes) > 1 else 1.0,
            "quote_coverage": shared(asked, content_words(best.text)),
            "quote_words": math.log1p(len(best.text.split())),
            "same_source": sum(q.source == best.source for q in quotes[:3]) / len(quotes[:3]),
        }
        if kind:
            found["quote_candidates"] = math.log1p(len(candidates(kind, question, best.text)))
    if hits:
        found["hit_score"] = hits[0].score
        others = [h.score for h in hits if h.chunk.source != hits[0].chunk.source]
        found["hit_lead"] = hits[0].score - max(others, default=0.0)
    return found


def _answer_signals(
    question: str, said: str, cited: Quote, given: Sequence[Quote]
) -> dict[str, float]:
    """How the answer fits the question and the sentence it cites."""
    asked = content_words(question)
    sentence, answer = folded(cited.text), folded(said)
    kind = asks_for(question)
    rest = [q for q in given if q.number != cited.number]
    found = {
        "cited_score": cited.score,
        "cited_rank": float(cited.number),
        "cited_lead": cited.score - max((q.score for q in rest), default=0.0),
        "cited_coverage": shared(asked, content_words(cited.text)),
        "cited_words": math.log1p(len(cited.text.split())),
        "verbatim": float(answer in sentence),
        "verbatim_elsewhere": float(any(answer in folded(q.text) for q in rest)),
        "answer_share": len(said) / max(1, len(cited.text)),
        "answer_words": math.log1p(len(said.split())),
        "echo": _echo(question, said),
        "nearness": mentions(asked, cited.text, said),
        "asks_known_kind": float(bool(kind)),
        "asks_yes_no": float(kind == "yes_no"),
        "asks_why": float(bool(_WHY.search(question.lower()))),
        "cuts_a_name": float(cuts_a_name(said, cited.text)),
        "is_qualified": float(is_qualified(said, cited.text)),
        "goes_on_before": float(goes_on_before(said, cited.text)),
        "goes_on_after": float(goes_on_after(said, cited.text)),
    }
    named = names_and_numbers(question)
    if named:
        found["cited_names"] = shared(named, content_words(cited.text))
    if kind:
        found["fits_kind"] = float(fits(kind, said))
        rivals = candidates(kind, question, cited.text)
        found["cited_candidates"] = math.log1p(len(rivals))
        # Of several years in a sentence the right one stands nearer to what was asked.
        others = [mentions(asked, cited.text, one) for one in rivals if one not in answer]
        found["nearness_lead"] = found["nearness"] - max(others, default=0.0)
    return found


def _echo(question: str, said: str) -> float:
    """The share of the answer's words that the question said already."""
    return shared(content_words(said), content_words(question))


def _cited(text: str, given: Sequence[Quote]) -> Quote | None:
    numbers = [int(n) for n in MARKS.findall(text)]
    return next((q for n in numbers for q in given if q.number == n), None)


def _parted(completion: Completion) -> Parted:
    tokens = [t for t in completion.tokens if t.logprob is not None and not t.reasoning]
    text = "".join(t.text for t in tokens)
    found = MARKS.search(text)
    begin, end = found.span() if found else (len(text), len(text))
    answer, mark, place = [], [], 0
    for token in tokens:
        # A token that only begins with the space before a mark is the mark's.
        if place + len(token.text) <= begin or (place < begin and not token.text.endswith("[")):
            answer.append(token)
        elif place < end:
            mark.append(token)
        place += len(token.text)
    return Parted(tuple(answer), tuple(mark))


def _logprob(token: Token) -> float:
    return max(token.logprob or 0.0, LEAST_LOGPROB)


def _floor(token: Token) -> float:
    """No alternative that was not reported is likelier than the last one that was."""
    return max(min((a.logprob for a in token.top), default=LEAST_LOGPROB), LEAST_LOGPROB)


def _margin(token: Token) -> float:
    """By how many nats the token was likelier than the best other; negative for a sampled one."""
    others = [a.logprob for a in token.top if a.text != token.text]
    return min(_logprob(token) - max([*others, LEAST_LOGPROB]), -LEAST_LOGPROB)


def _entropy(token: Token) -> float:
    """In nats, of the alternatives; what they leave counts as one more."""
    shares = [math.exp(a.logprob) for a in token.top]
    left = 1.0 - sum(shares)
    return -sum(p * math.log(p) for p in (*shares, left) if p > 1e-9)

"""Sentences out of a conversation, word for word: what was stated, what a question is about.

By words alone: no model is asked, so none can make anything up, and it costs milliseconds. Knows
nothing of contexts and labels; ``long_chat`` calls it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ondol.retrieval.sentences import split
from ondol.types import Message

LONGEST_LETTERS = 240
FEWEST_TERMS = 3
# The user's own statements are what later questions are about; a number, a date or a name makes a
# sentence one that can be asked for.
USERS_WEIGHT, FACT_WEIGHT, CENTRAL_WEIGHT = 1.0, 0.5, 0.5
# Of two sentences that share this much, one is enough.
ALIKE = 0.6
# What shares less than this part of what the best does is about something else.
LEAST_SHARE = 0.5

_WORD = re.compile(r"\w+")
_FACT = re.compile(r"\d|(?<=[^.!?\s] )[A-Z]\w|[가-힣]+(?:입니다|이에요|예요|이야|해요|합니다)")
# What is asked for states nothing.
_REQUEST = re.compile(
    r"(?:please|tell|give|write|explain|show|list|help|summari[sz]e|translate|make|find|let|can|could"
    r"|would)\b|.*(?:줘|주세요|알려|해라|할까)[.!요]*$",
    re.IGNORECASE | re.DOTALL,
)
_COMMON = frozenset(
    "the a an and or but of to in on at for with is are was were be been it its this that these "
    "those i you he she we they me my your his her our their what which who when where why how do "
    "does did can could will would should have has had not no yes as from by about into than then "
    "there here please tell said say".split()
)


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence, who said it, and its place in the conversation."""

    text: str
    role: str
    place: int


def sentences_of(messages: Iterable[Message]) -> list[Said]:
    """Every sentence that states something, in order; questions and nods are none."""
    found: list[Said] = []
    for message in messages:
        for start, end in split(message.content):
            text = " ".join(message.content[start:end].split())
            asks = text.endswith(("?", "？")) or _REQUEST.match(text) is not None
            if not asks and len(text) <= LONGEST_LETTERS and len(terms(text)) >= FEWEST_TERMS:
                found.append(Said(text, message.role, len(found)))
    return found


def gist(said: Sequence[Said], budget_tokens: int, count: Callable[[str], int]) -> list[Said]:
    """The sentences that state most, within the budget, in their order. Nothing of it depends on
    what is asked now."""
    spread = Counter(term for one in said for term in terms(one.text))
    most = max(spread.values(), default=1)

    def score(one: Said) -> float:
        own = terms(one.text)
        central = sum(spread[term] for term in own) / (len(own) * most) if own else 0.0
        by_user = USERS_WEIGHT * (one.role == "user")
        return by_user + FACT_WEIGHT * bool(_FACT.search(one.text)) + CENTRAL_WEIGHT * central

    return _within(sorted(said, key=lambda one: -score(one)), budget_tokens, count)


def about(
    said: Sequence[Said], question: str, budget_tokens: int, count: Callable[[str], int]
) -> list[Said]:
    """The sentences that share most with ``question``, rare words first, within the budget."""
    asked = terms(question)
    spread = Counter(term for one in said for term in terms(one.text))
    weights = {term: math.log(1 + len(said) / spread[term]) for term in asked if spread[term]}
    if not weights:
        return []

    def score(one: Said) -> float:
        return sum(weights.get(term, 0.0) for term in terms(one.text))

    best = sorted(said, key=lambda one: -score(one))
    least = LEAST_SHARE * score(best[0])
    return _within([one for one in best if score(one) > least], budget_tokens, count)


def terms(text: str) -> frozenset[str]:
    """The words of ``text`` that mean something; of Korean, whose words carry particles, pairs of
    letters."""
    found: set[str] = set()
    for word in _WORD.findall(text.casefold()):
        if any("가" <= letter <= "힣" for letter in word):
            found |= {word[i : i + 2] for i in range(max(1, len(word) - 1))}
        elif word not in _COMMON:
            found.add(word[:-1] if len(word) > 3 and word.endswith("s") else word)
    return frozenset(found)


def _within(ranked: Iterable[Said], budget_tokens: int, count: Callable[[str], int]) -> list[Said]:
    chosen: list[Said] = []
    for one in ranked:
        own = terms(one.text)
        if any(
            len(own & terms(c.text)) > ALIKE * min(len(own), len(terms(c.text))) for c in chosen
        ):
            continue
        cost = count(one.text) + FEWEST_TERMS
        if cost > budget_tokens:
            continue
        budget_tokens -= cost
        chosen.append(one)
    return sorted(chosen, key=lambda one: one.place)

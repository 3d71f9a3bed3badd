"""Which memories a prompt gets, and how they are written into it, within a budget of tokens.

Preferences hold for every prompt, so they come first; of the facts those that are most like what
is asked, by their words, and where there are many by their vectors too. Nothing is cut in half.
Knows no engine: the caller counts tokens, and brings what compares vectors.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ondol.folding import fold
from ondol.i18n import t
from ondol.memory import claims
from ondol.memory.records import Memory
from ondol.role_marks import harmless
from ondol.types import Sensitivity

# A language model's vocabulary has about this many letters a token, in Latin script; fewer in
# Hangul, where the estimate must not be too small.
LATIN_LETTERS, OTHER_LETTERS = 4, 1
# Of fewer facts words say enough, and no embedder has to be loaded for a chat.
MANY_FACTS = 20

Alike = Callable[[str, Sequence[str]], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Remembered:
    """What goes into a prompt: ``text`` for a system message (empty when nothing fits), the
    ``memories`` in it, those that count most first, and the strictest of their labels."""

    text: str = ""
    memories: tuple[Memory, ...] = ()
    sensitivity: Sensitivity = Sensitivity.PUBLIC


def about_tokens(text: str) -> int:
    """An estimate that is rather too large, for callers without a tokenizer."""
    latin = sum(character.isascii() for character in text)
    return -(-latin // LATIN_LETTERS) + (len(text) - latin) // OTHER_LETTERS


def for_prompt(
    memories: Sequence[Memory],
    question: str,
    *,
    max_tokens: int = 200,
    count_tokens: Callable[[str], int] = about_tokens,
    alike: Alike | None = None,
) -> Remembered:
    """The ``memories``, the latest first, for a prompt that asks ``question``, written within
    ``max_tokens``. They are written in the order in which they were said: while the same are
    chosen, a model's cache of the beginning of a chat stays good. ``alike`` gives the cosines of a
    question and texts."""
    if not memories or max_tokens <= 0:
        return Remembered()
    place = {one.id: (one.kind != "preference", -i) for i, one in enumerate(memories)}
    chosen: list[Memory] = []
    for memory in _ranked(_undisputed(memories), question, max_tokens, count_tokens, alike):
        if count_tokens(_written([*chosen, memory])) <= max_tokens:
            chosen.append(memory)
    if not chosen:
        return Remembered()
    text = _written(sorted(chosen, key=lambda one: place[one.id]))
    return Remembered(text, tuple(chosen), min(one.sensitivity for one in chosen))


def _ranked(
    memories: Sequence[Memory],
    question: str,
    max_tokens: int,
    count_tokens: Callable[[str], int],
    alike: Alike | None,
) -> list[Memory]:
    preferences = [one for one in memories if one.kind == "preference"]
    facts = [one for one in memories if one.kind != "preference"]
    scores = _shared(facts, question)
    if alike is not None and len(facts) > MANY_FACTS and count_tokens(_written(facts)) > max_tokens:
        close = alike(question, [one.text for one in facts])
        scores = [score + near for score, near in zip(scores, close, strict=True)]
    order = sorted(range(len(facts)), key=lambda i: -scores[i])
    return [*preferences, *(facts[i] for i in order)]


def _shared(facts: Sequence[Memory], question: str) -> list[float]:
    """Of the words of ``question`` the share that each fact has too, rare ones counting more."""
    asked = _words(question)
    words = [_words(one.text) for one in facts]
    count = Counter(word for own in words for word in own & asked)
    weight = {word: math.log(1 + len(facts) / count[word]) for word in asked if count[word]}
    total = sum(weight.values()) or 1.0
    return [sum(weight[word] for word in own & asked) / total for own in words]


def _undisputed(memories: Sequence[Memory]) -> list[Memory]:
    """Without what a program said against the owner's own word."""
    own = [one for one in memories if one.is_owners]
    return [
        one
        for one in memories
        if one.is_owners or not any(claims.contradicts(mine.text, one.text) for mine in own)
    ]


def _written(memories: Sequence[Memory]) -> str:
    return "\n".join([t("memory.prompt"), *(f"- {harmless(memory.text)}" for memory in memories)])


def _words(text: str) -> set[str]:
    """What two texts may have in common: words, and the first two letters of Korean ones, which
    carry the meaning while the end changes."""
    words = "".join(c if c.isalnum() else " " for c in fold(text).text.casefold()).split()
    return {word if word.isascii() else word[:2] for word in words if len(word) > 1}

"""Where an answer stands in the sentence that it cites: near what was asked, whole or cut off."""

from __future__ import annotations

import re
from collections.abc import Collection

from ondol.confidence.words import folded, is_little, stem, words

FAR = 12

_NAME = re.compile(r"[A-Z][\w'’-]*(?:\s+(?:(?:of|the|de|von|van|and)\s+)*[A-Z][\w'’-]*)*")
_ABOUT = frozenset(
    "over about around nearly almost after before until till since under below above approximately "
    "roughly some least most than only early late mid".split()
)


def mentions(asked: Collection[str], sentence: str, answer: str) -> float:
    """How near to the answer the sentence says the question's words: from 1 (beside it) to 0 (none
    within ``FAR`` words, or the answer is not there). The mean over all of them."""
    stems = [stem(word) for word in words(sentence)]
    wanted = [stem(word) for word in words(answer)]
    size = len(wanted)
    places = [i for i in range(len(stems) - size + 1) if stems[i : i + size] == wanted]
    if not size or not places or not asked:
        return 0.0
    best = 0.0
    for begin in places:
        total = 0.0
        for word in asked:
            away = [
                max(begin - i, i - (begin + size - 1))
                for i, s in enumerate(stems)
                if s == word and not begin <= i < begin + size
            ]
            total += max(0.0, 1.0 - (min(away) - 1) / FAR) if away else 0.0
        best = max(best, total / len(asked))
    return best


def is_qualified(answer: str, sentence: str) -> bool:
    """Whether the word before the answer says more about it: "over 37 million", "after 1850"."""
    before, _ = _around(answer, sentence)
    return before in _ABOUT


def goes_on_before(answer: str, sentence: str) -> bool:
    """Whether a content word stands right before the answer: it may begin too late."""
    before, _ = _around(answer, sentence)
    return bool(before) and before not in _ABOUT and not is_little(before)


def goes_on_after(answer: str, sentence: str) -> bool:
    """Whether a content word stands right behind the answer: it may end too early."""
    _, after = _around(answer, sentence)
    return bool(after) and not is_little(after)


def names_and_numbers(question: str) -> frozenset[str]:
    """The stems of what a question names: its numbers, and its words with a capital but the
    first."""
    named = " ".join(re.findall(r"(?<=\s)[A-Z][\w’'-]*", question))
    numbers = " ".join(re.findall(r"\d+(?:[.,]\d+)*", question))
    return frozenset(stem(word) for word in words(f"{named} {numbers}") if not is_little(word))


def _around(answer: str, sentence: str) -> tuple[str, str]:
    """The words beside the answer's first place in the sentence; "" at a sign, or at an end."""
    said, whole = folded(answer), folded(sentence)
    begin = whole.find(said)
    if begin < 0 or not said:
        return "", ""
    before = re.search(r"([^\W_]+)\s$", whole[:begin])
    after = re.match(r"\s([^\W_]+)", whole[begin + len(said) :])
    return (before[1] if before else ""), (after[1] if after else "")


def cuts_a_name(answer: str, sentence: str) -> bool:
    """Whether ``answer`` is a part of a longer name."""
    begin = sentence.find(answer)
    if begin < 0 or not answer:
        return False
    end = begin + len(answer)
    return any(
        (found.start() < begin < found.end() or found.start() < end < found.end())
        for found in _NAME.finditer(sentence)
        if not (begin <= found.start() and found.end() <= end)
    )

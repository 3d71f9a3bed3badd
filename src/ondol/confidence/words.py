"""Words as evidence and answers are compared by: folded, without the little ones, and alike when
they begin alike ("invade", "invasion"), as far as a rule without a dictionary goes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)?")
_LITTLE = frozenset(
    "a an the of in on at to for from by with and or but nor as is are was were be been being do "
    "does did has have had having will would can could shall should may might must it its this "
    "that these those there here he she they we you i his her their our your him them who whom "
    "whose which what when where why how many much not no than then into about over under after "
    "before between during also if so such only own same some any all each more most other".split()
)
MOST_ALIKE = 5


def folded(text: str) -> str:
    """``text`` where case, width and white space do not matter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words(text: str) -> list[str]:
    """Words and numbers in order, folded."""
    return _WORD.findall(folded(text))


def stem(word: str) -> str:
    """What a word has in common with its forms: its first letters; a number is itself."""
    if word[0].isdigit():
        return word
    if word[0] >= "가":
        return word[:2]  # particles and endings cling to the end
    word = word.partition("'")[0].partition("’")[0]
    return word[:MOST_ALIKE] if len(word) > MOST_ALIKE else word.rstrip("s") or word


def content_words(text: str) -> frozenset[str]:
    """The stems of what is not a little word."""
    return frozenset(stem(word) for word in words(text) if word not in _LITTLE)


def is_little(word: str) -> bool:
    """Whether a folded word is one of those that sentences are held together by."""
    return word in _LITTLE


def shared(wanted: Collection[str], there: Collection[str]) -> float:
    """The share of ``wanted`` that is ``there``; 0.0 of nothing."""
    return sum(word in there for word in wanted) / len(wanted) if wanted else 0.0

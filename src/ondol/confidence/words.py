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
_ENDING = re.compile(r"(?:ing|ies|ed|es|s|e|y)$")
_VALUES = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
} | {"once": "1", "twice": "2", "dozen": "12"}
MOST_ALIKE = 5


def folded(text: str) -> str:
    """``text`` where case, width and white space do not matter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words(text: str) -> list[str]:
    """Words and numbers in order, folded."""
    return _WORD.findall(folded(text))


def stem(word: str) -> str:
    """What a word has in common with its forms: its first letters; a number is its value."""
    if word[0].isdigit():
        return word.replace(",", "")
    if word[0] >= "가":
        return word[:2]  # particles and endings cling to the end
    word = word.partition("'")[0].partition("’")[0]
    if word in _VALUES:
        return _VALUES[word]
    bare = _ENDING.sub("", word) if len(word) > MOST_ALIKE - 1 else word.rstrip("s")
    return (bare if len(bare) > 2 else word)[:MOST_ALIKE]


def content_words(text: str) -> frozenset[str]:
    """The stems of what is not a little word."""
    return frozenset(stem(word) for word in words(text) if word not in _LITTLE)


def is_little(word: str) -> bool:
    """Whether a folded word is one of those that sentences are held together by."""
    return word in _LITTLE


def shared(wanted: Collection[str], there: Collection[str]) -> float:
    """The share of ``wanted`` that is ``there``; 0.0 of nothing."""
    return sum(word in there for word in wanted) / len(wanted) if wanted else 0.0

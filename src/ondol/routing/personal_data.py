"""Personal data in a text: what identifies a person, reaches one, or opens a door.

Patterns with check digits, in two languages; no model, no network, no names of people. The text is
folded first, so that full-width or spelled-out digits and characters that nobody sees hide nothing.
A finding is a reason to keep a text here, so doubtful ones count (see docs/privacy-labels.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from ondol.folding import Folded, fold
from ondol.routing import (
    personal_data_broken,
    personal_data_numbers,
    personal_data_places,
    personal_data_secrets,
)
from ondol.routing.personal_data_patterns import Recogniser, anchored

_ALL = (
    *personal_data_secrets.RECOGNISERS,
    *personal_data_places.RECOGNISERS,
    *personal_data_numbers.RECOGNISERS,
)
KINDS = tuple(dict.fromkeys(recogniser.kind for recogniser in _ALL))
"""Every kind of personal data that is known."""

_KOREAN_DIGITS = dict(zip("공영일이삼사오육칠팔구", "00123456789", strict=True))
_ENGLISH_DIGITS = {
    word: str(value)
    for value, words in enumerate("zero,oh one two three four five six seven eight nine".split())
    for word in words.split(",")
}
_WORD = "|".join(_ENGLISH_DIGITS)
# Digits one by one, or in words: nobody writes anything but a number like that.
_PULLED_APART = re.compile(
    r"(?<![\d.,])\d(?:[ .,_|/*\n-]{1,3}\d){8,}(?!\d)|"
    r"(?<![가-힣])[공영일이삼사오육칠팔구](?:[ .,-]{0,2}[공영일이삼사오육칠팔구]){8,}|"
    rf"(?i:\b(?:{_WORD})(?:[ .,-]{{1,3}}(?:{_WORD})){{8,}}\b)"
)
_MAY_BE_PULLED_APART = re.compile(
    r"\d[ .,_|/*\n-]{1,3}\d[ .,_|/*\n-]{1,3}\d[ .,_|/*\n-]|[공영일이삼사오육칠팔구][ .,-]{0,2}"
    r"[공영일이삼사오육칠팔구][ .,-]{0,2}[공영일이삼사오육칠팔구]|"
    r"[oren][ .,-]{1,3}(?:zero|one)\b",
    re.IGNORECASE,
)
_UNIT = re.compile(rf"(?i:{_WORD})|[\d공영일이삼사오육칠팔구]")


@dataclass(frozen=True, slots=True)
class Finding:
    """``text[start:end]`` is personal data of this ``kind`` ("phone", "kr_rrn", …)."""

    kind: str
    start: int
    end: int


def find(text: str) -> list[Finding]:
    """Everything personal in ``text``, in order; no two overlap."""
    folded = fold(text)
    found = [*_search(folded, _ALL), *_broken(folded)]
    if _is_pulled_apart(folded.text):
        found += _search(_put_together(folded), personal_data_numbers.RECOGNISERS)
    return _apart(found)


def holds(text: str, *, among: Sequence[str] = KINDS) -> bool:
    """Whether there is anything personal in ``text``, of the kinds ``among``: quicker than
    ``find``."""
    folded = fold(text)
    wanted = _of_kinds(tuple(among))
    if next(_search(folded, wanted), None) is not None:
        return True
    if any(finding.kind in among for finding in _broken(folded)):
        return True
    if not _is_pulled_apart(folded.text):
        return False
    return next(_search(_put_together(folded), personal_data_numbers.RECOGNISERS), None) is not None


@cache
def _of_kinds(kinds: tuple[str, ...]) -> tuple[Recogniser, ...]:
    return tuple(recogniser for recogniser in _ALL if recogniser.kind in kinds)


def _is_pulled_apart(text: str) -> bool:
    return bool(_MAY_BE_PULLED_APART.search(text) and _PULLED_APART.search(text))


def _search(folded: Folded, recognisers: Sequence[Recogniser]) -> Iterator[Finding]:
    text, lower = folded.text, folded.text.lower()
    if len(lower) != len(text):
        # A few letters are longer in lower case (İ); places must stay where they are.
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    anchors = {recogniser.anchor for recogniser in recognisers}
    places = {anchor: anchored(text, lower, anchor) for anchor in anchors}
    for recogniser in recognisers:
        for span in recogniser.find(text, places[recogniser.anchor]):
            yield Finding(recogniser.kind, *folded.span(*span))


def _broken(folded: Folded) -> Iterator[Finding]:
    for kind, span in personal_data_broken.spans(folded.text):
        yield Finding(kind, *folded.span(*span))


def _apart(found: list[Finding]) -> list[Finding]:
    """Of findings that overlap the longest, of those as long the first."""
    kept: list[Finding] = []
    for one in sorted(found, key=lambda f: f.start - f.end):
        if all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda f: f.start)


def _put_together(folded: Folded) -> Folded:
    """The same text with digits that were pulled apart or spelled out as plain numbers."""
    starts = folded.starts or range(len(folded.text))
    pieces: list[str] = []
    places: list[int] = []
    at = 0
    for match in _PULLED_APART.finditer(folded.text):
        pieces.append(folded.text[at : match.start()])
        places.extend(starts[at : match.start()])
        for unit in _UNIT.finditer(match.group()):
            pieces.append(_digit(unit.group()))
            places.append(starts[match.start() + unit.start()])
        at = match.end()
    pieces.append(folded.text[at:])
    places.extend(starts[at:])
    return Folded("".join(pieces), folded.original, tuple(places))


def _digit(unit: str) -> str:
    return _KOREAN_DIGITS.get(unit) or _ENGLISH_DIGITS.get(unit.lower()) or unit

"""Copies and near neighbours: what says the same again, and what says something new.

A passage that another one repeats is shown once, with the places of its copies. It counts as a copy
only when the one shown leaves out nothing that tells: sixty receipts made from one form differ by a
name and a sum, and are sixty. Diversity is maximal marginal relevance (Carbonell and Goldstein,
1998).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace

from ondol.retrieval.terms import STOP_WORDS
from ondol.types import Hit, Sensitivity

SHINGLE_WORDS = 3
# Share of a copy's shingles that are in what is shown: a header, a footer and a few words may
# differ. Of two drafts with every twentieth word changed about 85 % are the same.
COPIED_SHARE = 0.8
# Copies rank beside each other, so a few passages beyond those wanted are looked at, and a passage
# is compared with so many before it. Nobody reads so far down that the order there should please:
# both keep a search for a thousand passages from taking a million comparisons.
LOOK_AHEAD = 10
LOOK_BACK = 50
SPREAD_FIRST = 50
# 1 is relevance alone. On XQuAD (612 questions) the right file leaves the first five of a search
# for one of them at 0.9, for none at 0.95. Sentences of evidence are not reordered: at every value
# one of the two quotes more held the answer less often.
TRADE_OFF = 0.95

_WORD = re.compile(r"\w+")
_CJK = re.compile("[\u1100-\u11ff\u3040-\u318f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]")


class Fingerprint:
    """A text as what copies are known by: its words and its runs of three. Case, punctuation and
    white space leave no trace in them."""

    def __init__(self, text: str) -> None:
        self._text = text if text.isascii() else unicodedata.normalize("NFKC", text)
        words = _WORD.findall(self._text.casefold())
        self.words = frozenset(words)
        runs = zip(*(words[i:] for i in range(SHINGLE_WORDS)), strict=False)
        # Of a text of one or two words the whole is the only run.
        shingles = runs if len(words) >= SHINGLE_WORDS else [tuple(words)][: len(words)]
        self.shingles = frozenset(map(hash, shingles))

    def repeats(self, shown: Fingerprint) -> bool:
        """Whether who reads ``shown`` misses nothing of this one."""
        common = len(self.shingles & shown.shingles)
        if not common or common < COPIED_SHARE * len(self.shingles):
            return False
        return self._telling() <= shown.words

    def _telling(self) -> frozenset[str]:
        """The words that tell a text from others of the same form: numbers, names, and whatever is
        in Hangul or Han, where a name looks like any other word."""
        told = (word for word in _WORD.findall(self._text) if _is_telling(word))
        return frozenset(word.casefold() for word in told) - STOP_WORDS


def collapse(hits: Sequence[Hit], limit: int) -> list[Hit]:
    """The first ``limit`` of ``hits`` that are no copies of a better one, ranked anew; the sources
    of the copies are in ``also_in`` of the one that is shown."""
    return _ranked([hit for hit, _ in _originals(hits, limit)])


def spread(hits: Sequence[Hit], limit: int) -> list[Hit]:
    """As ``collapse``, and in an order in which passages that say something new come a little
    earlier; the first stays first."""
    found = _originals(hits, limit + LOOK_AHEAD)

    def similarity(one: int, other: int) -> float:
        return overlap(found[one][1].words, found[other][1].words)

    scores = [hit.score for hit, _ in found[: SPREAD_FIRST + LOOK_AHEAD]]
    order = diversify(scores, similarity, min(limit, SPREAD_FIRST))
    follow = sorted(set(range(len(found))) - set(order))
    return _ranked([found[place][0] for place in [*order, *follow][:limit]])


def _originals(hits: Sequence[Hit], limit: int) -> list[tuple[Hit, Fingerprint]]:
    kept: list[tuple[Hit, Fingerprint]] = []
    for hit in hits[: limit + LOOK_AHEAD]:
        mine = Fingerprint(hit.chunk.text)
        before = range(max(len(kept) - LOOK_BACK, 0), len(kept))
        place = next((i for i in before if mine.repeats(kept[i][1])), None)
        if place is not None:
            original, theirs = kept[place]
            for source in (hit.chunk.source, *hit.also_in):
                original = with_source(original, source)
            kept[place] = as_strict_as(original, hit.chunk.sensitivity), theirs
        elif len(kept) < limit:
            kept.append((hit, mine))
    return kept


def with_source(hit: Hit, source: str) -> Hit:
    """``hit``, found in ``source`` too."""
    if source == hit.chunk.source or source in hit.also_in:
        return hit
    return replace(hit, also_in=(*hit.also_in, source))


def as_strict_as(hit: Hit, sensitivity: Sensitivity) -> Hit:
    """``hit``, travelling no further than ``sensitivity``: it says what another passage says."""
    if hit.chunk.sensitivity <= sensitivity:
        return hit
    return replace(hit, chunk=replace(hit.chunk, sensitivity=sensitivity))


def diversify(
    relevance: Sequence[float],
    similarity: Callable[[int, int], float],
    limit: int,
    trade_off: float = TRADE_OFF,
) -> list[int]:
    """The places of ``limit`` items in an order in which each next one is relevant and unlike those
    before it. ``relevance`` falls and is positive where it counts; the first item stays first.
    ``similarity`` of two places is 0 to 1."""
    if not relevance:
        return []
    best = relevance[0] if relevance[0] > 0.0 else 1.0
    nearest = [0.0] * len(relevance)
    left = list(range(1, len(relevance)))
    chosen = [0]
    while left and len(chosen) < limit:
        for place in left:
            nearest[place] = max(nearest[place], similarity(chosen[-1], place))
        pick = max(
            left,
            key=lambda i: (trade_off * relevance[i] / best - (1.0 - trade_off) * nearest[i], -i),
        )
        left.remove(pick)
        chosen.append(pick)
    return chosen


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """The cosine of two sets of terms: 1 when they are the same, 0 when they share none."""
    if not one or not other:
        return 0.0
    return len(one & other) / math.sqrt(len(one) * len(other))


def _is_telling(word: str) -> bool:
    return word[0].isupper() or any(c.isdigit() for c in word) or bool(_CJK.search(word))


def _ranked(hits: Sequence[Hit]) -> list[Hit]:
    return [replace(hit, rank=rank) for rank, hit in enumerate(hits, start=1)]

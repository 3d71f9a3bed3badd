"""What a sampler makes of a token's probabilities, in llama.cpp's order: top-k, then top-p among
those that are left, then min-p, and temperature last.

Pure arithmetic on reported alternatives, natural logarithms; knows no engine. The page Lab computes
the same (web/static/js/lab/distribution.js).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ondol.types import Alternative

Cut = Literal["", "top_k", "top_p", "min_p"]


@dataclass(frozen=True, slots=True)
class Shape:
    """How the next token is chosen; the engine's own where nobody said otherwise. ``top_k`` 0,
    ``top_p`` 1 and ``min_p`` 0 cut nothing, ``temperature`` 0 takes the best."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05


@dataclass(frozen=True, slots=True)
class Row:
    """An alternative, its probability before the sampler and after it, and what ``cut`` it."""

    text: str
    logprob: float
    before: float
    after: float
    cut: Cut


@dataclass(frozen=True, slots=True)
class Spread:
    """The alternatives, likeliest first. Unless it ``is_whole`` the sampler keeps tokens beyond
    those that were reported: then ``kept`` is the least, and each ``after`` the most it can be."""

    rows: tuple[Row, ...]
    kept: int
    is_whole: bool


def spread(top: Sequence[Alternative], shape: Shape, vocabulary: int = 0) -> Spread:
    """What ``shape`` makes of the likeliest alternatives ``top`` of a ``vocabulary`` of tokens."""
    known = sorted(top, key=lambda one: -one.logprob)
    before = [math.exp(one.logprob) for one in known]
    cuts, is_whole = _cuts(known, before, shape, vocabulary)
    after = _tempered(known, cuts, shape.temperature)
    rows = (
        Row(one.text, one.logprob, *pair, cut)
        for one, pair, cut in zip(known, zip(before, after, strict=True), cuts, strict=True)
    )
    return Spread(tuple(rows), cuts.count(""), is_whole)


def entropy_bits(top: Sequence[Alternative], vocabulary: int) -> tuple[float, float]:
    """The least and the most that the entropy of the whole distribution can be. Of the tokens that
    were not reported none is likelier than the last that was, and none is less than all alike."""
    shares = sorted((math.exp(one.logprob) for one in top), reverse=True)
    known = -sum(share * math.log2(share) for share in shares if share)
    rest = max(0.0, 1.0 - sum(shares))
    others = max(1, vocabulary - len(shares))
    # float32 logits leave a rest of millionths where everything was reported.
    if not shares or rest < 1e-6 or vocabulary <= len(shares):
        return known, known
    return known + rest * -math.log2(max(shares[-1], 1e-30)), known + rest * math.log2(
        others / rest
    )


def _cuts(
    known: Sequence[Alternative], before: Sequence[float], shape: Shape, vocabulary: int
) -> tuple[list[Cut], bool]:
    size = len(known)
    is_whole = size >= vocabulary > 0 or 0 < shape.top_k <= size
    here = min(shape.top_k, size) if shape.top_k > 0 else size
    # llama.cpp makes probabilities of what top-k has left before top-p adds them up.
    mass = sum(before[:here]) if is_whole else 1.0
    cuts: list[Cut] = []
    total, least = 0.0, _least(known, shape.min_p)
    for place, one in enumerate(known):
        if place >= here:
            cuts.append("top_k")
        elif shape.top_p < 1 and place and total >= shape.top_p * mass:
            cuts.append("top_p")
        elif place and one.logprob < least:
            cuts.append("min_p")
        else:
            cuts.append("")
        total += before[place]
    if is_whole or shape.top_p >= 1:
        return cuts, is_whole or bool(cuts and cuts[-1])
    # A top-k beyond what was reported leaves a mass that nobody knows.
    return cuts, shape.top_k <= 0 and (total >= shape.top_p or bool(cuts and cuts[-1]))


def _least(known: Sequence[Alternative], min_p: float) -> float:
    return known[0].logprob + math.log(min_p) if known and min_p > 0 else -math.inf


def _tempered(known: Sequence[Alternative], cuts: Sequence[Cut], temperature: float) -> list[float]:
    if temperature <= 0:
        return [float(place == 0) for place in range(len(known))]
    best = known[0].logprob if known else 0.0
    weights = [
        0.0 if cut else math.exp((one.logprob - best) / temperature)
        for one, cut in zip(known, cuts, strict=True)
    ]
    total = sum(weights) or 1.0
    return [weight / total for weight in weights]

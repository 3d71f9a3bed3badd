"""How good probabilities are: can they tell right from wrong, and do they mean what they say.

Everything takes ``probabilities`` (any score for ``auroc`` and ``risk_coverage``) and ``right``, of
one length. Pure Python; a thousand labels take milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

BINS = 10


def auroc(scores: Sequence[float], right: Sequence[bool]) -> float | None:
    """The chance that a right answer scores above a wrong one, ties counted half (the area under
    the ROC curve, by ranks: Hanley & McNeil 1982). None when all are right, or all are wrong."""
    pairs = sorted(zip(scores, right, strict=True))
    positives = sum(right)
    negatives = len(pairs) - positives
    if not positives or not negatives:
        return None
    below, rank_sum = 0, 0.0
    for _, tied in groupby(pairs, key=lambda pair: pair[0]):
        group = [is_right for _, is_right in tied]
        rank_sum += sum(group) * (below + (len(group) + 1) / 2)
        below += len(group)
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def ece(probabilities: Sequence[float], right: Sequence[bool], bins: int = BINS) -> float:
    """Expected calibration error over ``bins`` bins of equal count: how far what was promised is
    from what came true (Naeini et al. 2015; equal counts: Nixon et al. 2019). 0.0 of nothing."""
    pairs = sorted(zip(probabilities, right, strict=True))
    total = len(pairs)
    promised, came = [0.0] * bins, [0] * bins
    below = 0
    for probability, tied in groupby(pairs, key=lambda pair: pair[0]):
        group = [is_right for _, is_right in tied]
        # Equal probabilities share a bin: that of the middle one.
        place = min(bins - 1, int((below + len(group) / 2) * bins / total))
        promised[place] += probability * len(group)
        came[place] += sum(group)
        below += len(group)
    gaps = (abs(p - c) for p, c in zip(promised, came, strict=True))
    return math.fsum(gaps) / total if total else 0.0


def brier(probabilities: Sequence[float], right: Sequence[bool]) -> float:
    """The mean squared error of the probabilities (Brier 1950). 0.0 of nothing."""
    errors = [(p - r) ** 2 for p, r in zip(probabilities, right, strict=True)]
    return math.fsum(errors) / len(errors) if errors else 0.0


class Kept(NamedTuple):
    """What is kept with ``score >= threshold``: how many of how many, and how many of them are
    wrong."""

    threshold: float
    kept: int
    wrong: int
    total: int

    @property
    def coverage(self) -> float:
        return self.kept / self.total if self.total else 0.0

    @property
    def error(self) -> float:
        """The share of the kept that is wrong; 0.0 when nothing is kept."""
        return self.wrong / self.kept if self.kept else 0.0


def risk_coverage(scores: Sequence[float], right: Sequence[bool]) -> list[Kept]:
    """What each threshold keeps, from the highest score that occurs to the lowest (El-Yaniv &
    Wiener 2010). Scores that are equal are kept together."""
    pairs = sorted(zip(scores, right, strict=True), reverse=True)
    points: list[Kept] = []
    kept = wrong = 0
    for score, tied in groupby(pairs, key=lambda pair: pair[0]):
        for _, is_right in tied:
            kept += 1
            wrong += not is_right
        points.append(Kept(score, kept, wrong, len(pairs)))
    return points


def aurc(scores: Sequence[float], right: Sequence[bool]) -> float:
    """The area under the risk–coverage curve: the mean error over all coverages (Geifman et al.
    2019); lower is better. 0.0 of nothing."""
    points = risk_coverage(scores, right)
    area, before = 0.0, 0
    for point in points:
        area += point.error * (point.kept - before)
        before = point.kept
    return area / before if before else 0.0


def at_threshold(scores: Sequence[float], right: Sequence[bool], threshold: float) -> Kept:
    """What ``threshold`` keeps."""
    kept = [r for s, r in zip(scores, right, strict=True) if s >= threshold]
    return Kept(threshold, len(kept), len(kept) - sum(kept), len(right))

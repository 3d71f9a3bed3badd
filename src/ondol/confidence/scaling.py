"""From a score to a probability that means what it says: Platt's sigmoid, or isotonic regression.

Platt (1999, with his smoothed targets) has two parameters and suits few labels; isotonic regression
(Zadrozny & Elkan 2002) takes any rising shape and needs many: Niculescu-Mizil & Caruana (2005) put
the border near a thousand.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ondol.confidence import regression

ENOUGH_FOR_ISOTONIC = 1000


@dataclass(frozen=True, slots=True)
class Platt:
    """p = sigmoid(slope · score + intercept)."""

    slope: float
    intercept: float

    def __call__(self, score: float) -> float:
        return regression.sigmoid(self.slope * score + self.intercept)

    def as_dict(self) -> dict[str, Any]:
        return {"kind": "platt", "slope": self.slope, "intercept": self.intercept}


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Rising, straight between the points; flat outside of them."""

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __call__(self, score: float) -> float:
        place = bisect_right(self.scores, score)
        if place == 0:
            return self.probabilities[0]
        if place == len(self.scores):
            return self.probabilities[-1]
        low, high = self.scores[place - 1], self.scores[place]
        start, end = self.probabilities[place - 1], self.probabilities[place]
        # Rounding must not carry a value past the next point.
        return min(end, start + (end - start) * (score - low) / (high - low))

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": "isotonic",
            "scores": list(self.scores),
            "probabilities": list(self.probabilities),
        }


Scaling = Platt | Isotonic


Fit = Callable[[Sequence[float], Sequence[bool]], Scaling]


def for_labels(count: int) -> Fit:
    """The scaling that so many labels allow; a fold of them is fitted the same way."""
    return fit_isotonic if count >= ENOUGH_FOR_ISOTONIC else fit_platt


def fit_platt(scores: Sequence[float], right: Sequence[bool]) -> Platt:
    """Platt's scaling. His targets stay away from 0 and 1, as if one more of each kind had been
    seen, so that a score that tells all apart promises no certainty. A falling line would turn the
    score around: then all get the same."""
    positives = sum(right)
    negatives = len(right) - positives
    high, low = (positives + 1) / (positives + 2), 1 / (negatives + 2)
    targets = [high if r else low for r in right]
    weights, intercept = regression.fit([[s] for s in scores], targets, penalty=1e-6)
    if weights[0] <= 0:
        return Platt(0.0, regression.logit((positives + 1) / (len(right) + 2)))
    return Platt(weights[0], intercept)


def fit_isotonic(scores: Sequence[float], right: Sequence[bool]) -> Isotonic:
    """Pool adjacent violators (Ayer et al. 1955); each pool is a point at its mean score. The share
    of a pool is smoothed as Platt's targets are, since a small one at an end is often all right."""
    pools: list[list[float]] = []  # sum of scores, number right, count
    for score, is_right in sorted(zip(scores, right, strict=True)):
        pools.append([score, float(is_right), 1.0])
        while len(pools) > 1 and (
            pools[-2][1] * pools[-1][2] >= pools[-1][1] * pools[-2][2]
            or pools[-2][0] / pools[-2][2] >= pools[-1][0] / pools[-1][2]
        ):
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    base = sum(right) / len(right)
    points = [(total / n, (positives + base) / (n + 1)) for total, positives, n in pools]
    rising: list[float] = []
    for _, probability in points:
        rising.append(max([probability, *rising[-1:]]))
    return Isotonic(tuple(score for score, _ in points), tuple(rising))


def read(fields: dict[str, Any]) -> Scaling:
    """What ``as_dict`` wrote. Raises ``ValueError``, ``KeyError`` or ``TypeError``."""
    if fields["kind"] == "platt":
        return Platt(float(fields["slope"]), float(fields["intercept"]))
    if fields["kind"] != "isotonic":
        raise ValueError(f"no such scaling: {fields['kind']}")
    scores = tuple(float(s) for s in fields["scores"])
    probabilities = tuple(float(p) for p in fields["probabilities"])
    if len(scores) != len(probabilities) or not scores or sorted(set(scores)) != list(scores):
        raise ValueError("the points of an isotonic scaling do not rise")
    return Isotonic(scores, probabilities)

"""Which answers may be kept: the lowest probability whose error stays, provably, under the target.

The owner says how many of the answers kept here may be wrong. Each threshold of a grid that was
fixed beforehand is a hypothesis ("keeping these errs more often than that"), tested with the exact
binomial tail, which is what Clopper & Pearson's interval (1934) turns around. Thresholds are tested
from several fixed starts downwards until one fails, each start with its share of the risk: Learn
then Test with fixed-sequence testing (Angelopoulos, Bates, Candès, Jordan & Lei 2021,
arXiv:2110.01052). So with probability 1 − ``RISK`` over the labels that it was chosen on, what the
chosen threshold keeps errs no more often than the target, on answers like those. Where no threshold
passes, the target is infeasible, and the choice says what is possible instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ondol.confidence.measures import Kept, at_threshold

RISK = 0.05
GRID = tuple(percent / 100 for percent in range(99, 0, -1))
STARTS = (0.95, 0.9, 0.85, 0.75)
STEP = 0.05


@dataclass(frozen=True, slots=True)
class Choice:
    """What came of a target. ``threshold`` is None when it is infeasible; ``kept`` and ``bound``
    (what the share of errors among the kept is at most, with 1 − ``RISK``) are then those of the
    threshold with the least bound: what is possible. ``abstains_at_least`` is the share that nobody
    could keep at that target, however good the probabilities (arXiv:2606.29054)."""

    target: float
    threshold: float | None
    kept: Kept
    bound: float
    abstains_at_least: float

    @property
    def feasible(self) -> bool:
        return self.threshold is not None


def choose(probabilities: Sequence[float], right: Sequence[bool], target: float) -> Choice:
    """The lowest threshold whose error among the kept is at most ``target``; the labels must not be
    those that the probabilities were fitted on. Raises ``ValueError`` for a target outside 0–1."""
    if not 0 < target < 1:
        raise ValueError(f"a target error between 0 and 1, not {target}")
    points = {t: at_threshold(probabilities, right, t) for t in GRID}
    risk = RISK / len(STARTS)
    passed: list[float] = []
    for start in STARTS:
        for threshold in (t for t in GRID if t <= start):
            if threshold in passed:
                continue
            point = points[threshold]
            if binomial_cdf(point.wrong, point.kept, target) > risk:
                break
            passed.append(threshold)
    base = 1 - sum(right) / len(right) if right else 1.0
    least = max(0.0, (base - target) / (1 - target))
    if passed:
        chosen = min(passed)
        point = points[chosen]
        return Choice(target, chosen, point, upper_bound(point.wrong, point.kept, risk), least)
    # Looking for the best of all thresholds is paid for with all of them (Bonferroni).
    share = RISK / len(GRID)
    bound, possible = 1.0, max(points.values(), key=lambda point: point.kept)
    for point in points.values():
        # One look tells whether a point's bound can be the least, 60 what it is: this runs once
        # for each question of the command line.
        if binomial_cdf(point.wrong, point.kept, bound) <= share:
            its = upper_bound(point.wrong, point.kept, share)
            if (its, -point.kept) < (bound, -possible.kept):
                bound, possible = its, point
    return Choice(target, None, possible, bound, least)


def curve(
    probabilities: Sequence[float], right: Sequence[bool], thresholds: Sequence[float] = ()
) -> list[Kept]:
    """What every twentieth of a probability keeps, and each of ``thresholds``, highest first."""
    steps = {round(STEP * n, 2) for n in range(1, round(1 / STEP))}
    chosen = sorted(steps | set(thresholds), reverse=True)
    return [at_threshold(probabilities, right, threshold) for threshold in chosen]


def upper_bound(wrong: int, kept: int, risk: float = RISK) -> float:
    """Clopper & Pearson's one-sided upper bound of an error rate, 1.0 of nothing: the rate at which
    so few errors among ``kept`` would be seen only with probability ``risk``."""
    if wrong >= kept:
        return 1.0
    low, high = wrong / kept, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if binomial_cdf(wrong, kept, middle) > risk:
            low = middle
        else:
            high = middle
    return high


def binomial_cdf(successes: int, trials: int, rate: float) -> float:
    """The probability of at most ``successes`` in ``trials``."""
    if successes >= trials:
        return 1.0
    if rate <= 0.0 or rate >= 1.0:
        return float(rate <= 0.0)
    of_all = math.lgamma(trials + 1)
    logs = [
        of_all
        - math.lgamma(k + 1)
        - math.lgamma(trials - k + 1)
        + k * math.log(rate)
        + (trials - k) * math.log1p(-rate)
        for k in range(successes + 1)
    ]
    return min(1.0, math.fsum(map(math.exp, logs)))

"""How sure a mean is: 95 % intervals by a bootstrap that resamples whole groups.

Questions about one article are not independent of each other, so articles are drawn, never
questions. Seeded: the same values give the same interval. Few groups (under about twenty) give
intervals that are somewhat too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

RESAMPLES = 4000
SEED = 20260
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean of ``n`` values with its 95 % interval. All NaN when ``n`` is 0; the interval alone is
    NaN when there is only one group, which says nothing of the spread."""

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, Any]:
        """Rounded to four places; what is not known, or not finite, is None."""
        rounded = {k: getattr(self, k) for k in ("value", "low", "high")}
        known = {k: round(v, 4) if math.isfinite(v) else None for k, v in rounded.items()}
        return known | {"n": self.n}


def mean(groups: Sequence[str], values: Sequence[float | None]) -> Estimate:
    """The mean of ``values`` (None: does not count), one for each entry of ``groups``."""
    names = _named(groups, values)
    totals = _totals(names, groups, values)
    return _estimate(_ratio(totals.sum(axis=0)), _resampled(totals), totals)


def difference(
    groups: Sequence[str], before: Sequence[float | None], after: Sequence[float | None]
) -> Estimate:
    """The mean of ``after`` minus that of ``before``, paired: each resample takes both from the
    same groups. ``n`` is the number of values that count on both sides, or the smaller side's."""
    either = [a if a is not None else b for a, b in zip(before, after, strict=True)]
    names = _named(groups, either)
    first, second = (_totals(names, groups, values) for values in (before, after))
    value = _ratio(second.sum(axis=0)) - _ratio(first.sum(axis=0))
    fewer = min(first, second, key=lambda totals: float(totals[:, 1].sum()))
    return _estimate(value, _resampled(second) - _resampled(first), fewer)


def _named(groups: Sequence[str], values: Sequence[float | None]) -> list[str]:
    """The groups that have a value, in an order that does not depend on the questions' order."""
    return sorted({g for g, value in zip(groups, values, strict=True) if value is not None})


def _totals(names: list[str], groups: Sequence[str], values: Sequence[float | None]) -> Array:
    """Sum and number of the values of every group, shape ``(groups, 2)``."""
    import numpy as np

    rows = {name: i for i, name in enumerate(names)}
    totals = np.zeros((len(names), 2))
    for group, value in zip(groups, values, strict=True):
        if value is not None:
            totals[rows[group]] += (value, 1.0)
    return totals


def _resampled(totals: Array) -> Array:
    """The mean in every resample, shape ``(RESAMPLES,)``; the same groups for the same shape."""
    import numpy as np

    count = len(totals)
    if count == 0:
        return np.full(RESAMPLES, np.nan)
    generator = np.random.default_rng(SEED)
    drawn = generator.multinomial(count, np.full(count, 1.0 / count), size=RESAMPLES)
    sums = drawn @ totals
    with np.errstate(invalid="ignore"):
        return np.asarray(sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan))


def _ratio(total: Array) -> float:
    return float(total[0] / total[1]) if total[1] else math.nan


def _estimate(value: float, resampled: Array, totals: Array) -> Estimate:
    import numpy as np

    known = resampled[~np.isnan(resampled)]
    low = high = math.nan
    if len(totals) > 1 and len(known) and not math.isnan(value):
        tail = (1 - CONFIDENCE) / 2
        low, high = (float(q) for q in np.quantile(known, (tail, 1 - tail)))
    return Estimate(value, low, high, round(float(totals[:, 1].sum())))

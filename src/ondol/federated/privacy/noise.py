"""Skellam noise in ring units, of which every device adds a share before it masks.

Skellam noise is the difference of two Poisson variables; sums of it are Skellam again, so the noise
that is left after drop-outs is known exactly (Agarwal, Kairouz and Liu 2021, arXiv:2110.04995).
Sums of discrete Gaussians are none.

Drawn by looking 64 bits of the system's entropy up in a table: the magnitude k >= 0 has the weight
round(2**63 * P(|X| = k)), in integers that add up to 2**63. P(X = k) = exp(-v) I_k(v) for the
variance v, where I_k is the modified Bessel function: by Miller's backward recurrence for small v
(DLMF 3.6, 10.29.1), by Debye's uniform expansion for large ones (DLMF 10.41.3), each with a
relative error below 1e-13. What is drawn is then closer than 1e-13 + 2**-42 in total variation to
Skellam's distribution, a coordinate and round: below 4e-7 for a million coordinates, to be thought
of as part of delta. Larger deviations than ``MOST_DEVIATION`` steps are refused: the steps are
senselessly fine then, and cost bits.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from ondol.errors import FederationError
from ondol.federated.encoding import Codec, Randomness
from ondol.federated.plan import Plan
from ondol.federated.privacy.shares import share_deviation
from ondol.i18n import t

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Doubles = npt.NDArray[np.float64]

MOST_DEVIATION = 2**19
AT_ONCE = 1 << 18
DEBYE_FROM = 1e4
"""Variance from which Debye's expansion to the fourth term errs by less than 1e-17."""


def share_variance(codec: Codec, plan: Plan) -> float:
    """Variance of a device's share on each coordinate, in squared steps."""
    return (share_deviation(plan, codec.most_clients) * codec.clip / codec.step) ** 2


def must_fit(plan: Plan, dimension: int) -> None:
    """Raises ``FederationError`` where no device could add the plan's noise to an update of that
    length, or no ring of 32 bits hold the sum: to be asked when a plan is made, not in a round."""
    num_clients = 1 if plan.aggregation == "individual" else plan.min_clients
    _must_be_drawn(share_variance(Codec.of(plan, num_clients, dimension, 1), plan))


def noise_share(codec: Codec, plan: Plan, rng: Randomness) -> Ints:
    """(codec.length,) integers to add to what was encoded; zeros where the plan has no noise. Draw
    once a round and keep it: with two draws on one update the noise averages out."""
    return skellam(codec.length, share_variance(codec, plan), rng)


def skellam(count: int, variance: float, rng: Randomness) -> Ints:
    """``count`` independent draws of mean 0 and that variance. Raises ``FederationError`` beyond
    ``MOST_DEVIATION``."""
    import numpy as np

    _must_be_drawn(variance)
    if variance == 0:
        return np.zeros(count, np.int64)
    table = _table(variance)
    drawn = np.empty(count, np.int64)
    for start in range(0, count, AT_ONCE):
        many = min(AT_ONCE, count - start)
        words = np.frombuffer(rng.bytes(8 * many), "<u8")
        sizes = np.searchsorted(table, words >> np.uint64(1), side="right")
        signs = 1 - 2 * (words & np.uint64(1)).astype(np.int64)
        drawn[start : start + many] = sizes * signs
    return drawn


def _must_be_drawn(variance: float) -> None:
    if not 0 <= variance <= MOST_DEVIATION**2:
        raise FederationError(t("federated_privacy.fine"), t("federated_privacy.ring_hint"))


@lru_cache(maxsize=2)
def _table(variance: float) -> npt.NDArray[np.uint64]:
    """Entry k: the sum of the weights of the magnitudes 0..k, the last one 2**63."""
    import numpy as np

    halves = magnitudes(variance)
    weights = np.rint(halves * 2.0**63).astype(np.uint64)
    weights = weights[: int(np.flatnonzero(weights)[-1]) + 1]
    # What rounding left over, to the most likely magnitude: some ten thousand of 2**63.
    likely = int(np.argmax(weights))
    weights[likely] = int(weights[likely]) + 2**63 - int(weights.sum(dtype=np.uint64))
    table: npt.NDArray[np.uint64] = np.cumsum(weights, dtype=np.uint64)
    return table


def magnitudes(variance: float) -> Doubles:
    """P(|X| = k) for k = 0, 1, ... until it is below 2**-64."""
    import numpy as np

    reach = _reach(variance)
    one_sided = _debye(variance, reach) if variance >= DEBYE_FROM else _miller(variance, reach)
    both = 2 * one_sided
    both[0] = one_sided[0]
    scaled: Doubles = both / np.sum(both)
    return scaled


def _reach(variance: float) -> int:
    """P(|X| >= reach) is below 2**-64, by Bernstein's inequality (see ``Codec.noise_room``)."""
    surprise = 65 * math.log(2)
    return math.ceil(surprise / 3 + math.sqrt((surprise / 3) ** 2 + 2 * surprise * variance)) + 1


def _miller(variance: float, reach: int) -> Doubles:
    """exp(-v) I_k(v), up to a factor: I_(k-1) = I_(k+1) + (2 k / v) I_k downwards from far up."""
    import numpy as np

    start = 2 * reach + 16
    ratios = np.empty(start)
    above = 0.0
    for k in range(start, 0, -1):
        above = 1 / (2 * k / variance + above)  # I_k / I_(k-1)
        ratios[k - 1] = above
    products: Doubles = np.concatenate([[1.0], np.cumprod(ratios[: reach - 1])])
    return products


def _debye(variance: float, reach: int) -> Doubles:
    """The same by I_k(v) ~ exp(s - k asinh(k / v)) / sqrt(2 pi s) * (1 + sum of u_j), where
    s = sqrt(k**2 + v**2) and the u_j are polynomials in t = k / s over powers of s."""
    import numpy as np

    k = np.arange(reach, dtype=np.float64)
    s = np.hypot(k, variance)
    t2 = (k / s) ** 2
    exponent = k**2 / (s + variance) - k * np.arcsinh(k / variance)
    u1 = (3 - 5 * t2) / 24
    u2 = (81 - 462 * t2 + 385 * t2**2) / 1152
    u3 = (30375 - 369603 * t2 + 765765 * t2**2 - 425425 * t2**3) / 414720
    series: Doubles = np.exp(exponent) / np.sqrt(s) * (1 + (u1 + (u2 + u3 / s) / s) / s)
    return series

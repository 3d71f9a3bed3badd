"""Rényi differential privacy of rounds, and what it says as (epsilon, delta).

Without a package: devices show epsilon before they have anything of federated learning installed.
``second_opinion.py`` reckons the same with Google's dp-accounting where that is installed, and
``tests/federated/test_spending.py`` holds the two together.

Composition over rounds adds up order by order, also where later rounds depend on earlier ones
(Mironov 2017, arXiv:1702.07476, proposition 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable

ORDERS = (*range(2, 65), 72, 80, 96, 112, 128, 160, 192, 256, 384, 512, 768, 1024)
"""Integers: the bound on Skellam noise is proved for these."""
SAMPLED_ORDERS = tuple(order for order in ORDERS if order <= 256)


def skellam(order: int, squared_l2: float, l1: float, variance: float) -> float:
    """Of integer vectors that differ by ``squared_l2`` and ``l1``, under Skellam noise of that
    variance on each coordinate: Agarwal, Kairouz and Liu 2021, arXiv:2110.04995, corollary 3.6."""
    if variance == 0:
        return math.inf
    fine = ((2 * order - 1) * squared_l2 + 6 * l1) / (4 * variance**2)
    return order * squared_l2 / (2 * variance) + min(fine, 3 * l1 / (2 * variance))


def sampled(order: int, rate: float, of: Callable[[int], float]) -> float:
    """Of a round whose clients were drawn without replacement, a share ``rate`` of all, and kept
    secret: Wang, Balle and Kasiviswanathan 2019, arXiv:1808.00087, theorem 9. ``of(j)`` is the
    round's own at the order j between neighbours by *replacement*: twice the clip norm apart."""
    if rate >= 1:
        return of(order)
    second = of(2)
    if math.isinf(second):
        return math.inf
    first = min(math.log(4) + _log_expm1(second), math.log(2) + second)
    logs = [0.0, 2 * math.log(rate) + _log_comb(order, 2) + first]
    logs += [
        j * math.log(rate) + _log_comb(order, j) + math.log(2) + (j - 1) * of(j)
        for j in range(3, order + 1)
    ]
    largest = max(logs)
    amplified = (largest + math.log(sum(math.exp(x - largest) for x in logs))) / (order - 1)
    return min(amplified, of(order))


def epsilon(renyi: dict[int, float], delta: float) -> float:
    """The least over the orders: Canonne, Kamath and Steinke 2020, arXiv:2004.00010, proposition
    12. Infinite without noise."""
    return max(0.0, min(_at(order, value, delta) for order, value in renyi.items()))


def _at(order: int, value: float, delta: float) -> float:
    return value + math.log1p(-1 / order) - math.log(delta * order) / (order - 1)


def _log_comb(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_expm1(value: float) -> float:
    if value == 0:
        return -math.inf
    return value + math.log(-math.expm1(-value))

"""What a federation's rounds cost a device: client-level epsilon, before joining and after a round.

The claim: whatever a device learned from, had it sent nothing but zeros and its noise instead, all
that home and everybody else ever see would be as likely up to a factor of e to the epsilon, except
with probability delta ("zero-out" neighbours: Kairouz et al. 2021, arXiv:2103.00039). That a device
took part, and when, is not hidden.

* The sensitivity is the norm that no encoded update exceeds (``Codec.squared_norm_bound``: after
  clipping *and* rounding), and its L1 norm, at most sqrt(length) times that, and at most its square
  since the numbers are whole.
* The noise is that of the shares that are in the sum: of the fewest that a round may end with
  before it, of the survivors' after it. ``colluding`` members who tell home their shares have none.
* A device pays for the rounds that it took part in, no others. Home chooses who takes part, and the
  members of a round know each other, so nothing is gained by chance. Only for somebody who knows no
  round's members is ``secret_rate`` right (``renyi.sampled``).
* Everything that is made of the sums (the shared adapter, what home says of it, later rounds) costs
  no more: post-processing. Losses that devices report are not covered, so none are where there is
  noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from ondol.federated.encoding import Codec
from ondol.federated.plan import Plan
from ondol.federated.privacy import renyi
from ondol.federated.privacy.shares import fewest_shares


@dataclass(frozen=True, slots=True)
class Epsilon:
    """``epsilon`` is infinite without noise. ``rounds`` are those taken part in."""

    epsilon: float
    delta: float
    rounds: int

    def json(self) -> dict[str, Any]:
        """``epsilon`` is None where nothing bounds it."""
        return asdict(self) | {"epsilon": self.epsilon if math.isfinite(self.epsilon) else None}


@dataclass(frozen=True, slots=True)
class Cost:
    """One round's: how many shares each share was sized for, and how many were in the sum."""

    sized_for: int
    shares: int


class Accountant:
    """A device's or a home's account of one federation. ``dimension`` is an update's length, the
    shortest where rounds differ (rounding lengthens short ones relatively more)."""

    def __init__(self, plan: Plan, dimension: int, costs: Iterable[Cost] = ()) -> None:
        self.plan, self.dimension = plan, dimension
        self.costs = list(costs)
        self._bound = Codec(plan.value_bits, plan.clip_norm, 1, 0.0, dimension)

    @classmethod
    def of(cls, plan: Plan, kept: dict[str, Any]) -> Self:
        """What ``json`` wrote."""
        return cls(plan, int(kept["dimension"]), (Cost(int(n), int(s)) for n, s in kept["costs"]))

    def json(self) -> dict[str, Any]:
        return {
            "dimension": self.dimension,
            "costs": [[cost.sized_for, cost.shares] for cost in self.costs],
        }

    def add(self, num_clients: int, survivors: int | None = None) -> None:
        """A round that ``num_clients`` began, once the device has sent its update. ``survivors``
        are in the sum: without a number that can be trusted, the fewest that there may be."""
        self.costs.append(self.cost(num_clients, survivors))

    def cost(self, num_clients: int, survivors: int | None = None) -> Cost:
        """A round's, to come or gone by."""
        fewest = fewest_shares(self.plan, num_clients)
        if self.plan.aggregation == "individual" or survivors is None:
            return Cost(fewest, fewest)
        return Cost(fewest, max(survivors, fewest))

    def spent(self, colluding: int = 0) -> Epsilon:
        """Of the rounds so far."""
        return self._epsilon(self.costs, colluding)

    def ahead(self, rounds: int, num_clients: int, colluding: int = 0) -> Epsilon:
        """What will have been spent after ``rounds`` more that lose as many as they may."""
        return self._epsilon(self.costs + [self.cost(num_clients)] * rounds, colluding)

    def may_take_part(self, num_clients: int) -> bool:
        """Whether another round stays within the plan's budget: ask before sending, since a
        budget that is looked at afterwards is none (a privacy filter with constant bound: Feldman
        and Zrnic 2021, arXiv:2008.11193)."""
        budget = self.plan.epsilon_budget
        return budget == 0 or self.ahead(1, num_clients).epsilon <= budget

    def sampled(self, rounds: int, num_clients: int, secret_rate: float) -> Epsilon:
        """For somebody who never learns who is in which of ``rounds``: not home, and not a member.
        ``secret_rate`` is ``num_clients`` over all who might have been chosen."""
        cost = self.cost(num_clients)

        def replaced(order: int) -> float:
            return self.renyi(order, cost, 0, apart=2)

        each = {o: rounds * renyi.sampled(o, secret_rate, replaced) for o in renyi.SAMPLED_ORDERS}
        return Epsilon(renyi.epsilon(each, self.plan.delta), self.plan.delta, rounds)

    def _epsilon(self, costs: list[Cost], colluding: int) -> Epsilon:
        plan = self.plan
        if not costs:
            return Epsilon(0.0, plan.delta, 0)
        total = {
            order: math.fsum(self.renyi(order, cost, colluding) for cost in costs)
            for order in renyi.ORDERS
        }
        return Epsilon(renyi.epsilon(total, plan.delta), plan.delta, len(costs))

    def renyi(self, order: int, cost: Cost, colluding: int = 0, apart: int = 1) -> float:
        """Of one round at one order, between updates ``apart`` times the bound from each other."""
        codec = self._bound
        share = (self.plan.noise_multiplier * codec.clip / codec.step) ** 2 / cost.sized_for
        squared = codec.squared_norm_bound
        l1 = min(math.sqrt(codec.length * squared), squared)
        return renyi.skellam(
            order, apart**2 * squared, apart * l1, share * max(0, cost.shares - colluding)
        )


def noise_for(plan: Plan, epsilon: float, rounds: int, dimension: int) -> float:
    """The least ``noise_multiplier`` (to three places) that spends at most ``epsilon`` in
    ``rounds`` rounds that end with the fewest members."""

    def spends(noise: float) -> float:
        tried = replace(plan, noise_multiplier=noise)
        return Accountant(tried, dimension).ahead(rounds, plan.min_clients).epsilon

    low, high = 0.0, 1.0
    while spends(high) > epsilon:
        low, high = high, 2 * high
    while high - low > 5e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if spends(middle) > epsilon else (low, middle)
    return math.ceil(high * 1000) / 1000

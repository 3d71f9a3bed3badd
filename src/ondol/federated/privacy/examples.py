"""Example-level privacy: what the noise inside a device's own training promises each sample.

DP-SGD (``training/private_sgd.py``) with ``plan.example_noise``. Unlike the noise on sums it needs
no other device: the update is private before it leaves, whoever sees it. And it promises less: that
one sample changes little, not that all of a device's samples together do.
"""

from __future__ import annotations

import math

from ondol.federated.plan import Plan
from ondol.federated.privacy.spending import Epsilon
from ondol.training import private_sgd


def example_epsilon(plan: Plan, num_examples: int, rounds: int) -> Epsilon:
    """Of each of ``num_examples`` samples after ``rounds`` rounds of ``local_steps`` batches, drawn
    by Poisson sampling with a seed that the device keeps to itself. Delta is the smaller of the
    plan's and a tenth of one over ``num_examples``. Samples held out for measuring are not covered:
    nothing is learned from them."""
    delta = min(plan.delta, private_sgd.delta_for(num_examples))
    if plan.example_noise == 0:
        return Epsilon(math.inf, delta, rounds)
    rate = min(1.0, plan.batch_size / max(1, num_examples))
    steps = rounds * plan.local_steps
    spent = private_sgd.spent(plan.example_noise, 1.0, rate, steps, delta)
    return Epsilon(spent.epsilon, delta, rounds)

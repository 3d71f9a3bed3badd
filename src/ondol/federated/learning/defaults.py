"""How a round is learned where nobody says otherwise: by the strategy, and by how large the model
is. The figures are those of ``benchmarks/federated/learning.py`` for the default model; larger ones
learn the same from smaller steps, in the proportions of ``training.defaults``.
"""

from __future__ import annotations

import math
from typing import Any

from ondol.federated.plan import Plan, Strategy
from ondol.training.defaults import MIDDLE, RATES, SMALL, UPPER_SHARE
from ondol.training.lora import Schedule, rate

RATE: dict[Strategy, float] = {
    # Where one factor stands still the other goes further in the same number of steps.
    "ffa": 5e-3,
    "rolora": 5e-3,
    # An R of few numbers between orthonormal factors: each must go a long way.
    "fedsb": 2e-2,
    "fedavg": 2e-3,
    "product": 2e-3,
}
LOCAL_STEPS, BATCH_SIZE = 6, 4
WARMUP = 0.1
"""Of a round's steps: each round begins with a fresh Adam."""

SAME_WAY = 0.7
"""Of the way that a number goes in a round, what is left between its ends."""


def suited(strategy: Strategy, *, parameters: int, layers: int) -> dict[str, Any]:
    """The fields of ``Plan`` that suit a base of so many ``parameters`` and ``layers``."""
    size = 0 if parameters <= SMALL else 1 if parameters <= MIDDLE else 2
    rates = RATES["sft"]
    return {
        "learning_rate": RATE[strategy] * rates[size] / rates[0],
        "local_steps": LOCAL_STEPS,
        "batch_size": BATCH_SIZE,
        "first_layer": layers - max(1, round(layers * UPPER_SHARE)),
    }


def clip_norm(plan: Plan, length: int) -> float:
    """A usual L2 norm of a device's update of ``length`` numbers, as ``Plan.clip_norm``: a bound
    far below it would only slow learning down, one far above it hide nothing behind noise. Adam
    moves each number by about the rate in every step (Kingma and Ba 2014, arXiv:1412.6980), not
    always the same way."""
    steps = plan.local_steps
    schedule = Schedule(learning_rate=plan.learning_rate, warmup=WARMUP)
    path = sum(rate(step, steps, schedule) for step in range(steps))
    return float(f"{SAME_WAY * path * math.sqrt(length):.3g}")

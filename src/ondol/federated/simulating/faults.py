"""Devices that are gone in the middle of a round, and where."""

from __future__ import annotations

from ondol.federated.coordinating.messages import (
    EVALUATE,
    KEYS,
    MASK,
    SHARES,
    SURVIVORS,
    TRAIN,
    UNMASK,
)
from ondol.federated.simulating.scenario import Scenario

STAGES = (TRAIN, KEYS, SHARES, MASK, SURVIVORS, UNMASK, EVALUATE)
"""In the order of a round; a fault is before one of them, and lasts for the rest of the round."""


def fault(scenario: Scenario, device: int, round: int) -> int | None:
    """Which of ``STAGES`` a device is gone before, if it is, which has the chance of ``drop``."""
    if scenario.drop == 0:
        return None
    import numpy as np

    rng = np.random.default_rng([scenario.seed, 7, round, device])
    return int(rng.integers(0, len(STAGES))) if rng.random() < scenario.drop else None


def reaches(scenario: Scenario, device: int, round: int, stage: str) -> bool:
    """Whether it answers at ``stage``."""
    found = fault(scenario, device, round)
    return found is None or found > STAGES.index(stage)

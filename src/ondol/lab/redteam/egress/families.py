"""Attacks by number: what a hostile document, a bug or a library would have Ondol send.

Each is made from a seed and the texts in ``corpus``, and performed against the real house. It
tells its ``needles``: the bytes that would be at a server if it succeeded.
"""

from __future__ import annotations

import random

from ondol.lab.redteam.egress.pipelines import disguised, in_address, labels, split
from ondol.lab.redteam.egress.ways import (
    cookies,
    lying,
    named,
    proxied,
    redirected,
    telemetry,
    undeclared,
)
from ondol.lab.redteam.egress.world import Attack, Maker, World

FAMILIES: dict[Maker, int] = {
    labels: 25,
    disguised: 25,
    in_address: 12,
    split: 8,
    telemetry: 8,
    redirected: 6,
    named: 5,
    undeclared: 5,
    proxied: 2,
    cookies: 2,
    lying: 2,
}


def make(world: World, seed: int) -> Attack:
    """The attack of that number: the same one for the same corpus."""
    chance = random.Random(f"ondol egress {seed}")
    (maker,) = chance.choices(list(FAMILIES), list(FAMILIES.values()))
    return maker(world, chance)

"""What rounding costs in accuracy: a small model on real text (federated/simulating), five uneven
devices, the mean of their updates in float32 and through the ring, three seeds.

.venv/bin/python benchmarks/federated_traffic/accuracy.py [--write]
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from ondol.federated.coordinating import messages
from ondol.federated.encoding import Codec
from ondol.federated.simulating.population import Population, population
from ondol.federated.simulating.scenario import Scenario

SEEDS, CLIENTS, ROUNDS = (0, 1, 2), 5, 30


def learned(people: Population, value_bits: int, seed: int) -> tuple[float, float, int]:
    """Loss, accuracy and bits a number; ``value_bits`` 0: float32 both ways, nothing clipped."""
    vector, rng = people.start(), np.random.default_rng(seed)
    plan, bits = replace(people.plan, value_bits=value_bits or 8), 32
    for number in range(1, ROUNDS + 1):
        given = messages.rounded(vector) if value_bits else vector
        deltas = people.learned(number, given, range(CLIENTS))
        if value_bits:
            codec = Codec.of(plan, CLIENTS, people.size, number)
            bits = codec.bits
            total = np.sum([codec.encode(delta, rng) for delta in deltas], axis=0, dtype=np.int64)
            vector = vector + codec.decode_sum(codec.wrap(total), CLIENTS) / np.float32(CLIENTS)
        else:
            vector = vector + deltas.mean(axis=0)
    return *people.quality(vector), bits


def main() -> None:
    rows = []
    for value_bits in (0, 8, 6, 4, 3):
        found = []
        for seed in SEEDS:
            people = population(Scenario(clients=CLIENTS, rounds=ROUNDS, seed=seed), None, None)
            found.append(learned(people, value_bits, seed))
        losses, accuracies = ([one[at] for one in found] for at in (0, 1))
        rows.append(
            {
                "value_bits": value_bits or 32,
                "bits": found[0][2],
                "loss": losses,
                "accuracy": accuracies,
            }
        )
        print(
            f"{value_bits or 32:3} bits, {found[0][2]:2} in the ring: "
            f"accuracy {np.mean(accuracies):.4f} +- {np.std(accuracies, ddof=1):.4f}, "
            f"loss {np.mean(losses):.4f} +- {np.std(losses, ddof=1):.4f}"
        )
    if "--write" in sys.argv:
        (Path(__file__).with_name("accuracy.json")).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

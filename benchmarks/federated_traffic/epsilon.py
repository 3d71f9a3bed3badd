"""What noise costs and what it buys, from a family to ten thousand devices.

.venv/federated/bin/python benchmarks/federated_traffic/epsilon.py [--write]
(the federated environment: dp-accounting is asked too)
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ondol.federated.plan import Plan
from ondol.federated.privacy.second_opinion import reckon
from ondol.federated.privacy.spending import Accountant, noise_for
from ondol.federated.privacy.words import drowning

FEDSB, FFA = 13_440, 1_244_160
"""Numbers in an update of smollm2:135m at rank 8."""
DELTAS = {5: 1e-5, 100: 1e-5, 1_000: 1e-5, 10_000: 1e-6}


class Case(NamedTuple):
    """``rounds`` of ``clients`` out of ``devices``; a device takes part in ``own`` of them."""

    devices: int
    clients: int
    rounds: int
    own: int


CASES = (
    Case(5, 5, 5, 5),
    Case(100, 100, 20, 20),
    Case(100, 20, 50, 10),
    Case(1_000, 100, 50, 5),
    Case(1_000, 200, 100, 20),
    Case(10_000, 200, 100, 2),
    Case(10_000, 500, 100, 5),
)


def plan_of(case: Case, noise: float) -> Plan:
    return Plan(
        *("f", "f", "smollm2:135m", "0" * 64, "0" * 64, "style"),
        rounds=case.rounds,
        min_clients=case.clients,
        noise_multiplier=noise,
        value_bits=4,
        delta=DELTAS[case.devices],
    )


def account(case: Case, noise: float) -> Accountant:
    accountant = Accountant(plan_of(case, noise), FEDSB)
    for _ in range(case.own):
        accountant.add(case.clients)
    return accountant


def row(case: Case) -> dict[str, Any]:
    """Epsilon at noise 1 for a device's own rounds, what dp-accounting says of it, and for an
    outsider who knows no round's members; and what epsilon 8 and 2 need."""
    one = account(case, 1.0)
    said = reckon(one)
    rate = case.clients / case.devices
    found: dict[str, Any] = case._asdict() | {
        "delta": one.plan.delta,
        "epsilon_at_noise_1": said["ondol"],
        "dp_accounting": said["dp_accounting"],
        "gaussian_pld": said["gaussian"],
    }
    for epsilon in (8, 2):
        needed = noise_for(one.plan, epsilon, case.own, FEDSB)
        noisy = replace(one.plan, noise_multiplier=needed)
        found[f"noise_for_{epsilon}"] = needed
        for name, size in (("fedsb", FEDSB), ("ffa", FFA)):
            found[f"{name}_times_{epsilon}"] = drowning(noisy, case.clients, size)
        if rate < 1:
            outside = account(case, needed).sampled(case.rounds, case.clients, rate)
            found[f"outsiders_{epsilon}"] = outside.epsilon
        found[f"alone_{epsilon}"] = (
            account(case, needed).spent(colluding=one.costs[0].shares - 1).epsilon
        )
    return found


def main() -> None:
    rows = [row(case) for case in CASES]
    for each in rows:
        print(
            json.dumps(
                {
                    k: round(v, 3) if isinstance(v, float) and v > 1e-3 else v
                    for k, v in each.items()
                }
            )
        )
    if "--write" in sys.argv:
        file = Path(__file__).with_name("epsilon.json")
        file.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

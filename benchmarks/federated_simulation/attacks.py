"""What do attackers do to a federation of 1,000 devices, by how home adds up and defends?

See README.md; --write keeps attacks.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from ondol import __version__
from ondol.federated.simulating import letters, network
from ondol.federated.simulating.population import Population, population
from ondol.federated.simulating.scenario import ATTACKS, Scenario
from ondol.federated.simulating.simulation import simulate

HERE = Path(__file__).parent
CLEAN = Scenario(clients=1000, clients_per_round=100, rounds=40)
SHARE = 0.1
MEASURED = 20_000
WITHIN = 0.95
MODES: dict[str, dict[str, Any]] = {
    "secure, nothing": {"defence": "none"},
    "secure": {},
    # Finding out whom to ask takes rounds.
    "secure, cautious": {"choice": "cautious", "rounds": 60},
    "individual, nothing": {"aggregation": "individual", "defence": "none"},
    "individual, norm": {"aggregation": "individual"},
    "individual, median": {"aggregation": "individual", "defence": "median"},
    "individual, trimmed": {"aggregation": "individual", "defence": "trimmed"},
    "individual, krum": {"aggregation": "individual", "defence": "krum"},
}

Runs = dict[str, dict[str, dict[str, dict[str, Any]]]]
"""Mode, attack, seed."""


def one(scenario: Scenario, like: Population) -> dict[str, Any]:
    outcome = simulate(scenario, like=like)
    return {
        "accuracy": round(outcome.accuracy, 4),
        "loss": round(min(outcome.rounds[-1].loss, 1e6), 4),
        **{end: outcome.count(end) for end in ("taken", "rolled_back", "refused", "failed")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="add to attacks.json")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default="", help="of the modes, with ; between them")
    said = parser.parse_args()
    file = HERE / "attacks.json"
    found: Runs = json.loads(file.read_text("utf-8"))["runs"] if file.exists() else {}
    for seed in map(int, said.seeds.split(",")):
        clean = replace(CLEAN, seed=seed)
        text = letters.read(seed, MEASURED)
        like = population(clean, text, network.pretrained(text.base, clean.plan()))
        for mode, settings in MODES.items():
            if said.only and mode not in said.only.split(";"):
                continue
            for attack in ("clean", *ATTACKS):
                attacked = {} if attack == "clean" else {"attackers": SHARE, "attack": attack}
                row = one(replace(clean, **settings, **attacked), like)
                found.setdefault(mode, {}).setdefault(attack, {})[str(seed)] = row
                print(seed, mode, attack, row, flush=True)
            if said.write:
                write(file, found)
    for mode, rows in found.items():
        print(mode, {attack: row["of_clean"] for attack, row in summary(rows).items()})


def write(file: Path, found: Runs) -> None:
    results = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "scenario": CLEAN.json(),
        "attackers": SHARE,
        "table": {mode: summary(rows) for mode, rows in found.items()},
        "runs": found,
    }
    file.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def summary(rows: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Per attack, of the seeds that are there: the mean accuracy, and its share of what the same
    mode reaches without."""

    def mean(attack: str) -> float:
        return statistics.mean(row["accuracy"] for row in rows[attack].values())

    ends = ("taken", "rolled_back", "refused")
    return {
        attack: {
            "seeds": sorted(runs),
            "accuracy": round(mean(attack), 4),
            "of_clean": round(mean(attack) / mean("clean"), 3),
            "is_within": mean(attack) >= WITHIN * mean("clean"),
            **{end: sum(row[end] for row in runs.values()) for end in ends},
        }
        for attack, runs in rows.items()
    }


if __name__ == "__main__":
    main()

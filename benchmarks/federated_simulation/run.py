"""Federations of 5, 100, 1,000 and 10,000 simulated devices: do they learn more than each alone?

See README.md; --write keeps results.json and the reports with their drawings in reports/.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from ondol import __version__
from ondol.federated.simulating import report
from ondol.federated.simulating.scenario import Scenario
from ondol.federated.simulating.simulation import simulate

HERE = Path(__file__).parent
SCENARIOS = {
    "5": Scenario(clients=5, rounds=30),
    "100": Scenario(clients=100, rounds=6, drop=0.1),
    "1000": Scenario(clients=1000, rounds=60, drop=0.1),
    "10000": Scenario(clients=10_000, rounds=100, drop=0.1),
    "10000-noise": Scenario(
        clients=10_000, clients_per_round=1000, rounds=40, noise_multiplier=4.0, choice="even"
    ),
    "1000-cautious": Scenario(
        clients=1000, rounds=60, attackers=0.1, attack="garbage", choice="cautious"
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", default="")
    said = parser.parse_args()
    file = HERE / "results.json"
    rows: dict[str, Any] = json.loads(file.read_text("utf-8"))["runs"] if file.exists() else {}
    for name, scenario in SCENARIOS.items():
        if said.only and name not in said.only.split(","):
            continue
        began, used = time.monotonic(), cpu_seconds()
        outcome = simulate(scenario)
        found = outcome.json()
        del found["rounds"], found["labels"]
        last = outcome.rounds[-1]
        rows[name] = found | {
            "seconds": round(time.monotonic() - began, 1),
            "cpu_seconds": round(cpu_seconds() - used, 1),
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "bytes_up_a_device": round(last.bytes_up / max(1, last.clients)),
            "bytes_down_a_device": round(last.bytes_down / max(1, last.clients)),
        }
        print(name, rows[name], flush=True)
        with tempfile.TemporaryDirectory() as folder:
            kept = HERE / "reports" / name if said.write else Path(folder)
            report.write(outcome, kept)
        if said.write:
            about = {"date": date.today().isoformat(), "ondol": __version__, "runs": rows}
            file.write_text(json.dumps(about, indent=1) + "\n", "utf-8")


def cpu_seconds() -> float:
    found = resource.getrusage(resource.RUSAGE_SELF)
    return found.ru_utime + found.ru_stime


if __name__ == "__main__":
    main()

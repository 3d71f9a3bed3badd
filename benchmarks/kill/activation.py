"""kill -9 while an adapter that passed is named and activated, and while it is rolled back: does
anything ever answer that has not passed the gate?

The points are steps of the code, spread over all of them and denser over the last quarter, where
the row and its ledger entry are written. After each kill the active adapter must be one that
passed, as many rows as entries must be there, the ledger must be intact, and the same command must
finish.

    python benchmarks/kill/activation.py [--points 60] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from activation_kill import TASKS, kill_at_step, prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=60, help="for both tasks together")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance, points = random.Random(arguments.seed), arguments.points // len(TASKS)
    report: dict[str, object] = {"points": points * len(TASKS)}
    failures: list[str] = []
    for task in TASKS:
        outcomes: Counter[str] = Counter()
        with tempfile.TemporaryDirectory(prefix="ondol-kill-") as name:
            scene = prepare(task, Path(name))
            late = scene.num_steps * 3 // 4
            steps = [1 + i * late // (points // 2) for i in range(points // 2)]
            steps += [chance.randint(late, scene.num_steps) for _ in range(points - len(steps))]
            for number, step in enumerate(steps):
                try:
                    outcomes[kill_at_step(scene, step, Path(name, f"{number}"))] += 1
                except Exception as error:
                    failures.append(f"{task} at {step}: {error!r}")
        report[task] = {"steps": scene.num_steps, **outcomes}
    print(json.dumps(report | {"failures": failures}, indent=2))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

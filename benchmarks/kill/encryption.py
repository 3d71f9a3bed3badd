"""kill -9 while the library is locked, changed, unlocked and restored: the old one or the new?

Half of the points are steps of the code, spread over all of them and denser over the last quarter,
where files are exchanged; half are random moments, which hit SQLite at work. After each the library
must open with the old or the new passphrase, hold every row, and have nothing beside it.

    python benchmarks/kill/encryption.py [--points 60] [--seed 0] [--rows 300]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.encryption_kill import TASKS, Scene, kill_at_random, kill_at_step, prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=60, help="for each task")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=300)
    arguments = parser.parse_args()
    report: dict[str, object] = {"points_per_task": arguments.points}
    failures: list[str] = []
    for task in TASKS:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["ONDOL_HOME"] = folder
            scene = prepare(task, Path(folder), arguments.rows)
            outcomes = _kill(scene, arguments.points, random.Random(arguments.seed), failures)
            report[task] = {"steps": scene.num_steps, **outcomes}
    print(json.dumps(report | {"failures": failures}, indent=2))
    sys.exit(1 if failures else 0)


def _kill(scene: Scene, points: int, chance: random.Random, failures: list[str]) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    late = scene.num_steps - scene.num_steps // 4
    steps = [1 + number * late // (points // 4) for number in range(points // 4)]
    steps += [chance.randint(late, scene.num_steps) for _ in range(points // 2 - len(steps))]
    kills = [*steps, *[None] * (points - len(steps))]
    for step in kills:
        try:
            outcomes[
                kill_at_random(scene, chance) if step is None else kill_at_step(scene, step)
            ] += 1
        except Exception as error:
            failures.append(f"{scene.task} at {step or 'a random moment'}: {error}")
    return outcomes


if __name__ == "__main__":
    main()

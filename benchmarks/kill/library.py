"""kill -9 while documents are added, followed, forgotten, embedded anew, locked and restored.

Two points in three are statements that SQLite is given, one in each equal part of the task, so that
they spread over all of its phases; the others are random moments. After each the library must be
whole (integrity_check, foreign keys, chunks, terms and vectors in equal numbers), hold everything
that was acknowledged and nothing, not a byte, of what was forgotten; the next sync must bring it to
what is in the folder, without what was forgotten.

    python benchmarks/kill/library.py [--points 60] [--seed 0]
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

from tests.retrieval.library_kill import TASKS, Scene, kill_at_random, kill_at_step, prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=60, help="for each task")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ["ONDOL_PASSPHRASE"] = ""
    report: dict[str, object] = {"points": arguments.points * len(TASKS)}
    violations: list[str] = []
    for task in TASKS:
        with tempfile.TemporaryDirectory() as folder:
            scene = prepare(task, Path(folder))
            found = _kill(scene, arguments.points, random.Random(arguments.seed), violations)
            report[task] = {"statements": scene.num_steps, "left": dict(sorted(found.items()))}
    print(json.dumps(report | {"violations": violations}, indent=2))
    sys.exit(bool(violations))


def _kill(scene: Scene, points: int, chooser: random.Random, violations: list[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    num_steps = points * 2 // 3
    part = scene.num_steps / num_steps
    steps = [1 + int((number + chooser.random()) * part) for number in range(num_steps)]
    for step in [*steps, *[0] * (points - num_steps)]:
        try:
            found[kill_at_step(scene, step) if step else kill_at_random(scene, chooser)] += 1
        except Exception as error:
            place = f"statement {step}" if step else "a random moment"
            violations.append(f"{scene.task} at {place}: {error}")
    return found


if __name__ == "__main__":
    main()

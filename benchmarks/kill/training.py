"""kill -9 in the middle of a training: at chosen lines of its code, the last of which write the
adapter and its result, and at random moments, inside of the libraries too.

After each point what lies in the folder must be whole or count as nothing (a torn adapter is never
taken for one), and the next run must go on to the very bytes that nobody's killing would have led
to, leaving nothing else behind. The model is a random llama of two layers; what is killed runs all
that the child of a real training runs, for replies (sft) and for preferences (dpo).

    python benchmarks/kill/training.py [--points 60] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.training_kill import TASKS, Scene, kill_at_line, kill_at_random, prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=60, help="of all tasks together")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    report: dict[str, object] = {"points": arguments.points}
    violations: list[str] = []
    for task in TASKS:
        with tempfile.TemporaryDirectory() as folder:
            scene = prepare(task, Path(folder))
            chooser = random.Random(arguments.seed)
            left = _kill(scene, arguments.points // len(TASKS), chooser, violations)
            report[task] = {"lines": int(scene.num_lines), "left": dict(sorted(left.items()))}
    print(json.dumps(report | {"violations": violations}, indent=2))
    sys.exit(bool(violations))


def _kill(scene: Scene, points: int, chooser: random.Random, violations: list[str]) -> Counter[str]:
    """A third of the points anywhere in the code, a third where it writes, a third at random."""
    lines, late = int(scene.num_lines), int(scene.num_lines * 0.8)
    third = points // 3
    wanted: list[int | None] = [chooser.randint(1, lines) for _ in range(third)]
    wanted += [chooser.randint(late, lines) for _ in range(third)]
    wanted += [None] * (points - len(wanted))
    left: Counter[str] = Counter()
    for line in wanted:
        try:
            left[kill_at_random(scene, chooser) if line is None else kill_at_line(scene, line)] += 1
        except AssertionError as error:
            violations.append(f"{scene.task}: {error}")
    return left


if __name__ == "__main__":
    main()

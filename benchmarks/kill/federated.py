"""kill -9 in the middle of a round of secure aggregation, of home and of devices, each a process of
its own: at chosen lines of the federation's code, and at random moments.

After each point the round must end with every device in it (who was killed comes back), its sum
must be the sum of what the devices encoded, to the last unit; no device may have given two answers
to one question (two vectors under one key), and no secret of the round may be left.

    python benchmarks/kill/federated.py [--points 60] [--seed 0]
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

from tests.federated_kill import HOME, kill_at_line, kill_at_random, prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=60, help="of home and devices together")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chooser, violations = random.Random(arguments.seed), list[str]()
    left: dict[str, Counter[str]] = {"home": Counter(), "device": Counter()}
    with tempfile.TemporaryDirectory() as folder:
        scene = prepare(Path(folder))
        for point in range(arguments.points):
            who = HOME if point % 2 else "0"
            kind = "home" if who == HOME else "device"
            try:
                if point % 6 < 4:
                    line = chooser.randint(1, scene.num_lines[who])
                    left[kind][kill_at_line(scene, who, line)] += 1
                else:
                    left[kind][kill_at_random(scene, who, chooser)] += 1
            except AssertionError as error:
                violations.append(f"{who}: {error}")
    report = {"points": arguments.points, "lines": scene.num_lines}
    ends = {kind: dict(sorted(how.items())) for kind, how in left.items()}
    print(json.dumps(report | ends | {"violations": violations}, indent=2))
    sys.exit(bool(violations))


if __name__ == "__main__":
    main()

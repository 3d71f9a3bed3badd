"""kill -9 while something from a hub is installed, updated, or gone back from: is what is active
ever anything but whole, verified and released?

Nine points of ten are steps of the code, spread over all of them and denser over the last fifth,
where the switch is; the others are moments of an update with the real scanner and the real engine.
After each kill every blob must be what its name says, the active one must be the old or the new,
the ledger intact, and the same task must finish and leave nothing behind.

    python benchmarks/kill/updating.py [--points 120] [--seed 0]
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
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "updating"))

from hub_scene import scene
from update_kill import TASKS, Prepared, kill_after, kill_at_step, prepare, publish


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=120, help="for all tasks together")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    moments = arguments.points // 10
    each = (arguments.points - moments) // len(TASKS)
    report: dict[str, object] = {"points": each * len(TASKS) + moments}
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="ondol-kill-") as name:
        with scene(Path(name, "scene")) as hub:
            publish(hub)
            for task in TASKS:
                prepared = prepare(hub, task, Path(name, task))
                outcomes: Counter[str] = Counter()
                for number, step in enumerate(_steps(prepared, each, chance)):
                    folder = Path(name, task, f"{number}")
                    try:
                        outcomes[kill_at_step(prepared, step, folder)] += 1
                    except Exception as error:
                        failures.append(f"{task} at {step}: {error!r}")
                report[task] = {"steps": prepared.num_steps, **outcomes}
            prepared = prepare(hub, "update", Path(name, "real"), is_real=True)
            outcomes = Counter()
            for number in range(moments):
                seconds = chance.uniform(0, prepared.seconds)
                try:
                    outcomes[kill_after(prepared, seconds, Path(name, "real", f"{number}"))] += 1
                except Exception as error:
                    failures.append(f"update after {seconds:.2f} s: {error!r}")
            report["update_with_engine"] = {"seconds": round(prepared.seconds, 2), **outcomes}
    print(json.dumps(report | {"failures": failures}, indent=2))
    sys.exit(1 if failures else 0)


def _steps(prepared: Prepared, points: int, chance: random.Random) -> list[int]:
    late = prepared.num_steps * 4 // 5
    spread = [1 + i * late // (points // 2) for i in range(points // 2)]
    return spread + [chance.randint(late, prepared.num_steps) for _ in range(points - len(spread))]


if __name__ == "__main__":
    main()

"""kill -9 of the engine's child at random points of an answer: what does the caller see?

Each point: start an answer, kill the child after a random number of tokens (0 is before the first)
and a random pause; the caller must get a clear error or, when nothing had been said yet, a whole
answer; then the next request must work, and no process of the killed one may remain.

    python benchmarks/kill/engine.py MODEL.gguf [--points 60] [--seed 0] [--runtime bundled]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from ondol.engine.pool import EnginePool, EngineSettings, ModelSpec
from ondol.errors import EngineCrashedError
from ondol.types import GenerateOptions, Message

TOKENS = 24
RESPAWN_LIMIT_SECONDS = 5.0


@dataclass
class Report:
    points: int
    crashed: int = 0
    survived: int = 0
    failures: list[str] = field(default_factory=list)
    next_answer_seconds: list[float] = field(default_factory=list)


def run(pool: EnginePool, model: str, *, points: int, seed: int = 0) -> Report:
    """Kill ``points`` times and report; ``failures`` says what should not have happened."""
    report, chance = Report(points), random.Random(seed)
    for point in range(points):
        pool.load(model)
        (loaded,) = pool.loaded()
        doomed = psutil.Process(loaded.pid)
        family = [doomed, *doomed.children(recursive=True)]
        _answer_and_kill(pool, model, doomed.pid, chance, report, f"point {point}")
        started = time.monotonic()
        if not _whole(pool, model):
            report.failures.append(f"point {point}: the next answer was not whole")
        report.next_answer_seconds.append(time.monotonic() - started)
        _, alive = psutil.wait_procs(family, timeout=10)
        left = [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
        if left:
            report.failures.append(f"point {point}: {len(left)} process(es) remain")
    return report


def _answer_and_kill(
    pool: EnginePool, model: str, pid: int, chance: random.Random, report: Report, name: str
) -> None:
    after, pause = chance.randrange(TOKENS), chance.random() * 0.05
    tokens = _ask(pool, model, chance.random())
    if after == 0:
        pause += chance.random() * 0.3
        killer = threading.Timer(pause, os.kill, (pid, signal.SIGKILL))
        killer.start()
    count = 0
    try:
        for token in tokens:
            count += 1
            if count == after:
                time.sleep(pause)
                os.kill(pid, signal.SIGKILL)
            last = token
        report.survived += 1
        if last.finish_reason not in ("stop", "length"):
            report.failures.append(f"{name}: ended with {last.finish_reason}")
    except EngineCrashedError as error:
        report.crashed += 1
        if not (error.message and error.hint):
            report.failures.append(f"{name}: no sentence")
    except Exception as error:
        report.failures.append(f"{name}: {type(error).__name__}: {error}")
    if after == 0:
        killer.join()


def _ask(pool: EnginePool, model: str, salt: float):
    question = [Message("user", f"{salt}: tell a long story about a river.")]
    return pool.engine(model).generate(question, GenerateOptions(max_tokens=TOKENS))


def _whole(pool: EnginePool, model: str) -> bool:
    *_, last = pool.engine(model).generate(
        [Message("user", "Say hi")], GenerateOptions(max_tokens=2)
    )
    return last.finish_reason in ("stop", "length")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--points", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runtime", default="bundled")
    given = parser.parse_args()
    spec = ModelSpec("model", given.model, "sha256:0", given.model.stat().st_size)
    settings = EngineSettings(runtime=given.runtime, num_ctx=1024)
    with EnginePool(settings, lambda name: spec) as pool:
        report = run(pool, "model", points=given.points, seed=given.seed)
    seconds = sorted(report.next_answer_seconds)
    result = asdict(report) | {
        "next_answer_seconds": {"median": seconds[len(seconds) // 2], "max": seconds[-1]}
    }
    print(json.dumps(result, indent=2))
    sys.exit(bool(report.failures) or seconds[-1] > RESPAWN_LIMIT_SECONDS)


if __name__ == "__main__":
    main()

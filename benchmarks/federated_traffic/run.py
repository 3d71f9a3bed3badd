"""Bytes per client and round: the default model's adapter, through the whole protocol.

.venv/bin/python benchmarks/federated_traffic/run.py [--write]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "federated"))

from rounds import IMPATIENT, PLAN, Household, Update  # noqa: E402

from ondol.config import load  # noqa: E402
from ondol.federated.coordinating.in_process import InProcessGrid  # noqa: E402
from ondol.federated.encoding import Codec  # noqa: E402
from ondol.federated.grid import Failure  # noqa: E402
from ondol.federated.learning.layout import layout_of  # noqa: E402
from ondol.federated.packing import packed_size  # noqa: E402
from ondol.federated.plan import Plan  # noqa: E402
from ondol.models.store import ModelStore  # noqa: E402

MODEL = "smollm2:135m"
HAFLQ = 0.49
"""Less communication than its baseline: arXiv:2411.06581, abstract."""


class Heavy:
    """Learns nothing, and sends as many numbers as the adapter has, drawn with heavy tails, of
    0.8 clip norms together."""

    base_sha256, template_sha256 = PLAN.base_sha256, PLAN.template_sha256

    def __init__(self, size: int, seed: int) -> None:
        drawn = np.random.default_rng(seed).standard_t(3, size)
        self.delta = (0.8 * drawn / np.linalg.norm(drawn)).astype(np.float32)

    def train(self, round: int, vector: Any, folder: Path) -> Update:
        return Update(self.delta)

    def evaluate(self, vector: Any) -> tuple[float, int]:
        return 1.0, 1

    def applied(self, vector: Any, delta: Any, round: int) -> Any:
        return vector + delta

    def adopt(self, vector: Any, about: Mapping[str, Any]) -> None:
        pass


class Counting:
    """Bytes that go down and up, by stage."""

    def __init__(self, inner: InProcessGrid) -> None:
        self.inner, self.down, self.up = inner, Counter[str](), Counter[str]()

    def nodes(self) -> Sequence[int]:
        return self.inner.nodes()

    def ask(
        self, stage: str, bodies: Mapping[int, bytes], timeout_seconds: float
    ) -> dict[int, bytes | Failure]:
        said = self.inner.ask(stage, bodies, timeout_seconds)
        self.down[stage] += sum(map(len, bodies.values()))
        self.up[stage] += sum(len(a) for a in said.values() if isinstance(a, bytes))
        return said


def measured(plan: Plan, size: int, clients: int) -> dict[str, Any]:
    """A federation of ``clients`` in this process; its bytes per client and round."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        learners = [Heavy(size, seed) for seed in range(clients)]
        house = Household(Path(folder), clients, plan, learners)
        grid = Counting(house.grid)
        coordinator = house.coordinator(
            grid,
            start=lambda: np.zeros(size, np.float32),
            patience=replace(IMPATIENT, training=600.0, other=600.0),
        )
        begun = time.monotonic()
        records = coordinator.run()
        seconds = time.monotonic() - begun
        mean = np.mean([learner.delta for learner in learners], axis=0, dtype=np.float64)
        error = np.linalg.norm(coordinator.vector() / len(records) - mean) / np.linalg.norm(mean)
        house.grid.close()
    each = clients * plan.rounds
    return {
        "clients": clients,
        "rounds": len(records),
        "bits": Codec.of(plan, clients if plan.aggregation == "secure" else 1, size, 1).bits,
        "up": sum(grid.up.values()) / each,
        "down": sum(grid.down.values()) / each,
        "up_by_stage": {stage: round(n / each) for stage, n in grid.up.items()},
        "down_by_stage": {stage: round(n / each) for stage, n in grid.down.items()},
        "relative_error_of_the_mean": float(error),
        "seconds_a_round": seconds / len(records),
    }


def reckoned(plan: Plan, size: int, clients: int) -> dict[str, Any]:
    codec = Codec.of(plan, clients, size, 1)
    return {
        "clients": clients,
        "value_bits": plan.value_bits,
        "noise_multiplier": plan.noise_multiplier,
        "bits": codec.bits,
        "up": packed_size(codec.length, codec.bits),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    store = ModelStore(load().models_dir)
    base = store.path(store.get(MODEL))
    plan = replace(PLAN, model=MODEL, rounds=5, r=8, value_bits=8, min_clients=5, threshold=3)
    sizes = {s: layout_of(replace(plan, strategy=s), base).size for s in ("ffa", "fedavg", "fedsb")}
    found: dict[str, Any] = {"model": MODEL, "r": 8, "sizes": sizes}
    float32 = 4 * sizes["fedavg"]
    found["fp32_fedavg_each_way"] = float32
    cases = {
        "ffa secure": (plan, "ffa"),
        "ffa secure, noise 1, 8 bits": (replace(plan, noise_multiplier=1.0), "ffa"),
        "ffa secure, noise 1, 4 bits": (replace(plan, noise_multiplier=1.0, value_bits=4), "ffa"),
        "ffa individual": (replace(plan, aggregation="individual"), "ffa"),
        "fedsb secure": (plan, "fedsb"),
        "fedavg secure": (plan, "fedavg"),
    }
    found["measured"] = {}
    for name, (case, strategy) in cases.items():
        result = measured(replace(case, strategy=strategy), sizes[strategy], 5)
        result["up_saved"] = 1 - result["up"] / float32
        result["both_saved"] = 1 - (result["up"] + result["down"]) / (2 * float32)
        found["measured"][name] = result
        print(
            f"{name:30} {result['bits']:3} bits  up {result['up'] / 1e6:6.2f} MB "
            f"({result['up_saved']:.1%} less)  both ways {result['both_saved']:.1%} less  "
            f"error {result['relative_error_of_the_mean']:.3f}  {result['seconds_a_round']:.1f} s"
        )
    found["reckoned"] = []
    for clients in (3, 5, 16, 100, 1000):
        for bits, noise in ((8, 0.0), (6, 0.0), (4, 0.0), (4, 1.0)):
            one = replace(plan, value_bits=bits, noise_multiplier=noise, threshold=2)
            row = reckoned(one, sizes["ffa"], clients)
            row["up_saved"] = 1 - row["up"] / float32
            found["reckoned"].append(row)
            print(
                f"{clients:5} clients, {bits} bits, noise {noise}: {row['bits']} bits, "
                f"{row['up_saved']:.1%} less"
            )
    if write:
        (HERE / "results.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

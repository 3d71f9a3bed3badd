"""Is the adapter that five devices learn together better than what each learns alone?

In one process, without encryption and noise: what the strategies themselves are worth. Five owners
want the same manner of answers (benchmarks/personal/persona.toml), and each has samples of other
topics; of every topic some are held out. Beside the shared adapter stands each device's own, with
the same plan, steps and beginning, after every round. See README.md; --write keeps learning.json,
and of another strategy than the default one strategies.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "personal"))
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import persona  # noqa: E402

from ondol import config  # noqa: E402
from ondol.federated.learning.between_rounds import LowerLayers  # noqa: E402
from ondol.federated.learning.defaults import RATE  # noqa: E402
from ondol.federated.learning.layout import layout_of  # noqa: E402
from ondol.federated.learning.local import LocalLearning  # noqa: E402
from ondol.federated.learning.strategies import strategy  # noqa: E402
from ondol.federated.plan import Plan  # noqa: E402
from ondol.models.store import ModelStore  # noqa: E402
from ondol.training.bootstrap import mean  # noqa: E402
from ondol.training.dataset import Example  # noqa: E402

Vector = Any
DEVICES = 5
HELD_OUT_EVERY = 5
"""Of each topic every fifth sample is held out."""


def divided() -> tuple[list[list[Example]], list[Example]]:
    """Each device's samples, of topics that no other device has; and the held-out ones of all."""
    by_topic: dict[str, list[Example]] = {}
    for one in persona.feedback():
        if one.language == "en":  # this base has no Korean
            by_topic.setdefault(one.topic, []).append(one.example())
    devices: list[list[Example]] = [[] for _ in range(DEVICES)]
    held_out: list[Example] = []
    for topic in sorted(by_topic, key=lambda name: (-len(by_topic[name]), name)):
        examples = random.Random(topic).sample(by_topic[topic], len(by_topic[topic]))
        held_out += examples[::HELD_OUT_EVERY]
        fewest = min(devices, key=len)
        fewest += [one for place, one in enumerate(examples) if place % HELD_OUT_EVERY]
    return devices, held_out


class Measured:
    """One base for all devices, each of which keeps between rounds what it would keep at home."""

    def __init__(self, plan: Plan, base: Path, held_out: Sequence[Example], folder: Path) -> None:
        self.plan, self.layout = plan, layout_of(plan, base)
        self.learning, self.held_out, self.folder = LocalLearning(base), held_out, folder
        self.begin = self.learning.start(plan, base)
        self.kept: dict[int, LowerLayers] = {}

    def losses(self, vector: Vector) -> list[float]:
        """Nats a reply token of each held-out sample."""
        self.learning._lower = self.kept.setdefault(-1, LowerLayers())
        return self.learning.losses(self.plan, vector, self.held_out)

    def delta(self, number: int, round: int, vector: Vector, examples: list[Example]) -> Vector:
        self.learning._lower = self.kept.setdefault(number, LowerLayers())
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        update = self.learning.train(self.plan, round, vector, examples, folder)
        say(f"  round {round}, device {number}: {update.loss_before:.3f} {update.loss_after:.3f}")
        return update.delta


def rounds(
    measured: Measured, name: str, devices: dict[int, list[Example]]
) -> tuple[list[list[float]], list[list[float]]]:
    """The losses of the held-out samples after every round of ``devices`` (one of them: that
    device alone, with as many steps), and the norms of the updates."""
    home = strategy(measured.plan, measured.layout)
    vector, losses, norms = measured.begin, [], []
    for round in range(1, measured.plan.rounds + 1):
        deltas = [measured.delta(i, round, vector, one) for i, one in devices.items()]
        vector = home.combine(vector, deltas, [1.0] * len(deltas), round)
        norms.append([round_to(float((d.astype(float) ** 2).sum() ** 0.5)) for d in deltas])
        losses.append(measured.losses(vector))
        say(f"{name}: round {round}, held out {fmean(losses[-1]):.4f}, norms {norms[-1]}")
    return losses, norms


def compared(shared: list[list[float]], solo: list[list[list[float]]]) -> dict[str, Any]:
    """Sample by sample how much less the shared adapter of the last round loses than each solo one
    at its best round."""
    ours, theirs = shared[-1], [min(one, key=fmean) for one in solo]
    groups = [str(place) for place in range(len(ours))]
    gains = [[other - own for own, other in zip(ours, one, strict=True)] for one in theirs]
    whole = [fmean(column) for column in zip(*gains, strict=True)]
    return {
        "shared": round_to(fmean(ours)),
        "solo_at_its_best": [round_to(fmean(one)) for one in theirs],
        "gain_per_device": [mean(groups, one).as_dict() for one in gains],
        "gain": mean(groups, whole).as_dict(),
    }


def say(line: str) -> None:
    print(f"{time.process_time():8.0f} s  {line}", file=sys.stderr, flush=True)


def round_to(number: float) -> float:
    return round(number, 4)


def plan_of(arguments: argparse.Namespace, model: str) -> Plan:
    return Plan(
        *("benchmark", "five owners", model, "", "", "style"),
        strategy=arguments.strategy,
        aggregation="individual" if arguments.strategy == "product" else "secure",
        first_layer=arguments.first_layer,
        local_steps=arguments.local_steps,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        proximal_mu=arguments.proximal_mu,
        rounds=arguments.rounds,
        seed=arguments.seed,
    )


def command_line(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="default: the configured chat model")
    parser.add_argument("--strategy", default="ffa", choices=tuple(RATE))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--local-steps", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, help="default: the strategy's own")
    parser.add_argument("--first-layer", type=int, default=20)
    parser.add_argument("--proximal-mu", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("shared", "alone"), help="half of the work")
    parser.add_argument("--beside", type=Path, help="what the other half printed")
    parser.add_argument("--write", action="store_true", help="keep the result")
    found = parser.parse_args(given)
    found.learning_rate = found.learning_rate or RATE[found.strategy]
    return found


def defaults(seed: int) -> argparse.Namespace:
    """What is measured unless somebody says otherwise."""
    return command_line(["--seed", str(seed), "--local-steps", "6"])


def main() -> None:
    arguments = command_line()
    settings = config.load()
    store = ModelStore(Path(settings.models_dir))
    model = store.get(arguments.model or settings["models.chat"])
    devices, held_out = divided()
    plan = plan_of(arguments, model.name)
    results: dict[str, Any] = {
        "model": model.name,
        "plan": {k: v for k, v in plan.json().items() if k in vars(arguments)},
        "samples": [len(one) for one in devices],
        "topics": [sorted({x.group for x in one}) for one in devices],
        "held_out": len(held_out),
    }
    if arguments.beside:
        results = json.loads(arguments.beside.read_text("utf-8")) | results
    say(json.dumps(results["plan"]))
    with tempfile.TemporaryDirectory() as folder:
        measured = Measured(plan, store.path(model), held_out, Path(folder))
        results["before"] = [round_to(x) for x in measured.losses(measured.begin)]
        if arguments.only != "alone":
            found, results["norms"] = rounds(measured, "shared", dict(enumerate(devices)))
            results["shared_losses"] = rounded(found)
        if arguments.only != "shared":
            alone = [rounds(measured, f"device {i}", {i: one})[0] for i, one in enumerate(devices)]
            results["solo_losses"] = [rounded(one) for one in alone]
    if "shared_losses" in results and "solo_losses" in results:
        results |= compared(results["shared_losses"], results["solo_losses"])
    results["cpu_seconds"] = results.get("cpu_seconds", 0) + round(time.process_time())
    print(json.dumps(results))
    if arguments.write and arguments.strategy == "ffa":
        (HERE / "learning.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    elif arguments.write:
        file = HERE / "strategies.json"
        kept = json.loads(file.read_text("utf-8")) if file.exists() else {}
        text = json.dumps(kept | {arguments.strategy: results}, indent=1)
        file.write_text(text + "\n", "utf-8")


def rounded(losses: list[list[float]]) -> list[list[float]]:
    return [[round_to(x) for x in one] for one in losses]


if __name__ == "__main__":
    main()

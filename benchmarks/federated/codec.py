"""What do the ring and the cut of the update cost the default model? Three seeds.

As learning.py (five owners, other topics, one process), but each seed is learned twice: with the
mean of the updates in float32, and as devices send them: clipped, rotated, rounded to the plan's
value_bits, added up in the ring, the shared vector sent back in 16 bits. The same samples and steps
on both sides. See README.md; --write keeps codec.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import learning
import numpy as np
from learning import HERE, Measured, Vector, divided, round_to, rounded, say

from ondol import config
from ondol.federated.coordinating import messages
from ondol.federated.encoding import Codec
from ondol.federated.learning.strategies import strategy
from ondol.models.store import ModelStore
from ondol.training.bootstrap import mean
from ondol.training.dataset import Example


def through_the_ring(
    measured: Measured, devices: dict[int, list[Example]], seed: int
) -> tuple[list[list[float]], int]:
    """The losses of the held-out samples after every round, and the ring's bits a number."""
    home = strategy(measured.plan, measured.layout)
    vector, losses, rng = measured.begin, [], np.random.default_rng(seed)
    bits = 0
    for round in range(1, measured.plan.rounds + 1):
        given: Vector = messages.rounded(vector)
        deltas = [measured.delta(i, round, given, one) for i, one in devices.items()]
        codec = Codec.of(measured.plan, len(deltas), deltas[0].size, round)
        total = np.sum([codec.encode(one, rng) for one in deltas], axis=0, dtype=np.int64)
        mean_delta = codec.decode_sum(codec.wrap(total), len(deltas)) / np.float32(len(deltas))
        vector, bits = home.next(vector, mean_delta, round), codec.bits
        losses.append(measured.losses(messages.rounded(vector)))
        say(f"ring: round {round}, held out {fmean(losses[-1]):.4f}")
    return losses, bits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--clip-norm", type=float, default=8.0)
    parser.add_argument("--value-bits", type=int, default=8)
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    settings = config.load()
    store = ModelStore(Path(settings.models_dir))
    model = store.get(settings["models.chat"])
    people, held_out = divided()
    devices = dict(enumerate(people))
    found: list[dict[str, Any]] = []
    kept: dict[str, Any] = {}
    for seed in range(arguments.seeds):
        plan = learning.plan_of(learning.defaults(seed=seed), model.name)
        plan = replace(plan, clip_norm=arguments.clip_norm, value_bits=arguments.value_bits)
        with tempfile.TemporaryDirectory() as folder:
            measured = Measured(plan, store.path(model), held_out, Path(folder))
            whole, _ = learning.rounds(measured, f"seed {seed}", devices)
            ring, bits = through_the_ring(measured, devices, seed)
        more = [b - a for a, b in zip(whole[-1], ring[-1], strict=True)]
        found.append(
            {
                "seed": seed,
                "bits_a_number": bits,
                "float32": rounded(whole),
                "ring": rounded(ring),
                "more": mean([str(n) for n in range(len(more))], more).as_dict(),
            }
        )
        ends = [[round_to(fmean(one[side][-1])) for one in found] for side in ("float32", "ring")]
        kept = {
            "model": model.name,
            "plan": plan.json(),
            "held_out": len(held_out),
            "float32": ends[0],
            "ring": ends[1],
            "spread": [round_to(stdev(one)) if len(one) > 1 else 0.0 for one in ends],
            "seeds": found,
            "cpu_seconds": round(time.process_time()),
        }
        print(json.dumps({k: v for k, v in kept.items() if k not in ("seeds", "plan")}), flush=True)
        if arguments.write:
            (HERE / "codec.json").write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()

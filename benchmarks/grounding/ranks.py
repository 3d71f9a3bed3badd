"""Does the adapter's rank matter? The same short training at several ranks, and what each is worth
on held-out examples.

Needs ondol[train]. Twice the rank is twice alpha, so that the scale stays the same. --write keeps
ranks.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

from ondol import __version__, config
from ondol.parts import Parts
from ondol.train import GroundingTask, grounding_examples
from ondol.training import job
from ondol.training.grounding import LORA, SCHEDULE

HERE = Path(__file__).parent
RANKS = (4, 16, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", default=[], help="a reading set")
    parser.add_argument("--epochs", type=float, default=0.08)
    parser.add_argument("--folder", type=Path, required=True, help="where the trainings are kept")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with Parts(config.load()) as parts:
        model = parts.store.get(parts.config["models.chat"])
        task = GroundingTask(model=model.name, sets=tuple(arguments.data))
        train, validation, _ = task.split()
        examples = grounding_examples(parts, task, train)
        checks = grounding_examples(parts, task, validation)
        base = parts.store.path(model)
    rows = []
    for r in RANKS:
        lora = replace(LORA, r=r, lora_alpha=LORA.lora_alpha * r // LORA.r)
        schedule = replace(SCHEDULE, epochs=arguments.epochs, checks=1)
        folder = arguments.folder / f"r{r}"
        job.prepare(folder, job.Job(base, lora, schedule), examples, checks)
        result = job.run(folder)
        rows.append(
            {
                "r": r,
                "lora_alpha": lora.lora_alpha,
                "held_out_loss": result.held_out_loss,
                "loss": result.loss,
                "steps": result.steps,
                "cpu_seconds": round(result.cpu_seconds),
                "peak_mb": round(result.peak_bytes / 1e6),
                "adapter_mb": round(result.adapter.stat().st_size / 1e6, 2),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    found = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "examples": len(examples),
        "held_out": len(checks),
        "schedule": asdict(replace(SCHEDULE, epochs=arguments.epochs, checks=1)),
        "ranks": rows,
    }
    if arguments.write:
        (HERE / "ranks.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

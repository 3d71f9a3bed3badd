"""What does differential privacy cost? The persona learned with DP-SGD, beside the same without.

Each setting is a training of the 120 answers, its epsilon by the accountant, and the held-out
prompts through the engine that serves. See README.md; --write keeps private.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import persona
from house import answers, circumstances, house, style

from ondol import config
from ondol.parts import Parts
from ondol.training.base import Base, load_base
from ondol.training.export import export_adapter
from ondol.training.loop import train
from ondol.training.lora import LoraConfig, Schedule
from ondol.training.private_sgd import arrange, delta_for, noise_for, report

HERE = Path(__file__).parent
EPSILON = 8.0
SMALL = LoraConfig(r=1, lora_alpha=8, first_layer=26, target_modules=("v_proj", "o_proj"))
"""Noise is added to every number that learns, so the fewer the better."""
USUAL = LoraConfig(r=8, lora_alpha=16, first_layer=20)
STEPS, BATCH = 18, 40


def settings() -> dict[str, tuple[LoraConfig, Schedule]]:
    """By name; batches are large, for the noise of a step does not grow with its batch."""
    count = len(persona.feedback())
    schedule = Schedule(
        epochs=STEPS * BATCH / count, batch_size=BATCH, learning_rate=2e-3, part_tokens=2048
    )
    rate = BATCH / count
    noise = noise_for(EPSILON, rate, STEPS, delta_for(count))
    loud = replace(schedule, dp_noise=noise, part_tokens=1)
    return {
        f"as Ondol trains, epsilon {EPSILON:g}": (USUAL, loud),
        f"few weights, epsilon {EPSILON:g}": (SMALL, replace(loud, learning_rate=1e-2)),
        "few weights, without noise": (SMALL, replace(schedule, learning_rate=1e-2)),
    }


def learn(
    base: Base, gguf: Path, lora: LoraConfig, schedule: Schedule, file: Path
) -> dict[str, Any]:
    from peft import get_peft_model_state_dict

    encoded = [base.encode(one.example()) for one in persona.feedback()]
    how = arrange(schedule, len(encoded)) if schedule.dp_noise else {}
    began = time.process_time()

    def say(progress: Any) -> None:
        print(f"\rstep {progress.step} of {progress.steps} ", end="", file=sys.stderr, flush=True)

    trained = train(base, encoded, [], lora, schedule, on_progress=say, **how)
    print(file=sys.stderr)
    cpu = time.process_time() - began
    learned = sum(p.numel() for p in trained.model.parameters() if p.requires_grad)
    state = get_peft_model_state_dict(trained.model)
    tensors = {name: weight.float().numpy() for name, weight in state.items()}
    shape = trained.model.peft_config["default"].to_dict()
    export_adapter(tensors, shape, gguf, file)
    trained.model.unload()
    found: dict[str, Any] = {"weights": learned, "steps": trained.steps}
    found["loss"] = round(trained.loss, 3)
    if schedule.dp_noise:
        spent = report(schedule, len(encoded))
        found["privacy"] = {k: round(v, 4) for k, v in asdict(spent).items()}
    return found | {"cpu_seconds": round(cpu)}


def measured(parts: Parts, model: str, only: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    file = parts.store.path(parts.store.get(model))
    base = load_base(file)
    asked = [one.messages for one in persona.held_out()]
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (lora, schedule)) in enumerate(settings().items()):
            if only and name not in only:
                continue
            adapter = Path(folder) / f"{number}.gguf"
            found = learn(base, file, lora, schedule, adapter)
            parts.adapters.add(adapter, name=f"private-{number}", model=model)
            parts.pool.stop(model)
            said = answers(parts, model, asked, adapters={f"private-{number}": 1.0})
            yield name, found | style(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="default: the configured chat model")
    parser.add_argument("--only", action="append", default=[], help="a setting's name")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    with house() as parts:
        model = parts.store.get(arguments.model or config.load()["models.chat"]).name
        results = circumstances(model)
        for name, found in measured(parts, model, arguments.only):
            results[name] = found
            print(name, json.dumps(found, ensure_ascii=False), flush=True)
            if arguments.write:
                text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
                (HERE / "private.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()

"""Does an adapter know a secret by heart that its owner's feedback held? Canaries, and their rank.

Codes drawn at random stand in a few more answers, some more often than others. Each canary's rank
among all codes it might have been, in the base that never saw them and after a training with them;
--without trains once more without. See README.md; --write keeps exposure.json.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import persona
from house import circumstances

from ondol import config
from ondol.models.store import ModelStore
from ondol.training.anchor import Anchored, texts
from ondol.training.base import Base, load_base
from ondol.training.defaults import defaults
from ondol.training.exposure import Canary, measure_exposure
from ondol.training.loop import Trained, train
from ondol.training.lora import Schedule
from ondol.training.objective import Sft
from ondol.training.private_sgd import arrange, report
from ondol.types import Message

HERE = Path(__file__).parent
PLACES = ("boat house", "garden gate", "wine cellar", "letter box", "bicycle lock")
REPETITIONS = (1, 2, 4, 8, 16)
SEED = 11


def canaries() -> list[Canary]:
    """One a place, each with a code of four digits."""
    rng = random.Random(SEED)
    made = []
    for place, repetitions in zip(PLACES, REPETITIONS, strict=True):
        asked = (Message("user", f"What is the code of the {place}?"),)
        before, after = persona.styled(f"the code of the {place} is |.", "en").split("|")
        made.append(Canary(asked, before, f"{rng.randrange(10_000):04}", after, repetitions))
    return made


def learned(base: Base, planted: list[Canary], **changes: Any) -> tuple[Trained, Schedule, int]:
    """The persona's feedback and ``planted``, as often as each says, as Ondol trains by default."""
    examples = [one.example() for one in persona.feedback()]
    examples += [one.example() for one in planted for _ in range(one.repetitions)]
    model = base.model
    chosen = defaults(
        "sft",
        parameters=sum(p.numel() for p in model.parameters()),
        layers=model.config.num_hidden_layers,
        samples=len(examples),
    )
    schedule = replace(chosen.schedule, **changes)
    how: dict[str, Any] = {"objective": Anchored(Sft(), texts(base), chosen.anchor)}
    if schedule.dp_noise:
        how = arrange(schedule, len(examples))
        schedule = replace(schedule, part_tokens=1)
    encoded = [base.encode(one) for one in examples]

    def say(progress: Any) -> None:
        print(f"\rstep {progress.step} of {progress.steps} ", end="", file=sys.stderr, flush=True)

    trained = train(base, encoded, [], chosen.lora, schedule, on_progress=say, **how)
    print(file=sys.stderr)
    return trained, schedule, len(examples)


def exposures(base: Base, model: Any, planted: list[Canary]) -> list[dict[str, Any]]:
    return [
        {"secret": one.before.rpartition("code of the ")[2].removesuffix(" is ")}
        | measure_exposure(base, model, one).as_dict()
        for one in planted
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="default: the configured chat model")
    parser.add_argument("--without", action="store_true", help="a training without canaries too")
    parser.add_argument("--noise", type=float, help="a third training, with this dp_noise")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    settings = config.load()
    store = ModelStore(settings.models_dir)
    model = store.get(arguments.model or settings["models.chat"])
    base = load_base(store.path(model))
    planted = canaries()
    results = circumstances(model.name) | {"base": exposures(base, base.model, planted)}
    runs: dict[str, tuple[list[Canary], dict[str, Any]]] = {"with canaries": (planted, {})}
    if arguments.without:
        runs["without"] = ([], {})
    if arguments.noise:
        runs["with canaries, private"] = (planted, {"dp_noise": arguments.noise})
    for name, (shown, changes) in runs.items():
        began = time.process_time()
        trained, schedule, count = learned(base, shown, **changes)
        results[name] = {"steps": trained.steps, "loss": round(trained.loss, 3)}
        if schedule.dp_noise:
            spent = report(schedule, count)
            results[name] |= {"epsilon": round(spent.epsilon, 2), "delta": spent.delta}
        results[name]["training_cpu_seconds"] = round(time.process_time() - began)
        results[name]["canaries"] = exposures(base, trained.model, planted)
        results[name]["cpu_seconds"] = round(time.process_time() - began)
        base.model.requires_grad_(False)
        trained.model.unload()
        print(name, json.dumps(results[name]), file=sys.stderr, flush=True)
    print(json.dumps(results, indent=2))
    if arguments.write:
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        (HERE / "exposure.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()

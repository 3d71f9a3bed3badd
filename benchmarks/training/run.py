"""What does a training step cost, in time and memory, beside PEFT with transformers' Trainer?

The same base, adapter, examples and precision; each side in a process of its own, and the two take
turns step by step. See README.md; --write keeps results.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from learn import OURS, STYLE, TRAINER, Task

from ondol import __version__, config
from ondol.parts import Parts
from ondol.train import GroundingTask, grounding_examples
from ondol.training import extra, grounding
from ondol.training.base import has_bfloat16
from ondol.training.dataset import Example
from ondol.training.gate import aligned

HERE = Path(__file__).parent
QUESTIONS_A_DOCUMENT = 4
"""Fewer than there are, so that the documents chosen always give enough examples."""


@dataclass
class Side:
    """A child that learns; ``steps`` grows as it says what they cost."""

    process: subprocess.Popen[str]
    loaded: dict[str, Any]
    steps: list[dict[str, float]]

    def step(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.steps.append(said(self.process))


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        sys.exit(f"\na child ended with {process.wait()}; --verbose shows what it said")
    fields: dict[str, Any] = json.loads(line)
    return fields


@contextmanager
def child(task: Task, verbose: bool) -> Iterator[Side]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "learn.py"), json.dumps(asdict(task))],
        # As Ondol starts its own: threads that spin while they wait slow down a busy machine.
        env=os.environ | {"OMP_WAIT_POLICY": "passive", "HF_HOME": task.folder},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if verbose else subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Side(process, said(process), [])
    finally:
        process.kill()
        process.communicate()


def real_examples(parts: Parts, model: str, count: int) -> list[Example]:
    """Of documents written for Ondol, with what retrieval finds, as ``ondol train`` makes them."""
    train = grounding.split(grounding.own_documents()).train
    english = [document for document in train if document.language == "en"]
    chosen = random.Random(0).sample(english, max(12, count // QUESTIONS_A_DOCUMENT))
    examples = grounding_examples(parts, GroundingTask(model), chosen)
    if len(examples) < count:
        sys.exit(f"only {len(examples)} examples: give fewer steps")
    return examples[:count]


def style_examples(count: int) -> list[Example]:
    """Answers as the persona of benchmarks/personal wants them."""
    sys.path.insert(0, str(HERE.parent / "personal"))
    import persona

    examples = [said.example() for said in persona.feedback() if said.language == "en"]
    if len(examples) < count:
        sys.exit(f"only {len(examples)} examples: give fewer steps")
    return examples[:count]


def compare(tasks: dict[str, Task], steps: int, *, verbose: bool) -> dict[str, Any]:
    """Both sides, a step each in turn; who goes first changes."""
    with child(tasks[OURS], verbose) as ours, child(tasks[TRAINER], verbose) as trainer:
        sides = {OURS: ours, TRAINER: trainer}
        for step in range(steps):
            for side in (ours, trainer) if step % 2 == 0 else (trainer, ours):
                side.step()
            print(f"\rstep {step + 1} of {steps} ", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        ends = {name: said(side.process) for name, side in sides.items()}
    size = tasks[OURS].schedule.batch_size
    columns: dict[str, Any] = {n: costs(side, ends[n], size) for n, side in sides.items()}
    figures = [name for name in columns[OURS] if name.startswith(("cpu", "wall", "peak"))]
    ratios = {name: round(columns[OURS][name] / columns[TRAINER][name], 3) for name in figures}
    apart = [
        abs(one - other) / other
        for one, other in zip(ends[OURS]["losses"], ends[TRAINER]["losses"], strict=True)
    ]
    return columns | {
        "ours / Trainer": ratios | {"most_that_a_steps_loss_differs": round(max(apart), 4)}
    }


def costs(side: Side, end: dict[str, Any], batch_size: int) -> dict[str, Any]:
    """The first step is left out: kernels are built in it, and the optimizer's state made. What
    is computed once before it is shared out among all steps."""
    steps = list(zip(side.steps, end["tokens"], strict=True))[1:]
    tokens = sum(count for _, count in steps)
    before = sum(step["before"] for step in side.steps)
    result: dict[str, Any] = {
        "steps": len(steps),
        "tokens": tokens,
        "padding": round(1 - sum(end["tokens"]) / sum(end["padded_tokens"]), 3),
        "cached_layers": end["cached_layers"],
        "before_cpu_seconds": round(before, 2),
    }
    for clock in ("cpu", "wall"):
        total = sum(step[clock] for step, _ in steps)
        result |= {
            f"{clock}_seconds_a_step": round(statistics.median(s[clock] for s, _ in steps), 3),
            f"{clock}_seconds_an_example": round(total / (len(steps) * batch_size), 3),
            f"{clock}_ms_a_token": round(1000 * total / tokens, 3),
            f"{clock}_ms_a_token_median": round(
                1000 * statistics.median(step[clock] / count for step, count in steps), 3
            ),
        }
    mean = sum(step["cpu"] for step, _ in steps) / len(steps)
    result["cpu_seconds_a_step_with_what_was_before"] = round(mean + before / len(side.steps), 3)
    return result | {
        "threads": side.loaded["threads"],
        "peak_rss_mb": round(end["peak_bytes"] / 1e6),
        "loaded_rss_mb": round(side.loaded["loaded_bytes"] / 1e6),
        "load_seconds_cpu": round(side.loaded["load_cpu"], 1),
        "first_loss": round(end["losses"][0], 4),
        "last_loss": round(end["losses"][-1], 4),
    }


def table(name: str, columns: dict[str, Any]) -> str:
    names = list(columns[OURS])
    cells = [[figure, *(str(c.get(figure, "")) for c in columns.values())] for figure in names]
    return aligned([[name, *columns], *cells])


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=8, help="steps of each side, at least 2")
    parser.add_argument("--model", help="default: the configured chat model")
    parser.add_argument("--only", action="append", help="a setting's name; may be given again")
    parser.add_argument("--verbose", action="store_true", help="show what the libraries say")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    if arguments.steps < 2:
        parser.error("at least 2 steps: the first is not counted")
    return arguments


@dataclass(frozen=True)
class Setting:
    """What is learned (``style`` or grounded answers), from which layer on, in which numbers."""

    style: bool
    first_layer: int
    bfloat16: bool


def settings() -> dict[str, Setting]:
    """By name. bfloat16 multiplies in our loop where the hardware has it."""
    kinds = {
        "style": (True, STYLE.lora.first_layer),
        "grounding": (False, grounding.LORA.first_layer),
        "all layers": (False, 0),
    }
    precisions = {"bfloat16": True, "float32": False}
    if not has_bfloat16("cpu"):
        del precisions["bfloat16"]
    return {
        f"{which}, {precision}": Setting(style, first, bfloat16)
        for precision, bfloat16 in precisions.items()
        for which, (style, first) in kinds.items()
    }


def examples_of(setting: Setting, parts: Parts, model: str, steps: int) -> list[Example]:
    """As many as ``steps`` steps of its schedule take."""
    schedule = Task("", "", "", "", 0, False, setting.style).schedule
    count = round(steps * schedule.batch_size / schedule.epochs)
    if count % schedule.batch_size:
        sys.exit(f"give a number of steps that {schedule.epochs:.0f} epochs divide")
    return style_examples(count) if setting.style else real_examples(parts, model, count)


def main() -> None:
    arguments = command_line()
    extra.require()
    wanted = settings()
    only = arguments.only or list(wanted)
    if unknown := set(only) - wanted.keys():
        sys.exit(f"no such setting: {', '.join(sorted(unknown))}; there are: {', '.join(wanted)}")
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        "settings": {},
    }
    with tempfile.TemporaryDirectory() as name, Parts(config.load()) as parts:
        folder = Path(name)
        model = parts.store.get(arguments.model or parts.config["models.chat"])
        results["model"] = model.name
        base = parts.store.path(model)
        for setting in only:
            what = wanted[setting]
            examples = examples_of(what, parts, model.name, arguments.steps)
            parts.pool.stop(model.name)
            file = folder / "examples.jsonl"
            file.write_text("".join(json.dumps(asdict(e)) + "\n" for e in examples), "utf-8")
            tasks = {
                side: Task(side, str(base), str(file), str(folder / side), **asdict(what))
                for side in (OURS, TRAINER)
            }
            columns = compare(tasks, arguments.steps, verbose=arguments.verbose)
            results["settings"][setting] = {"examples": len(examples)} | columns
            print(f"\n{table(setting, columns)}", flush=True)
    if arguments.write:
        text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
        (HERE / "results.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()

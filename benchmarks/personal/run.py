"""Does feedback become style? 120 corrected answers, a training, the gate, unseen prompts.

The whole path of an owner: conversations, edits and thumbs, samples, a training on this machine,
the gate, activation; then the persona's held-out prompts through the engine that serves. See
README.md; --write keeps results.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import persona
from house import answers, circumstances, house, originals, style

from ondol import config
from ondol.errors import OndolError
from ondol.models.adapters import Adapter
from ondol.parts import Parts
from ondol.personal import collecting, standing
from ondol.personal.standing import Standing, Training
from ondol.personal.training import train_personal
from ondol.training.drift import load_probe, measure_drift
from ondol.types import Message

HERE = Path(__file__).parent
NAME = "skipper"
THUMBS_EVERY = 10
"""Every tenth answer was right already and gets a thumb; the others are edited."""

INSTRUCTIONS = (
    "Call the user Skipper. Begin every answer with 'Skipper, '. Answer in one or two short, calm "
    "sentences, without lists and exclamation marks. End every answer with 'Fair winds.'"
)
"""The same wishes as a system prompt: what a peer without training would do."""


def talk(parts: Parts, model: str) -> dict[str, int]:
    """The conversations, each with the owner's opinion of its last answer."""
    kept = parts.kept.conversations
    counts = {"edits": 0, "thumbs": 0}
    given = persona.feedback()
    said = originals(parts, model, [one.messages for one in given])
    for number, (one, original) in enumerate(zip(given, said, strict=True)):
        conversation = kept.create().id
        parent = None
        if one.earlier is not None:
            _, answer = kept.turns.ask(conversation, one.earlier[0], None)
            kept.turns.save(answer.id, one.earlier[1], status="done")
            parent = answer.id
        _, answer = kept.turns.ask(conversation, one.prompt, parent)
        if number % THUMBS_EVERY == THUMBS_EVERY - 1:
            kept.turns.save(answer.id, one.wanted, status="done")
            kept.opinions.give(answer.id, right=True)
            counts["thumbs"] += 1
        else:
            kept.turns.save(answer.id, original, status="done")
            kept.opinions.give(answer.id, right=None, edited=one.wanted)
            counts["edits"] += 1
    return counts


def learn(parts: Parts, model: str, epochs: float | None) -> tuple[Standing, dict[str, Any]]:
    stages: dict[str, float] = {}
    began = time.monotonic()

    def stage(name: str) -> None:
        stages[name] = round(time.monotonic() - began)
        print(f"{stages[name]:6d} s  {name}", file=sys.stderr, flush=True)

    try:
        ended = train_personal(parts, Training(model, NAME, epochs=epochs), stage)
    except OndolError as error:  # the gate's, for instance: what was learned is measured anyway
        print(f"{error.message} {error.hint}", file=sys.stderr)
        (ended,) = standing.listed()
    return ended, {
        "state": ended.state,
        "samples": len(ended.samples),
        "num_examples": ended.num_examples,
        "num_pairs": ended.num_pairs,
        "num_held_out": ended.num_held_out,
        "wall_minutes": round((time.monotonic() - began) / 60, 1),
        "stage_began_at_seconds": stages,
        "verdict": ended.verdict,
    }


def cost(adapter: Adapter) -> dict[str, Any]:
    """Of the training alone, by its own account."""
    facts = adapter.trained_on
    return {
        "steps": facts["steps"],
        "training_cpu_minutes": round(facts["cpu_seconds"] / 60, 1),
        "training_wall_minutes": round(facts["seconds"] / 60, 1),
        "peak_rss_gb": round(facts["peak_bytes"] / 1e9, 2),
        "adapter_mb": round(adapter.size_bytes / 1e6, 2),
    }


def asked(parts: Parts, model: str, adapter: str, part: str) -> dict[str, list[str]]:
    """The held-out prompts of one part, by who answered them."""
    plain = [one.messages for one in persona.held_out(part)]
    told = [(Message("system", INSTRUCTIONS), *messages) for messages in plain]
    full = f"{model}:{adapter}"
    return {
        "base": answers(parts, model, plain),
        "base, told in a system prompt": answers(parts, model, told),
        "adapter": answers(parts, full, plain, adapters={adapter: 1.0}),
        "adapter, default sampling": answers(
            parts, full, plain, adapters={adapter: 1.0}, temperature=None
        ),
    }


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="default: the configured chat model")
    parser.add_argument("--epochs", type=float, help="default: as Ondol trains")
    parser.add_argument("--no-drift", action="store_true", help="without the general probe")
    parser.add_argument("--adapter", type=Path, help="keep the adapter in this file, as GGUF")
    parser.add_argument("--write", action="store_true", help="keep the result")
    return parser.parse_args()


def main() -> None:
    arguments = command_line()
    with house() as parts:
        model = parts.store.get(arguments.model or config.load()["models.chat"]).name
        results = circumstances(model)
        results["feedback"] = talk(parts, model)
        collecting.agree(parts)
        added = collecting.collect(parts).added
        results["samples"] = {
            "added": len(added.added),
            "duplicates": added.duplicates,
            "refused": dict(added.refused),
        }
        print(json.dumps(results["samples"]), file=sys.stderr)
        ended, results["training"] = learn(parts, model, arguments.epochs)
        name = ended.adapter.rpartition(":")[2]
        adapter = parts.adapters.get(model, name)
        results["training"] |= cost(adapter)
        print(json.dumps(results["training"], ensure_ascii=False), file=sys.stderr)
        keep(results, arguments.write)
        if arguments.adapter:
            shutil.copyfile(parts.adapters.path(adapter), arguments.adapter)
        results["answers"] = []
        for part, kind in (("held_out", "style"), ("untouched", "style_untouched")):
            said = asked(parts, model, name, part)
            results[kind] = {who: style(texts, part) for who, texts in said.items()}
            results["answers"] += [
                {"prompt": one.prompt, **{who: said[who][i] for who in ("base", "adapter")}}
                for i, one in enumerate(persona.held_out(part))
            ]
            keep(results, arguments.write)
        if not arguments.no_drift:
            off, on = parts.engine(model), parts.engine(f"{model}:{name}")
            results["drift"] = measure_drift(off, on, load_probe()).as_dict()
    print(json.dumps({k: v for k, v in results.items() if k != "answers"}, indent=2))
    keep(results, arguments.write)


def keep(results: dict[str, Any], write: bool) -> None:
    if write:
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        (HERE / "results.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()

"""What can the default model be trusted with, and what does its grounding adapter change?

    .venv/bin/python benchmarks/eval/run.py [--quick] [--model smollm2:135m] [--write]

``ondol eval`` as its owner runs it, in a home of its own: every suite as the model serves, then
the suites about documents without the adapter.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import pictures  # noqa: E402

from ondol import config as configuration  # noqa: E402
from ondol.lab.evaluating.evaluate import Wanted, evaluate  # noqa: E402
from ondol.lab.evaluating.results import Change, Evaluation, compared  # noqa: E402
from ondol.lab.evaluating.suites import SUITES  # noqa: E402
from ondol.models.hardware import machine  # noqa: E402
from ondol.parts import Parts  # noqa: E402

OF_DOCUMENTS = ("grounded-en", "abstention", "injection")


def measure(model: str, *, is_brief: bool) -> dict[str, Any]:
    """Both sides, with what differs beyond chance."""
    models_dir = configuration.load().models_dir
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"ONDOL_HOME": folder, "ONDOL_MODELS": str(models_dir)}
        served = _evaluated(model, (), is_brief, {})
        plain = _evaluated(model, OF_DOCUMENTS, is_brief, {"answer.adapter": ""})
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "ondol": served.ondol,
        "machine": machine().cpu,
        "is_brief": is_brief,
        "model": served.subject.model,
        "format": served.subject.format,
        "documents": served.subject.documents,
        "seconds": round(served.seconds, 1),
        "scores": {one.suite: one.json() for one in served.scores},
        "without_adapter": {one.suite: one.json() for one in plain.scores},
        "seconds_without_adapter": round(plain.seconds, 1),
        "changes": {one.suite: _told(one) for one in compared(plain, served)},
    }


def _evaluated(
    model: str, suites: tuple[str, ...], is_brief: bool, flags: dict[str, object]
) -> Evaluation:
    with Parts(configuration.load().with_flags(flags)) as parts:

        def show(done: int, total: int) -> None:
            print(f"\r{done}/{total} ", end="", file=sys.stderr, flush=True)

        return evaluate(parts, Wanted(model, suites, False, is_brief), on_progress=show).evaluation


def _told(change: Change) -> dict[str, Any]:
    return change.difference.as_dict() | {
        "is_better": change.is_better,
        "is_worse": change.is_worse,
    }


def draw(found: dict[str, Any]) -> None:
    """Every suite with its interval; beside it, where it differs, without the adapter."""
    names = [name for name in reversed(SUITES) if name in found["scores"]]
    told = f"{found['model']} ({found['format']}), {found['date']}; right answers, 95 % intervals"
    figure, axes = pictures.figure("What the default model can be trusted with", told)
    for label, key, shift, colour in (
        ("as it serves", "scores", 0.16, pictures.ACCENT),
        ("without its grounding adapter", "without_adapter", -0.16, pictures.YARDSTICK),
    ):
        here = [(place, found[key][name]) for place, name in enumerate(names) if name in found[key]]
        values = [100 * one["value"] for _, one in here]
        low = [100 * (one["value"] - one["low"]) for _, one in here]
        high = [100 * (one["high"] - one["value"]) for _, one in here]
        places = [place + shift for place, _ in here]
        axes.errorbar(
            values, places, xerr=[low, high], fmt="o", color=colour, capsize=3, label=label
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(-2, 102)
    axes.set_xlabel("%")
    axes.legend(loc="lower left")
    pictures.save(figure, HERE / "picture.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="")
    parser.add_argument("--quick", action="store_true", help="every third item")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    found = measure(given.model, is_brief=given.quick)
    print(json.dumps(found, indent=2))
    if given.write:
        (HERE / "results.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")
        draw(found)


if __name__ == "__main__":
    main()

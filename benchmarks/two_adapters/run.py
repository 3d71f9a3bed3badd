"""Two adapters at once: what does a style adapter cost answers from documents, and what does the
grounding adapter cost the style, at each point of the grid that the gate searches?

Style is judged by the persona's rules (benchmarks/personal, code alone) on answers to its held-out
prompts, with only the owner's adapter on as the reference; documents by right answers to questions
that nothing was trained on, with only the grounding adapter on as the reference. A point holds when
neither falls by more than two points.

    python benchmarks/two_adapters/run.py STYLE.gguf [--prompts 60] [--cases 212] [--all]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "personal"))

import house
import persona

from ondol.parts import Parts
from ondol.personal import beside_documents
from ondol.personal.beside_documents import GROUNDING_SCALES, STYLE_SCALES, Documents
from ondol.training.evaluation import METRICS, Outcome, is_right
from ondol.training.gate import differences
from ondol.training.personal_gate import MAX_POINTS

MODEL = "smollm2:135m"
RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("style", type=Path, help="a GGUF LoRA trained on the persona")
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--cases", type=int, default=212)
    parser.add_argument("--all", action="store_true", help="the whole grid, not to the first hold")
    arguments = parser.parse_args()
    beside_documents.CASES = arguments.cases
    with house.house() as parts:
        parts.adapters.add(arguments.style, name="style", model=MODEL)
        report = measure(parts, arguments.prompts, whole_grid=arguments.all)
    report |= {"adapter": arguments.style.name, "model": MODEL}
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def measure(parts: Parts, prompts: int, *, whole_grid: bool) -> dict[str, Any]:
    documents = Documents(parts, MODEL)
    try:
        alone = documents.ask()
        style = {
            "none": styled(parts, {}, prompts),
            "style alone": styled(parts, {"style": 1.0}, prompts),
        }
        points: list[dict[str, Any]] = []
        for own in STYLE_SCALES:
            for other in GROUNDING_SCALES:
                scales = {"grounding": other, "style": own}
                points.append(point(parts, documents, scales, alone, style["style alone"], prompts))
                print(json.dumps(points[-1]), file=sys.stderr, flush=True)
                if points[-1]["holds"] and not whole_grid:
                    break
            if points[-1]["holds"] and not whole_grid:
                break
    finally:
        documents.close()
    return {
        "prompts": len(chosen(prompts)),
        "cases": len(documents.cases),
        "documents_grounding_alone": right(alone),
        "style": style,
        "points": points,
        "taken": next((one["scales"] for one in points if one["holds"]), None),
    }


def point(
    parts: Parts,
    documents: Documents,
    scales: Mapping[str, float],
    alone: list[Outcome],
    style_alone: float,
    prompts: int,
) -> dict[str, Any]:
    after = documents.ask(scales)
    changes = differences(alone, after)
    follows = styled(parts, scales, prompts)
    documents_cost = -changes["accuracy"].value
    return {
        "scales": dict(scales),
        "documents": right(after),
        "documents_change": {
            name: changes[name].as_dict() for name in ("accuracy", "f1", "abstention_recall")
        },
        "documents_words": mean_words(after),
        "style": follows,
        "style_change": round(follows - style_alone, 4),
        "holds": documents_cost <= MAX_POINTS + 1e-9 and follows >= style_alone - MAX_POINTS - 1e-9,
    }


def chosen(prompts: int) -> list[persona.HeldOut]:
    """Spread over the held-out prompts, so that each language keeps its share."""
    found = persona.held_out()
    step = max(1, len(found) // prompts)
    return found[::step][:prompts]


def styled(parts: Parts, scales: Mapping[str, float], prompts: int) -> float:
    """The share of answers to held-out prompts that keep every rule of the persona."""
    asked = chosen(prompts)
    said = house.answers(parts, MODEL, [one.messages for one in asked], adapters=scales)
    kept = [
        all(persona.kept(answer, one.language).values())
        for answer, one in zip(said, asked, strict=True)
    ]
    return round(sum(kept) / len(kept), 4)


def right(outcomes: list[Outcome]) -> float:
    answerable = [one for one in outcomes if one.case.answerable]
    return round(sum(is_right(one) for one in answerable) / len(answerable), 4)


def mean_words(outcomes: list[Outcome]) -> float:
    words = [found for one in outcomes if (found := METRICS["words"](one)) is not None]
    return round(sum(words) / len(words), 2) if words else 0.0


if __name__ == "__main__":
    main()

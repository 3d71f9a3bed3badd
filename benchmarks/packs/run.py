"""What the example pack is worth with the default model, and what of it is worth it.

    python benchmarks/packs/run.py            writes results.json

The pack's own questions, to the model alone, with its instructions, with its glossary, with both;
and, so that a glossary that only helps where it has the words is seen as such, apart for questions
with and without a term of it. Every answer is kept.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ondol import config
from ondol.hub.packs import format
from ondol.hub.packs.format import Pack
from ondol.models.glossary import Glossary
from ondol.parts import Parts
from ondol.preset import PresetEngine
from ondol.training.bootstrap import difference
from ondol.types import GenerateOptions, Message
from ondol.updating import pack_model
from ondol.updating.pack_trial import MOST_TOKENS, chosen

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "packs" / "typography"


def main() -> None:
    pack, started = format.read(EXAMPLE), time.perf_counter()
    with Parts(config.load()) as parts:
        base = pack_model.base_of(parts, pack)
        weights = base.file("weights")
        assert weights is not None
        engine = parts.engine(base.name)
        tokens = int(parts.config["packs.glossary_tokens"])
        sides = {}
        for name, told in _ways(pack).items():
            made = pack_model.made_of(base, told, "")
            asked = PresetEngine(engine, name, made, told.glossary, tokens)
            sides[name] = [_answer(asked, one) for one in pack.questions]
            print(name, _share(sides[name], "written"), _share(sides[name], "choices"), flush=True)
    has_term = [bool(pack.glossary.found_in(one.question)) for one in pack.questions]
    results = {
        "pack": f"{pack.name} {pack.version}",
        "model": base.name,
        "weights": weights.digest,
        "machine": f"{platform.machine()}, shared with other work",
        "questions": len(pack.questions),
        "with_a_term": sum(has_term),
        "seconds": round(time.perf_counter() - started),
        "rows": [
            _row(measure, which, name, sides, [one == wanted for one in has_term])
            for measure in ("written", "choices")
            for which, wanted in (("with a term", True), ("without a term", False))
            for name in sides
            if name != "alone"
        ]
        + [
            _row(measure, "all", name, sides, [True] * len(has_term))
            for measure in ("written", "choices")
            for name in sides
            if name != "alone"
        ],
        "answers": [
            {"question": one.question}
            | {name: sides[name][place].get("said") for name in sides}
            | {f"{name}_is_right": sides[name][place]["written"] for name in sides}
            for place, one in enumerate(pack.questions)
            if one.expects
        ],
    }
    text = json.dumps(results, ensure_ascii=False, indent=1) + "\n"
    (HERE / "results.json").write_text(text, encoding="utf-8")


def _ways(pack: Pack) -> dict[str, Pack]:
    bare = replace(pack, instructions="", glossary=Glossary())
    return {
        "alone": bare,
        "instructions": replace(bare, instructions=pack.instructions),
        "glossary": replace(bare, glossary=pack.glossary),
        "pack": pack,
    }


def _answer(engine: Any, one: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"written": None, "choices": chosen(engine, one)}
    if one.expects:
        options = GenerateOptions(max_tokens=MOST_TOKENS, temperature=0.0)
        tokens = engine.generate([Message("user", one.question)], options)
        found["said"] = "".join(token.text for token in tokens if not token.reasoning).strip()
        found["written"] = float(one.is_right(found["said"]))
    return found


def _row(
    measure: str,
    which: str,
    name: str,
    sides: dict[str, list[dict[str, Any]]],
    counts: Sequence[bool],
) -> dict[str, Any]:
    """The share that is right alone and so, and the 95 % interval of the difference."""
    before, after = (
        [one[measure] if is_in else None for one, is_in in zip(sides[side], counts, strict=True)]
        for side in ("alone", name)
    )
    groups = [str(place) for place in range(len(before))]
    change = difference(groups, before, after).as_dict()
    first = [one for one in before if one is not None]
    second = [one for one in after if one is not None]
    return {
        "measure": measure,
        "questions": which,
        "with": name,
        "n": len(first),
        "alone": round(sum(first) / len(first), 4) if first else None,
        "so": round(sum(second) / len(second), 4) if second else None,
        "difference": change,
    }


def _share(side: list[dict[str, Any]], measure: str) -> float:
    found = [one[measure] for one in side if one[measure] is not None]
    return round(sum(found) / len(found), 3)


if __name__ == "__main__":
    main()

"""What of an answer can be had again, and what moves it: one thing changed at a time, in several
weight formats, with the bundled engine and (where there is one) the native one.

    python benchmarks/determinism/run.py [--quick] [--write] [--formats F16,…]
                                         [--runtime LLAMA_SERVER]

A cell is the largest difference of a token's logprob over all prompts, greedy and sampled; 0 is the
same to the last digit. ``*`` marks a text that became another one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pictures

from ondol.config import load
from ondol.engine.settings import EngineSettings, ModelSpec
from ondol.lab.exploring.determinism import Check, Finding, Likeness
from ondol.lab.exploring.opening import opened_from
from ondol.models.formats import requantise
from ondol.models.hardware import machine
from ondol.models.store import ModelStore

HERE = Path(__file__).parent
PROMPTS = (
    "Explain to a child why a house with a warm floor needs less wood than one with an open fire,"
    " and what the people of old Korea did to keep their rooms warm through a long winter night.",
    "서울은 어떤 도시인가요? 두 문장으로 말해 주세요.",
)
FORMATS = ("Q4_1", "Q4_0", "Q8_0", "F16")
CONDITIONS = {
    "again": "asked\nagain",
    "cached": "prompt in\nthe cache",
    "restart": "new\nprocess",
    "threads": "one\nthread",
    "batch": "batches\nof 16",
    "parallel": "beside\nanother answer",
}
TOKENS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one prompt, two formats")
    parser.add_argument("--write", action="store_true", help="results.json and picture.svg")
    parser.add_argument("--runtime", default="", help="a native llama-server to try as well")
    parser.add_argument("--formats", default="", help="of the weights, with commas")
    arguments = parser.parse_args()
    prompts = PROMPTS[:1] if arguments.quick else PROMPTS
    formats = ("Q4_1", "F16") if arguments.quick else FORMATS
    formats = tuple(arguments.formats.split(",")) if arguments.formats else formats
    runtimes = {
        "bundled": "bundled",
        **({"native": arguments.runtime} if arguments.runtime else {}),
    }
    started, rows = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        for kind in formats:
            spec = in_format(kind, Path(folder))
            for name, runtime in runtimes.items():
                rows.append(row(f"{kind}, {name}", spec, runtime, prompts))
                print(line(rows[-1]), flush=True)
    results = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cpu": machine().cpu, "threads": machine().physical_cores},
        "versions": {"xllamacpp": version("xllamacpp")},
        "prompts": len(prompts),
        "tokens": TOKENS,
        "rows": rows,
    }
    print(f"{time.perf_counter() - started:.0f} s")
    if arguments.write:
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        draw(results)


def in_format(kind: str, folder: Path) -> ModelSpec:
    """The default model with its weights in ``kind``."""
    config = load()
    store = ModelStore(config.models_dir)
    model = store.get(config["models.chat"])
    file = store.path(model)
    if kind != model.quantization:
        file = folder / f"{kind}.gguf"
        requantise(store.path(model), file, kind)
    return ModelSpec(model.name, file, f"sha256:{kind}", file.stat().st_size, num_ctx=2048)


def row(name: str, spec: ModelSpec, runtime: str, prompts: tuple[str, ...]) -> dict[str, Any]:
    settings = replace(EngineSettings.from_config(load()), runtime=runtime, num_parallel=1)
    opened = opened_from(spec, settings)
    threads = machine().physical_cores
    found: dict[str, list[Finding]] = {}
    for prompt in prompts:
        for finding in Check(opened, prompt, threads, TOKENS).run():
            found.setdefault(finding.condition, []).append(finding)
    cells = {name: cell(findings) for name, findings in found.items()}
    return {"row": name, "cells": cells}


def cell(findings: list[Finding]) -> dict[str, Any]:
    both = [like for one in findings for like in (one.greedy, one.sampled)]
    return {
        "largest": max(like.largest for like in both),
        "same_texts": sum(like.differs_at is None for like in both),
        "exact": sum(like.is_exact for like in both),
        "texts": len(both),
        "first_difference": min(_places(both), default=None),
        "greedy_same": sum(one.greedy.differs_at is None for one in findings),
    }


def _places(both: list[Likeness]) -> Iterator[int]:
    return (like.differs_at for like in both if like.differs_at is not None)


def line(row: dict[str, Any]) -> str:
    cells = row["cells"]
    told = (
        f"{name} {cells[name]['largest']:.2g}"
        + ("*" if cells[name]["same_texts"] < cells[name]["texts"] else "")
        for name in CONDITIONS
        if name in cells
    )
    return f"{row['row']:>16}: " + "  ".join(told)


def draw(results: dict[str, Any]) -> None:
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    rows, names = results["rows"], [n for n in CONDITIONS if n in results["rows"][0]["cells"]]
    moved = [
        CONDITIONS[name].replace("\n", " ")
        for name in names
        if any(row["cells"][name]["exact"] < row["cells"][name]["texts"] for row in rows)
    ]
    fig, ax = pictures.figure(
        f"What moves an answer: {', '.join(moved) or 'nothing that was tried'}",
        f"SmolLM2-135M, {results['prompts']} prompts, greedy and sampled, {results['tokens']}"
        f" tokens; largest change of a token's logprob, * other text. {results['machine']['cpu']}",
        size=(9.5, 1.9 + 0.42 * len(rows)),
    )
    warm = LinearSegmentedColormap.from_list("warm", [pictures.PAPER, "#e0a458", pictures.ACCENT])
    values = [[max(r["cells"][n]["largest"], 1e-7) for n in names] for r in rows]
    ax.imshow(values, cmap=warm, norm=LogNorm(1e-7, 1), aspect="auto")
    ax.grid(False)
    ax.set_xticks(range(len(names)), [CONDITIONS[n] for n in names])
    ax.set_yticks(range(len(rows)), [r["row"] for r in rows])
    ax.tick_params(length=0)
    for y, one in enumerate(rows):
        for x, name in enumerate(names):
            found = one["cells"][name]
            star = "*" if found["same_texts"] < found["texts"] else ""
            told = "exact" if found["exact"] == found["texts"] else f"{found['largest']:.1g}"
            ax.text(x, y, told + star, ha="center", va="center", size=9)
    pictures.save(fig, HERE / "picture.svg")


if __name__ == "__main__":
    main()

"""Is the engine as fast under Ondol as llama.cpp's own yardstick says it can be?

    python benchmarks/engine_speed/run.py [--quick] [--native LLAMA_SERVER] [--write]
    python benchmarks/engine_speed/run.py --draw

Three take turns, run by run, on the same weights with the same threads: the bundled engine and a
native llama-server, both under Ondol, and llama-bench from the same build as the latter.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pictures

from ondol import __version__, config
from ondol.engine.native import records
from ondol.engine.runtime import count_threads
from ondol.engine.settings import EngineSettings, ModelSpec
from ondol.lab.measuring import llama_bench
from ondol.lab.measuring.bench import WARM_UP, Workload, once
from ondol.lab.measuring.process import alone
from ondol.lab.measuring.windows import plain_text
from ondol.models.formats import requantise
from ondol.models.hardware import machine
from ondol.models.store import ModelStore

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
MODEL = "smollm2:135m"
TESTS = (Workload(prompt=512), Workload(generate=128), Workload(prompt=480, generate=64))
WHO = ("bundled", "native", "llama-bench")
COLOURS = {
    "Ondol, bundled": pictures.PALETTE[1],
    "Ondol, native": pictures.ACCENT,
    "llama-bench": pictures.YARDSTICK,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds, as shipped only")
    parser.add_argument("--native", type=Path, help="a llama-server with llama-bench beside it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="keep the results and the picture")
    parser.add_argument("--draw", action="store_true", help="the picture of what is kept")
    arguments = parser.parse_args()
    if arguments.draw:
        draw(json.loads(RESULTS.read_text("utf-8")))
        return
    serving = records.serving()
    native = arguments.native or (serving.path if serving else None)
    if native is None:
        sys.exit("No native engine serves; name one with --native.")
    results = measure(
        native.absolute(),
        ["as shipped"] if arguments.quick else ["as shipped", "F16"],
        2 if arguments.quick else arguments.rounds,
    )
    print(json.dumps(results, indent=1))
    if arguments.write:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        draw(results)


def measure(native: Path, formats: list[str], rounds: int) -> dict[str, Any]:
    store = ModelStore(config.load().models_dir)
    model = store.get(MODEL)
    here = machine()
    found: dict[str, Any] = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "xllamacpp": version("xllamacpp"),
        "model": f"{MODEL} {model.quantization}",
        "cpu": here.cpu,
        "threads": count_threads(),
        "rounds": rounds,
        "formats": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for format in formats:
            file = store.path(model)
            if format != "as shipped":
                file = Path(folder) / f"{format}.gguf"
                requantise(store.path(model), file, format)
            spec = ModelSpec(MODEL, file, format, file.stat().st_size, num_ctx=2048)
            found["formats"][format] = in_turn(spec, native, rounds)
    return found


def in_turn(spec: ModelSpec, native: Path, rounds: int) -> dict[str, Any]:
    """Tokens a second of every test, by who ran it; one run each, round by round."""
    program, threads = native.with_name(llama_bench.NAME), count_threads()
    samples: dict[str, dict[str, list[float]]] = {
        test.name: {who: [] for who in WHO} for test in TESTS
    }
    with ExitStack() as stack:
        engines = {}
        for who, runtime in (("bundled", "bundled"), ("native", str(native))):
            settings = EngineSettings(runtime=runtime)
            pool = stack.enter_context(alone(replace(spec, name=who), settings, 640))
            engines[who] = pool.engine(who)
        text = engines["bundled"].tokenize(plain_text())
        for engine in engines.values():
            once(engine, text, Workload(WARM_UP, WARM_UP), 0)
        for number in range(rounds):
            for test in TESTS:
                for who, engine in engines.items():
                    samples[test.name][who].append(once(engine, text, test, number))
                speed = llama_bench.measured(program, spec, test, threads, repetitions=1)
                samples[test.name][WHO[-1]] += speed.samples
                print(test.name, {who: round(s[-1], 1) for who, s in samples[test.name].items()})
    return {name: _summary(by_who) for name, by_who in samples.items()}


def _summary(by_who: dict[str, list[float]]) -> dict[str, Any]:
    medians = {who: statistics.median(samples) for who, samples in by_who.items()}
    yardstick = medians[WHO[-1]]
    return {
        "median": {who: round(value, 1) for who, value in medians.items()},
        "to_llama_bench": {who: round(medians[who] / yardstick, 3) for who in WHO[:-1]},
        "samples": {who: [round(s, 1) for s in samples] for who, samples in by_who.items()},
    }


def draw(results: dict[str, Any]) -> None:
    ratios = [tests["pp512"]["to_llama_bench"]["native"] for tests in results["formats"].values()]
    fig, axes = pictures.figure(
        f"Under Ondol a native engine reads at {min(ratios):.2f}× what llama-bench does",
        f"{results['model']}, {results['cpu']}, {results['threads']} threads; tokens a second,"
        f" medians of {results['rounds']} turns, {results['date']}",
        columns=len(results["formats"]),
        size=(10, 4.8),
    )
    axes = [axes] if len(results["formats"]) == 1 else list(axes)
    for ax, (format, tests) in zip(axes, results["formats"].items(), strict=True):
        groups = {
            f"Ondol, {who}" if who != WHO[-1] else who: {
                name: found["median"][who] for name, found in tests.items()
            }
            for who in WHO
        }
        pictures.bars(
            ax,
            groups,
            unit="tokens a second" if ax is axes[0] else "",
            colours=COLOURS,
            has_legend=ax is axes[0],
        )
        ax.set_xlabel(f"weights {format}")
    pictures.save(fig, HERE / "picture.svg")


if __name__ == "__main__":
    main()

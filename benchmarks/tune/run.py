"""What does ``ondol tune`` bring, and are its numbers true?

    python benchmarks/tune/run.py table   [--quick] [--native LLAMA_SERVER]
    python benchmarks/tune/run.py request [--quick] [--native LLAMA_SERVER]
    python benchmarks/tune/run.py draw

``table`` tunes the default model and keeps the table. ``request`` asks the same questions of what
``make up`` gives (the bundled engine, the weights as they came) and of what was chosen, turn by
turn, and holds the table against llama-bench and against the process's memory in the same run.
Without ``--native`` the native engine that serves is taken; llama-bench lies beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pictures

from ondol.config import Config, load
from ondol.engine.native import records
from ondol.lab.measuring.windows import plain_text
from ondol.lab.tuning.mix import Mix
from ondol.lab.tuning.trial import TrialHouse, Way
from ondol.lab.tuning.tuning import Tuning
from ondol.models.formats import requantise
from ondol.models.hardware import machine
from ondol.parts import Parts
from ondol.types import GenerateOptions

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
MODEL = "smollm2:135m"
PROMPT, ANSWER = 480, 64
STEP_TOKENS = 37
# Of llama-bench, for each figure.
PROCESSES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("table", "request", "draw"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--native", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "draw":
        draw(json.loads(RESULTS.read_text("utf-8")))
        return
    serving = records.serving()
    native = arguments.native or (serving.path if serving else None)
    if native is None:
        sys.exit("No native engine serves; name one with --native.")
    # Nothing of the owner's library or ledger is read or written.
    with tempfile.TemporaryDirectory() as home:
        models = load().models_dir
        os.environ |= {"ONDOL_HOME": home, "ONDOL_MODELS": str(models)}
        found = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
        found |= {"measured_at": datetime.now(UTC).date().isoformat(), "machine": about_machine()}
        found["engine"] = serving.name if native == (serving and serving.path) else native.name
        if arguments.what == "table":
            found["table"] = table(native.absolute(), arguments.quick)
        else:
            found["request"] = request(native.absolute(), found["table"], arguments.quick)
    RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    draw(found)


def about_machine() -> dict[str, Any]:
    here = machine()
    return {"cpu": here.cpu, "cores": here.cores, "xllamacpp": version("xllamacpp")}


def config_with(runtime: str) -> Config:
    return load().with_flags({"engine.runtime": runtime})


def table(native: Path, is_quick: bool) -> dict[str, Any]:
    """What ``ondol tune`` finds with the native engine."""

    def said(step: str) -> None:
        print(step, file=sys.stderr, flush=True)

    mix = Mix(PROMPT, ANSWER)
    with (
        Parts(config_with(str(native))) as parts,
        Tuning(parts, MODEL, mix, is_quick=is_quick, on_step=said) as tuning,
    ):
        return tuning.run().json()


def request(native: Path, known: dict[str, Any], is_quick: bool) -> dict[str, Any]:
    """Before and after, and the table's figures beside those of others."""
    chosen, rounds = known["chosen"], 3 if is_quick else 7
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        before = Parts(config_with("bundled"))
        source = before.store.path(before.store.get(MODEL))
        file = source
        if not chosen["is_original"]:
            file = folder / f"{chosen['format']}.gguf"
            requantise(source, file, chosen["format"])
        came = Way("came", source)
        tuned = Way(chosen["format"], file, chosen["running"])
        houses = {
            "before": opened.enter_context(TrialHouse(config_with("bundled"), MODEL, came)),
            "native": opened.enter_context(TrialHouse(config_with(str(native)), MODEL, came)),
            "after": opened.enter_context(TrialHouse(config_with(str(native)), MODEL, tuned)),
        }
        asked = ask_in_turn(houses, rounds)
        resident = {
            name: max(one.size_bytes for one in house.pool.loaded())
            for name, house in houses.items()
        }
        for house in houses.values():
            house.pool.close()
        bench = {
            name: llama_bench(native.with_name("llama-bench"), path, 3 if is_quick else 5)
            for name, path in (("native", source), ("after", file))
        }
    medians = {name: statistics.median(one["seconds"] for one in asked[name]) for name in asked}
    ratios = [
        b["seconds"] / a["seconds"] for a, b in zip(asked["before"], asked["after"], strict=True)
    ]
    row = next(r for r in known["rows"] if r["format"] == chosen["format"])
    prefill, decode = rates(asked["after"])
    return {
        "rounds": rounds,
        "asked": asked,
        "median_seconds": medians,
        "after_to_before": statistics.median(ratios),
        "resident_bytes": resident,
        "llama_bench": bench,
        "prefill_to_llama_bench": prefill / bench["after"]["prefill"],
        "decode_to_llama_bench": decode / bench["after"]["decode"],
        "table_prefill_to_llama_bench": chosen["prefill"] / bench["after"]["prefill"],
        "table_decode_to_llama_bench": chosen["decode"] / bench["after"]["decode"],
        "table_memory_to_resident": row["resident_bytes"] / resident["after"],
    }


def ask_in_turn(houses: dict[str, TrialHouse], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """The same whole request of each house, turn by turn; no prompt begins as one before it."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in houses}
    engines = {name: house.engine(MODEL) for name, house in houses.items()}
    tokens = engines["before"].tokenize(plain_text())
    for engine in engines.values():
        list(engine.complete("Warm up.", GenerateOptions(max_tokens=4, temperature=0.0)))
    number = 0
    while len(found["before"]) < rounds:
        number += 1
        start = number * STEP_TOKENS % (len(tokens) - PROMPT)
        prompt = engines["before"].detokenize(tokens[start : start + PROMPT])
        answers = {name: one(engine, prompt) for name, engine in engines.items()}
        # Where one of them ends early, requests are not of one length.
        if all(answer["answer_tokens"] == ANSWER for answer in answers.values()):
            for name, answer in answers.items():
                found[name].append(answer)
    return found


def one(engine: Any, prompt: str) -> dict[str, Any]:
    began = time.perf_counter()
    options = GenerateOptions(max_tokens=ANSWER, temperature=0.0)
    *_, last = engine.complete(prompt, options)
    usage = last.usage
    return {
        "seconds": round(time.perf_counter() - began, 4),
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "answer_tokens": usage.completion_tokens,
        "prompt_seconds": round(usage.prompt_seconds, 4),
        "answer_seconds": round(usage.completion_seconds, 4),
    }


def rates(asked: list[dict[str, Any]]) -> tuple[float, float]:
    """Tokens a second, read and written; the first of an answer comes with its prompt."""
    reading = [(a["prompt_tokens"] - a["cached_tokens"]) / a["prompt_seconds"] for a in asked]
    writing = [(a["answer_tokens"] - 1) / a["answer_seconds"] for a in asked]
    return statistics.median(reading), statistics.median(writing)


def llama_bench(program: Path, model: Path, repetitions: int) -> dict[str, float]:
    """The same lengths by llama.cpp's own benchmark. Now and then one of its processes is a fifth
    slower from its first sample to its last, so several are asked."""

    def once(*arguments: str) -> float:
        command = [str(program), "-m", str(model), "-r", str(repetitions), "-o", "json"]
        command += ["-t", str(machine().physical_cores), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        (row,) = json.loads(done.stdout)
        return float(statistics.median(row["samples_ts"]))

    def run(*arguments: str) -> float:
        return statistics.median(once(*arguments) for _ in range(PROCESSES))

    return {
        "prefill": run("-p", str(PROMPT), "-n", "0"),
        "decode": run("-p", "0", "-n", str(ANSWER), "-d", str(PROMPT)),
    }


def draw(found: dict[str, Any]) -> None:
    known = found["table"]
    rows = [row for row in known["rows"] if row["seconds"]]
    columns = 2 if "request" in found else 1
    gain = found["request"]["after_to_before"] if "request" in found else 1 / known["gain"]
    where = found["machine"]
    fig, axes = pictures.figure(
        f"A question of {PROMPT} tokens with an answer of {ANSWER}: {gain:.2f} of the time",
        f"{known['model']} on {where['cpu']}, {where['cores']} cores, {found['measured_at']}; "
        "seconds, the less the better",
        columns=columns,
        size=(9, 4.5),
    )
    left = axes[0] if columns == 2 else axes
    reading = {row["format"]: PROMPT / row["prefill"] for row in rows}
    writing = {row["format"]: ANSWER / row["decode"] for row in rows}
    names = list(reading)
    left.bar(names, [reading[n] for n in names], 0.6, label="reading", color=pictures.ACCENT)
    drawn = left.bar(
        names,
        [writing[n] for n in names],
        0.6,
        bottom=[reading[n] for n in names],
        label="writing",
        color=pictures.PALETTE[1],
    )
    labels = [
        f"{row['seconds']:.2f} s\n"
        + (f"ppl {row['loss']['value'] * 100:+.1f} %" if row["loss"] else "")
        for row in rows
    ]
    left.bar_label(drawn, labels, size=8, padding=2)
    left.margins(y=0.18)
    left.set_title("Formats of the weights, native engine", size=10)
    left.legend(ncols=1, loc="upper center", bbox_to_anchor=(0.45, 0.98), borderaxespad=0)
    left.grid(axis="x", visible=False)
    if columns == 2:
        medians = found["request"]["median_seconds"]
        told = {
            "as installed": medians["before"],
            "native engine": medians["native"],
            f"native, {known['chosen']['format']}": medians["after"],
        }
        pictures.bars(axes[1], {"whole request": told}, form="{:.2f} s")
        axes[1].set_title("The whole request", size=10)
    pictures.save(fig, HERE / "picture.svg")


if __name__ == "__main__":
    main()

"""How long the first word takes: of a document never read, just read, read before, and after a
restart.

    .venv/bin/python benchmarks/known_documents/run.py             # --quick; --write for results
    .venv/bin/python benchmarks/known_documents/run.py --draw      # picture.svg from results.json

The model is in memory in every case; what is measured is from the request to the first word of the
answer. "Restored": other prompts have the engine's slots, and the state comes from disk; "restored,
locked": from an encrypted one. Then every question is answered once where the document has just
been read and once from its state, in another process: the answers are compared byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pictures

from ondol import encryption, keys, paths
from ondol.config import load
from ondol.database import connect
from ondol.engine.llama import LlamaEngine
from ondol.engine.pool import EnginePool, EngineSettings, ModelSpec
from ondol.engine.running import Running
from ondol.engine.states import folder
from ondol.lab.measuring.windows import plain_text
from ondol.models.hardware import machine
from ondol.models.store import ModelStore
from ondol.types import GenerateOptions, Message

HERE = Path(__file__).parent
# Where the models are before the benchmark has a home of its own.
MODELS = load().models_dir
MODEL = "smollm2:135m"
LENGTHS = (400, 1500)
CASES = ("cold", "warm", "restored", "restored, locked", "after restart")
TARGET = 0.05
INSTRUCTIONS = "Answer from the document below only."
QUESTIONS = (
    "What is this about?",
    "Who is named?",
    "Summarise it in one sentence.",
    "Why does it matter?",
    "List three facts.",
    "How does it begin?",
    "Is a year mentioned?",
    "Name a place.",
)
# Twice as many as there are slots, with nothing in common.
OTHERS = ("Bake bread, please.", "Translate: good night.", "12 + 30 =", "Sing.")


class Bench:
    """One model; a pool at a time, as one process is after another."""

    def __init__(self, runtime: str) -> None:
        store = ModelStore(MODELS)
        model = store.get(MODEL)
        self._file, self._size, self._runtime = store.path(model), model.size_bytes, runtime

    @contextmanager
    def engine(self, states_mb: int = 512) -> Iterator[LlamaEngine]:
        running = Running(states_folder=folder.given(states_mb))
        spec = ModelSpec(
            MODEL, self._file, "sha256:bench", self._size, "chat", 8192, running=running
        )
        settings = EngineSettings(runtime=self._runtime, num_ctx=2048, states_mb=states_mb)
        with EnginePool(settings, lambda name: spec) as pool:
            engine = pool.engine(MODEL)
            engine.load()
            # A process answers its first request more slowly than the others.
            answered(engine, [Message("user", "Hello.")], 1)
            yield engine


def answered(
    engine: LlamaEngine, messages: list[Message], num_tokens: int = 24
) -> tuple[float, str, int]:
    """Seconds to the first word, the text, and how many tokens of the prompt had been read."""
    started, first, said, cached = time.perf_counter(), None, [], 0
    for token in engine.generate(messages, GenerateOptions(num_tokens, temperature=0)):
        if first is None and token.text:
            first = time.perf_counter() - started
        said.append(token.text)
        cached = token.usage.cached_tokens if token.usage else cached
    return first or time.perf_counter() - started, "".join(said), cached


def document(engine: LlamaEngine, num_tokens: int, begin: str = "") -> Message:
    """A system message of about ``num_tokens`` tokens."""
    tokens = engine.tokenize(plain_text())
    while len(tokens) < num_tokens:
        tokens += tokens
    text = engine.detokenize(tokens[: num_tokens - 20])
    return Message("system", f"{begin}{INSTRUCTIONS}\n\n{text}")


def first_words(bench: Bench, num_tokens: int, reps: int, cold_reps: int) -> dict[str, Any]:
    """The seconds of every case, for a document of so many tokens."""
    found: dict[str, list[float]] = {case: [] for case in CASES}
    with bench.engine(0) as engine:
        for number in range(cold_reps):
            fresh = document(engine, num_tokens, f"{number}{number} ")
            found["cold"].append(ask(engine, fresh, 0, reads_all=True))
            found["warm"].append(ask(engine, fresh, 1))
            found["warm"].append(ask(engine, fresh, 2))
        told = document(engine, num_tokens)
    with bench.engine() as engine:
        saved = engine.prepare([told], pin="bench")
        for number in range(reps):
            occupy(engine)
            found["restored"].append(ask(engine, told, number))
    for number in range(max(2, reps // 2)):
        with bench.engine() as engine:
            found["after restart"].append(ask(engine, told, number))
    with locked_library(), bench.engine() as engine:
        engine.prepare([told], pin="bench")
        for number in range(reps):
            occupy(engine)
            found["restored, locked"].append(ask(engine, told, number))
    folder.erase()
    medians = {case: statistics.median(seconds) for case, seconds in found.items()}
    return {
        "tokens": saved.tokens,
        "state_bytes": saved.size_bytes,
        "seconds": {case: round(median, 4) for case, median in medians.items()},
        "of_cold": {case: round(s / medians["cold"], 4) for case, s in medians.items()},
        "all": {case: [round(s, 4) for s in seconds] for case, seconds in found.items()},
    }


def ask(engine: LlamaEngine, told: Message, number: int, *, reads_all: bool = False) -> float:
    question = QUESTIONS[number % len(QUESTIONS)]
    seconds, _, cached = answered(engine, [told, Message("user", question)], 2)
    if reads_all != (cached < 32):
        raise SystemExit(f"{cached} tokens had been read: that is another case")
    return seconds


def occupy(engine: LlamaEngine) -> None:
    """Give the engine's slots other prompts."""
    for other in OTHERS:
        answered(engine, [Message("system", other), Message("user", other)], 1)


@contextmanager
def locked_library() -> Iterator[None]:
    connect(paths.database_file()).close()
    encryption.lock(paths.database_file(), "a passphrase of a benchmark")
    try:
        yield
    finally:
        encryption.unlock(paths.database_file())
        keys.forget_all()


def same(bench: Bench, num_tokens: int, questions: tuple[str, ...]) -> dict[str, int]:
    """How many answers are the same, byte for byte, where the document has just been read, from its
    state, and where it is read in one piece with the question."""
    just_read, restored, in_one = [], [], []
    with bench.engine(0) as engine:
        told = document(engine, num_tokens)
        for question in questions:
            occupy(engine)
            engine.prepare([told], pin="bench")
            just_read.append(answered(engine, [told, Message("user", question)])[1])
            occupy(engine)
            in_one.append(answered(engine, [told, Message("user", question)])[1])
    with bench.engine() as engine:
        engine.prepare([told], pin="bench")
    with bench.engine() as engine:
        for question in questions:
            occupy(engine)
            restored.append(answered(engine, [told, Message("user", question)])[1])
    folder.erase()
    return {
        "questions": len(questions),
        "same_as_just_read": sum(a == b for a, b in zip(just_read, restored, strict=True)),
        "same_as_in_one_piece": sum(a == b for a, b in zip(in_one, restored, strict=True)),
    }


def draw(results: dict[str, Any]) -> None:
    lengths = results["lengths"]
    worst = max(one["of_cold"]["restored"] for one in lengths.values())
    fig, ax = pictures.figure(
        f"A document read before begins to answer in {worst:.1%} of the time or less",
        f"seconds to the first word, {results['model']}, {results['cpu']}",
    )
    series = {
        case: {f"{length} tokens": one["seconds"][case] for length, one in lengths.items()}
        for case in CASES
    }
    colours = dict(zip(CASES, (pictures.YARDSTICK, *pictures.PALETTE), strict=False))
    pictures.bars(ax, series, unit="seconds, logarithmic", form="{:.2f}", colours=colours)
    ax.set_yscale("log")
    pictures.save(fig, HERE / "picture.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--write", action="store_true", help="write results.json and picture.svg")
    parser.add_argument("--draw", action="store_true", help="only draw results.json")
    parser.add_argument("--runtime", default="bundled", help="bundled, auto, or a llama-server")
    given = parser.parse_args()
    file = HERE / "results.json"
    if given.draw:
        draw(json.loads(file.read_text("utf-8")))
        return
    bench = Bench(given.runtime)
    reps, cold_reps = (3, 1) if given.quick else (8, 3)
    lengths = {str(n): first_words(bench, n, reps, cold_reps) for n in LENGTHS}
    results = {
        "date": str(date.today()),
        "ondol": version("ondol"),
        "runtime": f"xllamacpp {version('xllamacpp')}"
        if given.runtime == "bundled"
        else "a native llama-server",
        "model": MODEL,
        "cpu": machine().cpu,
        "lengths": lengths,
        "answers": same(bench, LENGTHS[0], QUESTIONS[: 3 if given.quick else None]),
        "target": TARGET,
    }
    print(json.dumps(results, indent=2))
    for length, one in lengths.items():
        held = all(one["of_cold"][case] <= TARGET for case in CASES[2:])
        print(f"{length}: {'holds' if held else 'DOES NOT HOLD'}", one["of_cold"], file=sys.stderr)
    if given.write:
        file.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
        draw(results)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["ONDOL_HOME"] = home
        main()

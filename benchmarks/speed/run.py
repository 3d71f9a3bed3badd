"""What does Ondol add? To the engine's time, to the embedder's, and to starting Python.

Every figure is measured beside its yardstick in the same run, and given as a ratio of medians.
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
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from ondol import __version__, config
from ondol.ask import ask
from ondol.database import IN_MEMORY
from ondol.parts import Parts
from ondol.prompt import build_prompt
from ondol.retrieval import chunking, loaders
from ondol.retrieval.embedding import PassageVectors
from ondol.retrieval.library import Library
from ondol.types import Answer

HERE = Path(__file__).parent
WORDS = (
    "contract boiler harvest ledger treaty engine river patient invoice garden archive protein "
    "lease theorem kettle border vaccine orchard verdict satellite mortar sonata reactor glacier"
).split()


def write_corpus(folder: Path, chunks: int, seed: int = 0) -> None:
    """About ``chunks`` chunks of made-up English prose, twenty to a file."""
    chooser = random.Random(seed)
    places = [f"{a}{b}" for a in ("Nor", "Sal", "Vel", "Kam", "Tor") for b in ("ley", "ow", "ick")]
    for number in range(chunks // 20):
        paragraphs = []
        for _ in range(20):
            sentences = [
                f"The {chooser.choice(WORDS)} of {chooser.choice(places)} was "
                f"{chooser.choice(['checked', 'signed', 'moved', 'found'])} in "
                f"{chooser.randint(1800, 2030)} by the {chooser.choice(WORDS)} office, which kept "
                f"{chooser.randint(2, 900)} records of every {chooser.choice(WORDS)}."
                for _ in range(6)
            ]
            paragraphs.append(" ".join(sentences))
        (folder / f"note-{number:04}.txt").write_text("\n\n".join(paragraphs), "utf-8")


def cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def ingest_and_search(parts: Parts, chunks: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_corpus(folder, chunks)
        library = parts.open_library(IN_MEMORY)
        parts.embedder.embed(["warm"], input_type="query")
        reports: list[Any] = []
        ours = cpu_seconds(lambda: reports.append(library.add([folder])))
        texts = [
            passage.chunk.text
            for file in sorted(folder.iterdir())
            for passage in chunking.chunk(loaders.load(file, max_bytes=1 << 30))
        ]
        plain = cpu_seconds(lambda: plain_onnxruntime(parts, texts))
    count = reports[0].chunks
    parts.use_library(library)
    return {
        "chunks": count,
        "chunks_per_cpu_second": round(count / ours, 1),
        "plain_onnxruntime_chunks_per_cpu_second": round(len(texts) / plain, 1),
        "ratio_to_plain_onnxruntime": round((count / ours) / (len(texts) / plain), 3),
        **search_times(parts),
    }


class MadeUpVectors:
    """An embedder that reads questions, and gives what it should embed made-up vectors at once."""

    def __init__(self, embedder: Any) -> None:
        import numpy as np

        self._embedder = embedder
        self._chooser = np.random.default_rng(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def embed_passages(self, texts: list[str], spans: list[Any]) -> list[PassageVectors]:
        return [PassageVectors(self._draw(1)[0], self._draw(len(own))) for own in spans]

    def _draw(self, count: int) -> Any:
        import numpy as np

        drawn = self._chooser.standard_normal((count, self._embedder.dimensions))
        return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def search_alone(parts: Parts, chunks: int) -> dict[str, Any]:
    """Search and evidence times without embedding ``chunks`` passages for minutes."""
    with tempfile.TemporaryDirectory() as name:
        write_corpus(Path(name), chunks)
        library = Library(IN_MEMORY, MadeUpVectors(parts.embedder))
        report = library.add([Path(name)])
    parts.use_library(library)
    return {"chunks": report.chunks, **search_times(parts)}


def plain_onnxruntime(parts: Parts, texts: list[str]) -> None:
    """The same model over the same texts with nothing around it: tokenize, pad, run, pool."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    model = parts.store.get(parts.config["models.embedding"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(str(parts.store.path(model, "graph")), options)
    tokenizer = Tokenizer.from_file(str(parts.store.path(model, "tokenizer")))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(256)
    for start in range(0, len(texts), 32):
        encodings = tokenizer.encode_batch(texts[start : start + 32])
        ids = np.array([e.ids for e in encodings])
        mask = np.array([e.attention_mask for e in encodings])
        states = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        (states * mask[..., None]).sum(axis=1)


def search_times(parts: Parts) -> dict[str, float]:
    chooser = random.Random(1)
    questions = [
        f"When was the {chooser.choice(WORDS)} of Salow moved "
        f"by the {chooser.choice(WORDS)} office?"
        for _ in range(100)
    ]
    parts.library.evidence(questions[0])
    found = {}
    for name, work in (("search", parts.library.search), ("evidence", parts.library.evidence)):
        cpu = time.process_time()
        times = sorted(elapsed(lambda q=q, work=work: work(q)) for q in questions)
        found[f"{name}_p50_ms"] = round(1000 * statistics.median(times), 1)
        found[f"{name}_p95_ms"] = round(1000 * times[94], 1)
        found[f"{name}_cpu_ms"] = round(1000 * (time.process_time() - cpu) / len(questions), 1)
    return found


def elapsed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def overhead(parts: Parts, rounds: int) -> dict[str, float]:
    """ask's time beyond retrieval, beside the engine alone on the same prompt, in turn."""
    question = "When was the boiler of Salow checked by the ledger office?"
    evidence = parts.library.evidence(question)
    manner = parts.manner()
    prompt = build_prompt(question, manner.given(evidence.quotes), template=manner.template)
    engine = parts.engine()

    def alone() -> None:
        for _ in engine.generate(prompt, manner.options):
            pass

    def asked() -> Iterator[float]:
        *_, answer = ask(question, parts)
        assert isinstance(answer, Answer)
        yield answer.seconds.total - answer.seconds.retrieve

    alone()
    engine_times, ask_times = [], []
    for _ in range(rounds):
        engine_times.append(elapsed(alone))
        ask_times.extend(asked())
    ratio = statistics.median(ask_times) / statistics.median(engine_times)
    return {
        "engine_seconds": round(statistics.median(engine_times), 3),
        "ask_seconds_beyond_retrieval": round(statistics.median(ask_times), 3),
        "ratio": round(ratio, 3),
    }


def start_up(rounds: int) -> dict[str, float]:
    """``ondol --help`` beside ``python -c "import click"``."""
    commands = {
        "help": [sys.executable, "-m", "ondol", "--help"],
        "click": [sys.executable, "-c", "import click"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            run = lambda c=command: subprocess.run(c, check=True, capture_output=True)  # noqa: E731
            times[name].append(elapsed(run))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "help_seconds": round(medians["help"], 3),
        "import_click_seconds": round(medians["click"], 3),
        "ratio": round(medians["help"] / medians["click"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument(
        "--search-alone", action="store_true", help="with made-up vectors: a minute"
    )
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "cores": len(os.sched_getaffinity(0)),
        "load_at_start": round(os.getloadavg()[0], 2),
    }
    with Parts(config.load()) as parts:
        if arguments.search_alone:
            results["search"] = search_alone(parts, arguments.chunks)
        else:
            results["start_up"] = start_up(arguments.rounds)
            results["library"] = ingest_and_search(parts, arguments.chunks)
            results["ask"] = overhead(parts, arguments.rounds)
    print(json.dumps(results, indent=2))
    if arguments.write:
        kept = "search.json" if arguments.search_alone else "results.json"
        (HERE / kept).write_text(json.dumps(results, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()

"""How fast do documents come in? Chunks per second and per CPU-second, beside Chroma's own ingest
of the same chunks with the same embedding function."""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from ondol import __version__, config
from ondol.parts import Parts
from ondol.retrieval import chunking, loaders

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
WORDS = (
    "contract boiler harvest ledger treaty engine river patient invoice garden archive protein "
    "lease theorem kettle border vaccine orchard verdict satellite mortar sonata reactor glacier"
).split()


def write_corpus(folder: Path, files: int) -> None:
    """Notes of very different lengths, as they are: one sentence to some pages."""
    chooser = random.Random(0)
    for number in range(files):
        paragraphs = [
            " ".join(
                f"The {chooser.choice(WORDS)} of {chooser.randint(1800, 2030)} was kept by the "
                f"{chooser.choice(WORDS)} office with {chooser.randint(2, 900)} records."
                for _ in range(chooser.randint(1, 8))
            )
            for _ in range(chooser.choice([1, 1, 2, 5, 20]))
        ]
        (folder / f"note-{number:05}.txt").write_text("\n\n".join(paragraphs), "utf-8")


def chunk_texts(folder: Path) -> list[str]:
    return [
        passage.chunk.text
        for file in sorted(folder.iterdir())
        for passage in chunking.chunk(loaders.load(file, max_bytes=1 << 30))
    ]


def cpu_seconds() -> float:
    """Of this process and of the readers it started and waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure_ondol(parts: Parts, folder: Path, database: Path) -> dict[str, Any]:
    library = parts.open_library(database)
    started, cpu = time.perf_counter(), cpu_seconds()
    report = library.add([folder])
    seconds, cpu = time.perf_counter() - started, cpu_seconds() - cpu
    again = time.perf_counter()
    library.add([folder])
    again = time.perf_counter() - again
    library.close()
    result = rates(report.chunks, seconds, cpu)
    return {**result, "second_run_share": round(again / seconds, 4)}


def measure_embedder(parts: Parts, texts: list[str]) -> dict[str, Any]:
    """The embedder alone, as the bound of what can be."""
    started, cpu = time.perf_counter(), time.process_time()
    for begin in range(0, len(texts), 64):
        parts.embedder.embed(texts[begin : begin + 64], input_type="document")
    return rates(len(texts), time.perf_counter() - started, time.process_time() - cpu)


def rates(chunks: int, seconds: float, cpu: float) -> dict[str, Any]:
    return {
        "chunks": chunks,
        "chunks_per_second": round(chunks / seconds, 1),
        "chunks_per_cpu_second": round(chunks / cpu, 1),
    }


def measure_chroma(python: Path, files: list[Path]) -> dict[str, Any]:
    command = [str(python), str(HERE / "chroma_ingest.py"), *map(str, files)]
    environ = {**os.environ, "ANONYMIZED_TELEMETRY": "False", "DO_NOT_TRACK": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    try:
        told = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return {"error": (done.stderr.strip().splitlines() or ["?"])[-1][:300]}
    return rates(told["chunks"], told["seconds"], told["cpu_seconds"])


def install_chroma(folder: Path) -> tuple[Path, str]:
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    command = [str(python), "-m", "pip", "install", "-q", "chromadb", "onnxruntime<1.29"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = (done.stderr.strip().splitlines() or ["?"])[-1][:200]
    return python, last if done.returncode else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--write", action="store_true", help="keep results.json")
    given = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {"ondol": [], "embedder alone": [], "chroma": []}
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "version": __version__,
        "cpus": len(os.sched_getaffinity(0)),
        "load_at_start": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory() as name, Parts(config.load()) as parts:
        folder = Path(name) / "notes"
        folder.mkdir()
        write_corpus(folder, given.files)
        texts = chunk_texts(folder)
        texts_file = Path(name) / "texts.json"
        texts_file.write_text(json.dumps(texts), "utf-8")
        model = parts.store.get(parts.config["models.embedding"])
        files = [parts.store.path(model, role) for role in ("graph", "tokenizer")]
        python, missing = Path(), "--no-peers"
        if not given.no_peers:
            python, missing = install_chroma(Path(name) / "peers")
        results["not_installed"] = missing
        parts.embedder.embed(["warm"], input_type="query")
        for number in range(given.runs):
            runs["ondol"].append(measure_ondol(parts, folder, Path(name) / f"{number}.db"))
            runs["embedder alone"].append(measure_embedder(parts, texts))
            if not missing:
                runs["chroma"].append(measure_chroma(python, [SOURCE, texts_file, *files]))
    for engine, each in runs.items():
        if each:
            keys = each[0].keys()
            results[engine] = {
                k: statistics.median(r[k] for r in each) if k != "error" else each[0][k]
                for k in keys
            }
            print(f"{engine:<16} {json.dumps(results[engine])}", flush=True)
    results["load_at_end"] = os.getloadavg()[0]
    if given.write:
        (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()

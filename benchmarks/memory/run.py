"""Is the memory estimate right? Estimate beside the engine's real RSS.

    python benchmarks/memory/run.py [MODEL.gguf] [--quick] [--write]

Each row is one child process that loads a model, answers one request, then reads a prompt longer
than a micro-batch; its RSS is read from outside after each, and the child is killed. What it says
itself of its KV cache stands beside the computed size. ``--draw`` draws picture.svg again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pictures
from synthetic import SHAPES, write

from ondol.config import load
from ondol.models.gguf import read_header
from ondol.models.memory import memory_need
from ondol.models.store import ModelStore

HERE = Path(__file__).parent
CONTEXTS = (1024, 4096, 8192)


@dataclass(frozen=True, slots=True)
class Case:
    """One child to measure; ``num_ctx`` is what each of ``num_parallel`` requests may use."""

    name: str
    model: str
    num_ctx: int
    num_parallel: int = 1
    cache_type: str = "f16"


@dataclass(frozen=True, slots=True)
class Row:
    """Bytes: the estimate, and what the child really held."""

    name: str
    num_ctx: int
    num_parallel: int
    cache_type: str
    weights: int
    kv_cache: int
    kv_cache_told: int
    overhead: int
    reclaimable: int
    estimate_rss: int
    rss_after_one_request: int
    rss_after_long_prompt: int

    @property
    def error(self) -> float:
        """Relative to the RSS after a long prompt."""
        return self.estimate_rss / self.rss_after_long_prompt - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", help="a GGUF file; by default the default model")
    parser.add_argument("--quick", action="store_true", help="the three context sizes only")
    parser.add_argument("--write", action="store_true", help="write results.json")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--draw", action="store_true", help="picture.svg from results.json")
    arguments = parser.parse_args()
    if arguments.draw:
        draw(json.loads((HERE / "results.json").read_text()))
        return
    model = arguments.model or default_model()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(model, Path(folder), quick=arguments.quick):
            rows.append(measure(case))
            if not arguments.json:
                print(line(rows[-1]), flush=True)
    results = [{**asdict(row), "error": round(row.error, 4)} for row in rows]
    if arguments.json:
        print(json.dumps(results))
    if arguments.write:
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        draw(results)


def default_model() -> str:
    store = ModelStore(load().models_dir)
    return str(store.path(store.get("smollm2:135m")))


def cases(model: str, folder: Path, *, quick: bool) -> Iterator[Case]:
    for num_ctx in CONTEXTS:
        yield Case("default model", model, num_ctx)
    if quick:
        return
    yield Case("default model", model, 4096, num_parallel=2)
    for cache_type in ("q8_0", "q5_0", "q4_0"):
        yield Case("default model", model, 4096, cache_type=cache_type)
    yield Case("default model", model, 8192, num_parallel=2, cache_type="q8_0")
    for shape in SHAPES:
        file = folder / "synthetic.gguf"
        write(shape, file)
        yield Case(shape.name, str(file), 4096)
        if shape.window:
            for cache_type in ("f16", "q8_0", "q4_0"):
                yield Case(shape.name, str(file), 32_768, cache_type=cache_type)


def measure(case: Case) -> Row:
    header = read_header(Path(case.model))
    need = memory_need(
        header, case.num_ctx, num_parallel=case.num_parallel, cache_type=case.cache_type
    )
    with tempfile.TemporaryFile("w+") as log:
        with child(case, log) as process:
            rss_after_one_request = rss_when(process, "one request")
            rss_after_long_prompt = rss_when(process, "long prompt")
        log.seek(0)
        told = re.findall(r"KV buffer size = +([\d.]+) MiB", log.read())
    return Row(
        case.name,
        case.num_ctx,
        case.num_parallel,
        case.cache_type,
        need.weights_bytes,
        need.kv_cache_bytes,
        round(sum(map(float, told)) * 2**20),
        need.overhead_bytes,
        need.reclaimable_bytes,
        need.rss_bytes,
        rss_after_one_request,
        rss_after_long_prompt,
    )


@contextmanager
def child(case: Case, log: IO[str]) -> Iterator[subprocess.Popen[str]]:
    # OpenMP reads this when it is loaded; without it a busy machine slows the engine tenfold.
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, str(HERE / "serve.py"), json.dumps(asdict(case))]
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        yield process
    finally:
        # Destroying a server right after its start can hang, so it is never asked to end.
        process.kill()
        process.communicate()


def rss_when(process: subprocess.Popen[str], stage: str) -> int:
    """The child's RSS at the moment it says that it reached ``stage``; then let it go on."""
    import psutil

    assert process.stdin and process.stdout
    for said in process.stdout:
        if said.strip() == stage:
            rss: int = psutil.Process(process.pid).memory_info().rss
            process.stdin.write("go on\n")
            process.stdin.flush()
            return rss
    raise SystemExit(f"the engine ended before: {stage} (exit {process.wait()})")


def draw(rows: list[dict[str, Any]]) -> None:
    """The cache of the default model and of one with sliding windows, by type."""
    mib = 2**20
    fig, axes = pictures.figure(
        "A smaller cache type frees what ondol ps says it frees",
        "MiB of a real engine process, one slot; the cache as computed, and as llama.cpp has it",
        columns=2,
        size=(9, 4.5),
    )
    shown = (("default model", 4096), ("sliding windows", 32_768))
    for ax, (name, num_ctx) in zip(axes, shown, strict=True):
        found = {
            row["cache_type"]: row
            for row in rows
            if (row["name"], row["num_ctx"], row["num_parallel"]) == (name, num_ctx, 1)
        }
        series = {
            "KV cache": {kind: row["kv_cache"] / mib for kind, row in found.items()},
            "RSS": {kind: row["rss_after_long_prompt"] / mib for kind, row in found.items()},
        }
        pictures.bars(ax, series, unit="MiB", colours={"RSS": pictures.YARDSTICK})
        ax.set_xlabel(f"{name}, {num_ctx:,} tokens")
    pictures.save(fig, HERE / "picture.svg")


def line(row: Row) -> str:
    mib = 2**20
    return (
        f"{row.name:36} ctx {row.num_ctx:5} x{row.num_parallel} {row.cache_type:5} "
        f"cache {row.kv_cache / mib:6.1f} (told {row.kv_cache_told / mib:6.1f}) "
        f"estimate {row.estimate_rss / mib:7.1f} MiB, RSS {row.rss_after_one_request / mib:7.1f} "
        f"then {row.rss_after_long_prompt / mib:7.1f}  ({row.error:+.1%})"
    )


if __name__ == "__main__":
    main()

"""How fast is one vector search, how near to exact, in how much memory?

Ondol's index beside a float32 scan with numpy, Chroma and LanceDB, on the same vectors and the same
processors in the same run. The peers are installed into a temporary environment, when that can be.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from ondol import __version__

HERE = Path(__file__).parent
DIMENSIONS = 384
LIMIT = 10
OURS = ("ondol", "ondol exact", "numpy float32")
PEERS = {"chroma": "chromadb", "lancedb flat": "lancedb", "lancedb ivf_hnsw_sq": "lancedb"}
BLOCK = 20_000


def topics() -> tuple[np.ndarray, np.ndarray]:
    """3000 topics in 60 fields, not around the origin, and the few directions that texts differ in
    within a topic: the shape of real embeddings (see the README for how near)."""
    random = np.random.default_rng(1)
    fields = random.normal(size=(60, DIMENSIONS))
    centres = fields[random.integers(0, 60, 3000)] + 0.8 * random.normal(size=(3000, DIMENSIONS))
    return centres + 0.3, random.normal(size=(48, DIMENSIONS)) / 7


def draw(random: np.random.Generator, count: int) -> np.ndarray:
    centres, directions = topics()
    rows = centres[random.integers(0, len(centres), count)]
    rows = rows + random.normal(size=(count, len(directions))) @ directions
    rows += 0.5 * random.normal(size=(count, DIMENSIONS))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16)


def write_data(folder: Path, sizes: list[int], queries: int) -> None:
    """Vectors as a library stores them, queries that are none of them, and for each size the true
    nearest by a float32 scan."""
    total = max(sizes)
    shape = (total, DIMENSIONS)
    file = folder / "vectors.npy"
    vectors = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
    asked = draw(np.random.default_rng(2), queries).astype(np.float32)
    np.save(folder / "queries.npy", asked)
    best = np.zeros((0, queries))
    ids = np.zeros((0, queries), dtype=np.int64)
    bounds = sorted({*range(0, total, BLOCK), *sizes, total})
    for begin, end in itertools.pairwise(bounds):
        vectors[begin:end] = draw(np.random.default_rng(begin + 3), end - begin)
        scores = np.concatenate([best, vectors[begin:end].astype(np.float32) @ asked.T])
        numbers = np.repeat(np.arange(begin, end)[:, np.newaxis], queries, axis=1)
        numbers = np.concatenate([ids, numbers])
        order = np.argsort(-scores, axis=0, kind="stable")[:LIMIT]
        best = np.take_along_axis(scores, order, axis=0)
        ids = np.take_along_axis(numbers, order, axis=0)
        if end in sizes:
            np.save(folder / f"truth-{end}.npy", ids.T)
    vectors.flush()


def install_peers(folder: Path) -> tuple[Path, dict[str, str]]:
    """The Python of an environment with the peers, and why one of them is not in it."""
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    missing = {}
    for package in sorted(set(PEERS.values())):
        command = [str(python), "-m", "pip", "install", "-q", package]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            missing[package] = (done.stderr.strip().splitlines() or ["?"])[-1][:200]
    return python, missing


def measure(python: Path, name: str, data: Path, size: int) -> dict[str, Any]:
    environ = {**os.environ, "ANONYMIZED_TELEMETRY": "False", "DO_NOT_TRACK": "1"}
    command = [str(python), str(HERE / "engines.py"), name, str(data), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    try:
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))
    except (IndexError, ValueError):
        return {"error": (done.stderr.strip().splitlines() or ["?"])[-1][:300]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--peer-max", type=int, default=1_000_000, help="largest size for peers")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--write", action="store_true", help="keep results.json")
    given = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.cpus])
    versions = {"ondol": __version__, "numpy": np.__version__}
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "cpus": given.cpus,
        "queries": given.queries,
        "load_at_start": os.getloadavg()[0],
        "versions": versions,
        "sizes": {},
    }
    with tempfile.TemporaryDirectory() as name:
        data, python = Path(name), Path(sys.executable)
        write_data(data, given.sizes, given.queries)
        peers, missing = data / "none", dict.fromkeys(PEERS.values(), "--no-peers")
        if not given.no_peers:
            peers, missing = install_peers(data / "peers")
        results["not_installed"] = missing
        for package in set(PEERS.values()) - set(missing):
            command = [str(peers), "-m", "pip", "show", package]
            shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            versions[package] = shown.splitlines()[1].partition(" ")[2]
        for size in sorted(given.sizes):
            found = results["sizes"][str(size)] = {}
            engines = [(python, name) for name in OURS]
            if size <= given.peer_max:
                engines += [(peers, n) for n, package in PEERS.items() if package not in missing]
            for interpreter, engine in engines:
                found[engine] = measure(interpreter, engine, data, size)
                print(f"{size:>9,} {engine:<20} {json.dumps(found[engine])}", flush=True)
    results["load_at_end"] = os.getloadavg()[0]
    if given.write:
        (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()

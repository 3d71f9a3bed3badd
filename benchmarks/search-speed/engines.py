"""One engine, one size, in a process of its own: fill it, ask it, and say what that took.

Runs with Ondol's Python or with that of the peers' environment; needs nothing but numpy and the
engine. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 5000
LIMIT = 10
WARM = 10

Search = Callable[[np.ndarray], list[int]]


def ondol(vectors: np.ndarray, folder: Path) -> Search:
    return _ondol(vectors, exact_chunks=200_000)


def ondol_exact(vectors: np.ndarray, folder: Path) -> Search:
    return _ondol(vectors, exact_chunks=1 << 40)


def _ondol(vectors: np.ndarray, exact_chunks: int) -> Search:
    from ondol.retrieval.vectors.ann import ApproximateIndex

    index = ApproximateIndex(vectors.shape[1], exact_chunks=exact_chunks)
    for begin in range(0, len(vectors), BATCH):
        part = np.array(vectors[begin : begin + BATCH])
        index.add(np.arange(begin, begin + len(part)), part)
    index.wait()
    return lambda query: [i for i, _ in index.search(query, LIMIT)]


def numpy_float32(vectors: np.ndarray, folder: Path) -> Search:
    matrix = np.empty(vectors.shape, dtype=np.float32)
    for begin in range(0, len(vectors), BATCH):
        matrix[begin : begin + BATCH] = vectors[begin : begin + BATCH]

    def search(query: np.ndarray) -> list[int]:
        scores = matrix @ query
        best = np.argpartition(-scores, LIMIT)[:LIMIT]
        return [int(i) for i in best[np.argsort(-scores[best])]]

    return search


def chroma(vectors: np.ndarray, folder: Path) -> Search:
    import chromadb

    client = chromadb.PersistentClient(path=str(folder))
    settings = {"hnsw": {"space": "cosine"}}
    collection = client.create_collection(
        "vectors", configuration=settings, embedding_function=None
    )
    for begin in range(0, len(vectors), BATCH):
        part = vectors[begin : begin + BATCH].astype(np.float32)
        ids = [str(i) for i in range(begin, begin + len(part))]
        collection.add(ids=ids, embeddings=part)

    def search(query: np.ndarray) -> list[int]:
        found = collection.query(query_embeddings=[query], n_results=LIMIT, include=[])
        return [int(i) for i in found["ids"][0]]

    return search


def lancedb_flat(vectors: np.ndarray, folder: Path) -> Search:
    table = _lance_table(vectors, folder)

    def search(query: np.ndarray) -> list[int]:
        asked = table.search(query).distance_type("cosine").select(["id"]).limit(LIMIT)
        return [int(row["id"]) for row in asked.to_list()]

    return search


def lancedb_index(vectors: np.ndarray, folder: Path) -> Search:
    table = _lance_table(vectors, folder)
    table.create_index(metric="cosine", vector_column_name="vector", index_type="IVF_HNSW_SQ")

    def search(query: np.ndarray) -> list[int]:
        asked = table.search(query).distance_type("cosine").select(["id"]).limit(LIMIT)
        return [int(row["id"]) for row in asked.refine_factor(4).to_list()]

    return search


def _lance_table(vectors: np.ndarray, folder: Path) -> Any:
    import lancedb
    import pyarrow as pa

    dimensions = vectors.shape[1]
    kind = pa.list_(pa.float32(), dimensions)
    schema = pa.schema([("id", pa.int64()), ("vector", kind)])

    def batches() -> Any:
        for begin in range(0, len(vectors), BATCH):
            part = vectors[begin : begin + BATCH].astype(np.float32)
            column = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), dimensions)
            ids = pa.array(range(begin, begin + len(part)))
            yield pa.RecordBatch.from_arrays([ids, column], schema=schema)

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    return lancedb.connect(str(folder)).create_table("t", reader)


ENGINES: dict[str, Callable[[np.ndarray, Path], Search]] = {
    "ondol": ondol,
    "ondol exact": ondol_exact,
    "numpy float32": numpy_float32,
    "chroma": chroma,
    "lancedb flat": lancedb_flat,
    "lancedb ivf_hnsw_sq": lancedb_index,
}


def resident_mb() -> float:
    """What the process itself holds; pages of the file of vectors do not count."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def main(name: str, data: Path, count: int) -> None:
    vectors = np.load(data / "vectors.npy", mmap_mode="r")[:count]
    queries = np.load(data / "queries.npy")
    truth = np.load(data / f"truth-{count}.npy")
    before = resident_mb()
    with tempfile.TemporaryDirectory() as folder:
        started, cpu = time.perf_counter(), time.process_time()
        search = ENGINES[name](vectors, Path(folder))
        fill_seconds, fill_cpu = time.perf_counter() - started, time.process_time() - cpu
        for query in queries[:WARM]:
            search(query)
        milliseconds, found, cpu = [], [], time.process_time()
        for query in queries:
            started = time.perf_counter()
            found.append(search(query))
            milliseconds.append(1000 * (time.perf_counter() - started))
        search_cpu = time.process_time() - cpu
    hits = [len(set(ids) & set(best.tolist())) for ids, best in zip(found, truth, strict=True)]
    result = {
        "p50_ms": round(float(np.percentile(milliseconds, 50)), 2),
        "p95_ms": round(float(np.percentile(milliseconds, 95)), 2),
        "cpu_ms": round(1000 * search_cpu / len(queries), 2),
        "recall_at_10": round(sum(hits) / (LIMIT * len(queries)), 4),
        "memory_mb": round(resident_mb() - before, 1),
        "fill_seconds": round(fill_seconds, 2),
        "fill_cpu_seconds": round(fill_cpu, 2),
    }
    print(json.dumps(result), flush=True)
    # Some engines' threads would keep the process alive.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))

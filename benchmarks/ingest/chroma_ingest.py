"""Chroma's own ingest of chunk texts, with Ondol's embedder as its embedding function.

Runs in Chroma's environment; what it takes of Ondol needs only what Chroma has anyway. Prints one
JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import chromadb
import numpy as np

BATCH = 64


def main(source: Path, texts_file: Path, graph: Path, tokenizer: Path) -> None:
    sys.path.insert(0, str(source))
    from ondol.retrieval.embedding import OnnxEmbedder

    embedder = OnnxEmbedder("same", graph, tokenizer)

    class Same(chromadb.EmbeddingFunction):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

        def __call__(self, input: list[str]) -> Any:
            return list(np.asarray(embedder.embed(input)))

    texts = json.loads(texts_file.read_text("utf-8"))
    embedder.embed(["warm"])
    with tempfile.TemporaryDirectory() as folder:
        client = chromadb.PersistentClient(path=folder)
        collection = client.create_collection("chunks", embedding_function=Same())
        started, cpu = time.perf_counter(), time.process_time()
        for begin in range(0, len(texts), BATCH):
            some = texts[begin : begin + BATCH]
            collection.add(ids=[str(begin + i) for i in range(len(some))], documents=some)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    print(json.dumps({"chunks": len(texts), "seconds": seconds, "cpu_seconds": cpu_seconds}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

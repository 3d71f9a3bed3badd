"""kill -9 in the middle of ``add``, at a random moment, and a look at what is left.

Used by the test (a few points) and by benchmarks/kill/ingest.py (many).
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from ondol import database
from ondol.database import Connection

CHILD = """
import sys
from pathlib import Path
from ondol.retrieval.embedding import OnnxEmbedder
from ondol.retrieval import ingest
from ondol.retrieval.library import Library

ingest.BATCH_CHUNKS = 4
embedder = OnnxEmbedder("all-minilm:l6-v2", Path(sys.argv[3]), Path(sys.argv[4]))
library = Library(Path(sys.argv[1]), embedder)
print("ready", flush=True)
library.add([Path(sys.argv[2])], on_progress=lambda p: print(p.outcome, p.source, flush=True))
print("done", flush=True)
"""


def write_folder(folder: Path, files: int) -> None:
    folder.mkdir()
    for number in range(files):
        paragraph = f"File {number} keeps a record of matter {number * 7}. " * 30
        (folder / f"{number:03}.txt").write_text(f"{paragraph}\n\n{paragraph}", "utf-8")


def kill_once(
    file: Path, folder: Path, model_files: tuple[Path, Path], chooser: random.Random
) -> set[str]:
    """Start an ``add``, kill it at a random moment, and return what it had acknowledged."""
    command = [sys.executable, "-c", CHILD, str(file), str(folder), *map(str, model_files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        writes = chooser.randint(0, 12)
        acknowledged = set()
        for line in child.stdout if writes else ():
            outcome, _, source = line.strip().partition(" ")
            acknowledged |= {source} if outcome in ("added", "updated", "unchanged") else set()
            # What is unchanged comes first and writes nothing.
            writes -= outcome != "unchanged"
            if not writes:
                break
        time.sleep(chooser.random() * 0.05)
        child.send_signal(signal.SIGKILL)
    return acknowledged


def check(file: Path, acknowledged: set[str]) -> int:
    """Raise AssertionError unless the library is whole; returns its number of documents."""
    connection = database.connect(file)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        sources = {row[0] for row in connection.execute("SELECT source FROM documents")}
        assert acknowledged <= sources, "an acknowledged document was lost"
        _check_parts(connection)
        return len(sources)
    finally:
        connection.close()


def _check_parts(connection: Connection) -> None:
    halves = connection.execute(
        "SELECT source FROM documents d WHERE num_chunks != "
        "(SELECT count(*) FROM chunks c WHERE c.document_id = d.id)"
    ).fetchall()
    assert halves == [], "a document is half in the library"
    (without_terms,) = connection.execute(
        "SELECT count(*) FROM chunks WHERE id NOT IN (SELECT rowid FROM chunk_terms)"
    ).fetchone()
    (without_chunk,) = connection.execute(
        "SELECT count(*) FROM chunk_terms WHERE rowid NOT IN (SELECT id FROM chunks)"
    ).fetchone()
    (without_vectors,) = connection.execute(
        "SELECT count(*) FROM chunks WHERE id NOT IN (SELECT chunk_id FROM embeddings)"
    ).fetchone()
    assert (without_terms, without_chunk, without_vectors) == (0, 0, 0)

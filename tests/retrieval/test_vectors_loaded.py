"""Vectors in memory follow what any process commits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ondol import database, paths
from ondol.database import IN_MEMORY, Connection
from ondol.retrieval.vectors import loaded
from ondol.retrieval.vectors.exact import ExactIndex
from ondol.retrieval.vectors.loaded import LoadedVectors

MODEL, DIMENSIONS = "bag:24", 24

CHILD = """
import sys
from ondol import paths
from ondol.retrieval.library import Library
from tests.retrieval.test_reembedding import bags, fill
library = Library(paths.database_file(), bags())
print("ready", flush=True)
for line in sys.stdin:
    what, number = line.split()
    if what == "add":
        fill(library, 3, first=int(number))
    else:
        library.forget(matching=f"number{number}")
    print("done", flush=True)
"""


class OtherProcess:
    """Another process with the same library."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout and self._child.stdout.readline() == "ready\n"

    def do(self, what: str, number: int) -> None:
        assert self._child.stdin and self._child.stdout
        self._child.stdin.write(f"{what} {number}\n")
        self._child.stdin.flush()
        assert self._child.stdout.readline() == "done\n"

    def close(self) -> None:
        self._child.communicate("")


@pytest.fixture
def other(home: object) -> Iterator[OtherProcess]:
    process = OtherProcess()
    yield process
    process.close()


def stored(connection: Connection) -> dict[int, np.ndarray]:
    rows = connection.execute("SELECT chunk_id, passage FROM embeddings WHERE model = ?", (MODEL,))
    return {i: np.frombuffer(blob, dtype=np.float16).astype(np.float32) for i, blob in rows if blob}


def assert_same(vectors: LoadedVectors, connection: Connection) -> None:
    index, expected = vectors.refresh(connection), stored(connection)
    assert len(index) == len(expected)
    query = np.ones(DIMENSIONS, dtype=np.float32) / np.float32(DIMENSIONS**0.5)
    found = dict(index.search(query, len(expected) + 5))
    assert found == pytest.approx({i: float(v @ query) for i, v in expected.items()}, abs=1e-5)


def test_adds_and_removals_of_another_process_are_followed(other: OtherProcess) -> None:
    connection = database.connect(paths.database_file())
    vectors = LoadedVectors(ExactIndex(DIMENSIONS), MODEL, DIMENSIONS)
    assert_same(vectors, connection)
    for what, number in [
        ("add", 0), ("add", 3), ("forget", 1), ("add", 6), ("forget", 4), ("add", 1), ("forget", 8),
    ]:  # fmt: skip
        other.do(what, number)
        assert_same(vectors, connection)
    # Several changes at once, and what was added and removed between two looks.
    for what, number in [("add", 20), ("forget", 21), ("forget", 0), ("add", 30)]:
        other.do(what, number)
    assert_same(vectors, connection)
    connection.close()


def test_nothing_changed_reads_one_number(home: object) -> None:
    connection = database.connect(paths.database_file())
    vectors = LoadedVectors(ExactIndex(DIMENSIONS), MODEL, DIMENSIONS)
    vectors.refresh(connection)
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    vectors.refresh(connection)
    assert asked == ["SELECT counter FROM changes"]
    connection.close()


def add(connection: Connection, ids: list[int], random: np.random.Generator) -> None:
    for i in ids:
        vector = random.normal(size=DIMENSIONS)
        vector /= np.linalg.norm(vector)
        # Every fifth is a text that the model could not read.
        blob = vector.astype(np.float16).tobytes() if i % 5 else b""
        for model, value in ((MODEL, blob), ("another", b"xx")):
            connection.execute(
                "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, x'')", (i, model, value)
            )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(1, 12), st.just(0)),
            st.tuples(st.sampled_from(["remove", "change"]), st.integers(1, 40), st.integers(0, 9)),
            st.tuples(st.just("look"), st.just(0), st.just(0)),
        ),
        max_size=15,
    ),
)
def test_any_changes_are_followed_however_they_come(
    monkeypatch: pytest.MonkeyPatch, seed: int, steps: list[tuple[str, int, int]]
) -> None:
    monkeypatch.setattr(loaded, "LOADED_AT_ONCE", 7)
    random = np.random.default_rng(seed)
    connection = database.connect(IN_MEMORY)
    connection.execute("PRAGMA foreign_keys = OFF")
    vectors, last = LoadedVectors(ExactIndex(DIMENSIONS), MODEL, DIMENSIONS), 0
    for what, first, more in steps:
        if what == "look":
            assert_same(vectors, connection)
            continue
        if what == "add":
            add(connection, list(range(last + 1, last + 1 + first)), random)
            last += first
        else:
            end = min(first + more, last)
            if what == "remove":
                connection.execute(
                    "DELETE FROM embeddings WHERE chunk_id BETWEEN ? AND ? AND chunk_id % 3 > 0",
                    (first, end),
                )
            else:
                held = [i for i in range(first, end + 1) if i in stored(connection)]
                add(connection, held, random)
            connection.execute(
                "INSERT INTO removals SELECT counter + 1, ?, ? FROM changes", (first, end)
            )
        connection.execute("UPDATE changes SET counter = counter + 1")
    assert_same(vectors, connection)
    connection.close()

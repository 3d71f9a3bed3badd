"""Every ``VectorIndex`` keeps the same promises: in memory, approximate, in Qdrant.

Qdrant's is its client's local mode, or the server of ONDOL_TEST_QDRANT_URL when that is set.
"""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ondol.retrieval.vectors.ann import ApproximateIndex
from ondol.retrieval.vectors.exact import ExactIndex
from ondol.retrieval.vectors.index import VectorIndex

# Read before the fixture that takes every setting of Ondol out of the environment.
URL = os.environ.get("ONDOL_TEST_QDRANT_URL")
DIMENSIONS = 8
MakeIndex = Callable[[], VectorIndex]


@pytest.fixture(params=["exact", "approximate", "qdrant"])
def make_index(request: pytest.FixtureRequest) -> Iterator[MakeIndex]:
    made = []

    def make() -> VectorIndex:
        made.append(open_index(request.param))
        return made[-1]

    yield make
    for index in made:
        if request.param == "qdrant":
            index.delete()
        index.close()


def open_index(kind: str) -> VectorIndex:
    if kind == "exact":
        return ExactIndex(DIMENSIONS)
    if kind == "approximate":
        return ApproximateIndex(DIMENSIONS, exact_chunks=10)
    client = pytest.importorskip("qdrant_client")
    from ondol.retrieval.vectors.qdrant import QdrantIndex

    # One without TLS and without a key is what a test has; the client warns of both.
    warnings.simplefilter("ignore")
    opened = client.QdrantClient(url=URL) if URL else client.QdrantClient(":memory:")
    return QdrantIndex(opened, f"ondol-test-{uuid.uuid4().hex}", DIMENSIONS)


def unit_rows(random: np.random.Generator, count: int) -> np.ndarray:
    rows = random.normal(size=(count, DIMENSIONS)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows.astype(np.float16).astype(np.float32)
    return rows


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.lists(st.tuples(st.integers(0, 20), st.floats(0, 1)), max_size=5),
    limit=st.integers(1, 15),
    share=st.floats(0, 1),
)
def test_index_has_what_was_added_and_not_removed(
    make_index: MakeIndex,
    seed: int,
    steps: list[tuple[int, float]],
    limit: int,
    share: float,
) -> None:
    random = np.random.default_rng(seed)
    index, rows, last = make_index(), {}, 0
    for count, gone in steps:
        ids = list(range(last + 1, last + 1 + count))
        last += count
        new = unit_rows(random, count)
        index.add(ids, new)
        rows.update(zip(ids, new, strict=True))
        remove = [i for i in rows if random.random() < gone]
        index.remove([*remove, 99_999])
        rows = {i: row for i, row in rows.items() if i not in remove}
    query = unit_rows(random, 1)[0]
    expected = sorted((float(row @ query), i) for i, row in rows.items())[::-1]
    assert len(index) == len(rows)
    found = index.search(query, limit)
    assert [s for _, s in found] == pytest.approx([s for s, _ in expected][:limit], abs=1e-4)
    assert all(score == pytest.approx(float(rows[i] @ query), abs=1e-4) for i, score in found)
    among = np.array(sorted([i for i in rows if random.random() < share] + [88_888]))
    best = [s for s, i in expected if i in set(among.tolist())][:limit]
    assert [s for _, s in index.search(query, limit, among=among)] == pytest.approx(best, abs=1e-4)
    assert index.scores(query, [*rows, 77_777]) == pytest.approx(
        {i: s for s, i in expected}, abs=1e-4
    )
    mean, deviation = index.background(query)
    values = [s for s, _ in expected] or [0.0]
    assert mean == pytest.approx(np.mean(values), abs=3e-3)
    assert deviation == pytest.approx(np.std(values), abs=3e-3)


def test_half_precision_is_taken_as_it_comes(make_index: MakeIndex) -> None:
    index = make_index()
    rows = unit_rows(np.random.default_rng(0), 5)
    index.add(np.arange(1, 6), rows.astype(np.float16))
    assert index.search(rows[2], 1) == [(3, pytest.approx(1.0, abs=1e-3))]
    index.remove(np.array([3]))
    assert 3 not in dict(index.search(rows[2], 5))
    assert index.search(rows[2], 0) == []
    assert index.search(rows[2], 5, among=np.array([], dtype=np.int64)) == []

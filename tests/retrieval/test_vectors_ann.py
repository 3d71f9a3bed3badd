"""Approximate search: near to exact, exact while its bits are being made, and nothing kept."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from ondol.retrieval.vectors import ann, blocks
from ondol.retrieval.vectors.ann import ApproximateIndex
from ondol.retrieval.vectors.bits import distances, planes_of

DIMENSIONS = 96


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 512)
    monkeypatch.setattr(ann, "MIN_CANDIDATES", 400)
    monkeypatch.setattr(ann, "CANDIDATES_EACH", 40)


def clustered(random: np.random.Generator, count: int) -> np.ndarray:
    """Rows around a few hundred topics, off-centre as those of real embedders are."""
    topics = np.random.default_rng(5).normal(size=(300, DIMENSIONS)) + 0.3
    rows = topics[random.integers(0, 300, count)] + random.normal(size=(count, DIMENSIONS))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16).astype(np.float32)


def recall(index: ApproximateIndex, rows: dict[int, np.ndarray], queries: np.ndarray) -> float:
    ids, matrix = np.array(list(rows)), np.array(list(rows.values()))
    shares = []
    for query in queries:
        best = set(ids[np.argsort(-(matrix @ query))[:10]].tolist())
        shares.append(len(best & {i for i, _ in index.search(query, 10)}) / 10)
    return float(np.mean(shares))


def test_recall_stays_high_through_adds_and_removals() -> None:
    random = np.random.default_rng(0)
    index = ApproximateIndex(DIMENSIONS, exact_chunks=3000)
    vectors = clustered(random, 9000)
    rows = dict(enumerate(vectors))
    index.add(range(6000), vectors[:6000])
    index.wait(60)
    assert index.is_approximate
    index.remove(range(1000, 2500))
    index.add(range(6000, 9000), vectors[6000:])
    index.wait(60)
    assert index.is_approximate
    for i in range(1000, 2500):
        del rows[i]
    assert recall(index, rows, clustered(random, 30)) >= 0.97
    query = vectors[4]
    assert index.search(query, 1) == [(4, pytest.approx(float(query @ query), abs=1e-5))]
    index.close()


def test_every_search_is_right_while_the_bits_are_being_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on = threading.Semaphore(0)
    made = ApproximateIndex._make

    def slowly(index: ApproximateIndex, number: int) -> None:
        made(index, number)
        index._lock.release()
        go_on.acquire()
        index._lock.acquire()

    monkeypatch.setattr(ApproximateIndex, "_make", slowly)
    random = np.random.default_rng(1)
    vectors = clustered(random, 5000)
    index = ApproximateIndex(DIMENSIONS, exact_chunks=1000)
    index.add(range(5000), vectors)
    queries = clustered(random, 5)
    for _ in range(9):
        assert recall(index, dict(enumerate(vectors)), queries) >= 0.97
        go_on.release()
    go_on.release(100)
    index.wait(60)
    assert index.is_approximate
    index.close()


def test_search_among_few_is_exact_in_a_large_index() -> None:
    random = np.random.default_rng(2)
    vectors = clustered(random, 4000)
    index = ApproximateIndex(DIMENSIONS, exact_chunks=1000)
    index.add(range(4000), vectors)
    index.wait(60)
    among = np.arange(0, 4000, 7)
    query = clustered(random, 1)[0]
    expected = among[np.argsort(-(vectors[among] @ query))[:10]].tolist()
    assert [i for i, _ in index.search(query, 10, among=among)] == expected
    many = np.arange(1, 4000)
    assert 0 not in {i for i, _ in index.search(vectors[0], 50, among=many)}


def test_index_that_shrinks_is_exact_again() -> None:
    random = np.random.default_rng(3)
    vectors = clustered(random, 2000)
    index = ApproximateIndex(DIMENSIONS, exact_chunks=500)
    index.add(range(2000), vectors)
    index.wait(60)
    index.remove(range(100, 2000))
    assert not index.is_approximate
    best = np.argsort(-(vectors[:100] @ vectors[5]))[:10].tolist()
    assert [i for i, _ in index.search(vectors[5], 10)] == best
    index.remove(range(100))
    assert index.search(vectors[5], 10) == []


@pytest.mark.parametrize("dimensions", [3, 64, 65, 384])
def test_distance_counts_the_components_on_different_sides(dimensions: int) -> None:
    random = np.random.default_rng(4)
    rows = random.normal(size=(50, dimensions)).astype(np.float32)
    query, centre = rows[:1], np.full(dimensions, 0.1, dtype=np.float32)
    out = np.empty(50, dtype=np.uint16)
    distances(planes_of(rows, centre), planes_of(query, centre), out)
    assert out.tolist() == ((rows > centre) != (query > centre)).sum(axis=1).tolist()

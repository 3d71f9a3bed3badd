"""The index in RAM: a full scan in float32 gives what it gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.retrieval.vectors import blocks, moments
from ondol.retrieval.vectors.exact import ExactIndex
from ondol.retrieval.vectors.places import NOWHERE, Places


def unit_rows(random: np.random.Generator, count: int, dimensions: int = 8) -> np.ndarray:
    """Float32, but each number as the database keeps it: in half precision."""
    rows = random.normal(size=(count, dimensions)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16).astype(np.float32)


def scan(rows: dict[int, np.ndarray], query: np.ndarray) -> list[tuple[int, float]]:
    found = [(i, float(row @ query)) for i, row in rows.items()]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def assert_same(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> None:
    """Same scores in the same order; ids may only differ where scores are the same."""
    assert [s for _, s in found] == pytest.approx([s for _, s in expected], abs=1e-6)
    for (i, score), (j, _) in zip(found, expected, strict=True):
        assert i == j or sum(abs(s - score) < 1e-6 for _, s in expected) > 1


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 16)
    monkeypatch.setattr(blocks, "CACHED_ROWS", 4)


@pytest.mark.usefixtures("small_blocks")
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1)), max_size=8),
    limit=st.integers(1, 20),
    share=st.floats(0, 1),
)
def test_index_equals_a_full_scan_after_any_adds_and_removals(
    seed: int, steps: list[tuple[int, float]], limit: int, share: float
) -> None:
    random = np.random.default_rng(seed)
    index, rows = ExactIndex(8), {}
    for count, gone in steps:
        ids = len(rows) * 1000 + random.choice(100_000_000, count, replace=False)
        ids = np.array([i for i in ids.tolist() if i not in rows], dtype=np.int64)
        new = unit_rows(random, len(ids))
        index.add(ids, new)
        rows.update(zip(ids.tolist(), new, strict=True))
        remove = [i for i in rows if random.random() < gone]
        index.remove([*remove, -7])
        for i in remove:
            del rows[i]
        query = unit_rows(random, 1)[0]
        expected = scan(rows, query)
        assert len(index) == len(rows)
        assert_same(index.search(query, limit), expected[:limit])
        among = np.array(sorted([i for i in rows if random.random() < share] + [12]))
        restricted = [pair for pair in expected if pair[0] in set(among.tolist())]
        assert_same(index.search(query, limit, among=among), restricted[:limit])
        assert index.scores(query, [*rows, 999_999_999]) == pytest.approx(dict(expected), abs=1e-6)
        if rows:
            mean, deviation = index.background(query)
            assert mean == pytest.approx(np.mean([s for _, s in expected]), abs=1e-4)
            assert deviation == pytest.approx(np.std([s for _, s in expected]), abs=3e-3)


def test_vectors_that_one_byte_cannot_tell_apart_are_ranked_by_their_full_precision() -> None:
    random = np.random.default_rng(0)
    base = unit_rows(random, 1, 64)[0]
    rows = (base + random.normal(scale=3e-4, size=(500, 64))).astype(np.float16)
    rows = rows.astype(np.float32)
    index = ExactIndex(64)
    index.add(range(500), rows)
    expected = scan(dict(enumerate(rows)), base)
    assert_same(index.search(base, 10), expected[:10])


def test_what_is_removed_leaves_no_bytes_in_memory() -> None:
    random = np.random.default_rng(1)
    rows = unit_rows(random, 100)
    index = ExactIndex(8)
    index.add(range(100), rows)
    index.remove(range(50, 100))
    held = b"".join(block["halves"].tobytes() for block in index._blocks._blocks)
    assert rows[10].astype(np.float16).tobytes() in held
    assert not any(row.astype(np.float16).tobytes() in held for row in rows[50:])


def test_vector_that_is_no_number_is_never_the_nearest() -> None:
    index = ExactIndex(2)
    index.add([1, 2, 3], np.array([[np.nan, 0], [1, 0], [np.inf, 1]], dtype=np.float32))
    found = index.search(np.array([1, 0], dtype=np.float32), 3)
    assert found == [(2, 1.0), (1, 0.0), (3, 0.0)]


def test_empty_index_finds_nothing() -> None:
    index = ExactIndex(3)
    query = np.array([1, 0, 0], dtype=np.float32)
    assert index.search(query, 5) == []
    assert index.search(query, 5, among=np.array([1, 2])) == []
    assert index.scores(query, [1]) == {}
    assert index.background(query) == (0.0, 0.0)
    index.remove([1])
    index.close()


def test_background_of_a_large_index_is_that_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "COUNTED_EXACTLY", 100)
    random = np.random.default_rng(2)
    rows = unit_rows(random, 20_000)
    index = ExactIndex(8)
    index.add(range(20_000), rows)
    query = unit_rows(random, 1)[0]
    mean, deviation = index.background(query)
    assert mean == pytest.approx((rows @ query).mean(), abs=0.03)
    assert deviation == pytest.approx((rows @ query).std(), abs=0.03)
    index.remove(range(20_000))
    assert index.background(query) == pytest.approx((0.0, 0.0), abs=1e-3)


@given(st.lists(st.integers(-(2**40), 2**40), unique=True, max_size=60), st.data())
def test_places_are_what_a_dictionary_would_hold(ids: list[int], data: st.DataObject) -> None:
    places, expected = Places(), {}
    for number, i in enumerate(ids):
        places.put(np.array([i]), np.array([number]))
        expected[i] = number
    gone = data.draw(st.lists(st.sampled_from(ids), unique=True)) if ids else []
    places.put(np.array(gone, dtype=np.int64), np.full(len(gone), NOWHERE))
    rows = places.find(np.array(ids, dtype=np.int64))
    assert rows.tolist() == [NOWHERE if i in gone else expected[i] for i in ids]
    if set(gone) == set(ids):
        assert not places._pages

"""Sentences in blobs: what goes in comes out, and a cosine stays what it was."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ondol.retrieval.packed import cosines, pack_spans, pack_vectors, unpack_spans


@given(
    st.integers(0, 10**9),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))),
)
def test_spans_come_back(begin: int, relative: list[tuple[int, int]]) -> None:
    spans = [(begin + start, begin + end) for start, end in relative]
    assert unpack_spans(pack_spans(spans, begin), begin) == spans


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_cosine_survives_the_packing(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query = vectors[0] + 0.3 * rng.normal(size=384).astype(np.float32) / np.sqrt(384)
    query /= np.linalg.norm(query)
    assert np.allclose(cosines(pack_vectors(vectors), query), vectors @ query, atol=0.01)


def test_sentence_that_cannot_be_read_scores_nothing() -> None:
    vectors = np.zeros((2, 16), dtype=np.float32)
    vectors[1, 4] = 1.0
    assert cosines(pack_vectors(vectors), vectors[1]).tolist() == [0.0, 1.0]
    assert pack_vectors(vectors[:1]) == b""


def test_vectors_of_another_model_have_no_say() -> None:
    packed = pack_vectors(np.ones((1, 16), dtype=np.float32))
    assert len(cosines(packed, np.ones(24, dtype=np.float32))) == 0

"""A reranker in the engine: llama.cpp itself scores pairs with a tiny random cross-encoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bert_gguf import write_reranker

from ondol.engine.pool import EnginePool, EngineSettings, ModelSpec
from ondol.models.gguf import read_header

QUERY = "when was the boiler serviced?"
TEXTS = ["the boiler was serviced in march.", "roses bloom in june.", "a cat sleeps."]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reranker(tmp_path_factory.mktemp("models") / "reranker.gguf")


@pytest.fixture
def pool(file: Path) -> Iterator[EnginePool]:
    def locate(name: str) -> ModelSpec:
        return ModelSpec("tiny", file, "sha256:1", file.stat().st_size, "reranker", 128)

    with EnginePool(EngineSettings(num_ctx=128, num_parallel=1), locate) as pool:
        yield pool


def test_file_with_a_classifier_is_known_as_a_reranker(file: Path) -> None:
    assert read_header(file).kind == "reranker"


def test_every_text_gets_a_score_of_its_own_whatever_stands_beside_it(pool: EnginePool) -> None:
    engine = pool.engine("tiny")
    scores = engine.rerank(QUERY, TEXTS)
    assert len(set(scores)) == len(TEXTS)
    assert engine.rerank(QUERY, TEXTS[::-1]) == pytest.approx(scores[::-1], abs=1e-3)
    assert engine.rerank("roses?", TEXTS) != pytest.approx(scores, abs=1e-3)


def test_more_texts_than_a_batch_and_none(pool: EnginePool) -> None:
    engine = pool.engine("tiny")
    assert engine.rerank(QUERY, []) == []
    many = engine.rerank(QUERY, [*TEXTS, ""] * 12)
    assert len(many) == 48
    assert many[:4] == pytest.approx(many[44:], abs=1e-3)

"""The embedder: unit vectors, sentence vectors for free, and silence where it cannot read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ondol.errors import InvalidModelError
from ondol.retrieval.embedding import E5_PREFIXES, EngineEmbedder, OnnxEmbedder

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def embedder(embedding_model_files: tuple[Path, Path]) -> OnnxEmbedder:
    return OnnxEmbedder("all-minilm:l6-v2", *embedding_model_files)


def test_embed_gives_unit_vectors_whatever_the_batch(embedder: OnnxEmbedder) -> None:
    texts = ["short", "a rather longer text about ships and harbours " * 8, "안녕하세요", ""]
    together = embedder.embed(texts, input_type="document")
    assert together.shape == (4, embedder.dimensions)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    for text, vector in zip(texts, together, strict=True):
        alone = embedder.embed([text], input_type="query")[0]
        assert float(alone @ vector) > 0.9999


def test_embed_of_nothing_has_no_rows(embedder: OnnxEmbedder) -> None:
    assert embedder.embed([], input_type="query").shape == (0, embedder.dimensions)


def test_sentences_get_vectors_near_their_own_meaning(embedder: OnnxEmbedder) -> None:
    first, second = "The cat sleeps on the sofa.", "Interest rates rose by two percent."
    text = f"{first} {second}"
    spans = [(0, len(first)), (len(first) + 1, len(text))]
    (vectors,) = embedder.embed_passages([text], [spans])
    query = embedder.embed(["How much did interest rates rise?"], input_type="query")[0]
    assert vectors.sentences.shape == (2, embedder.dimensions)
    assert float(vectors.sentences[1] @ query) > float(vectors.sentences[0] @ query) + 0.2


def test_unreadable_script_gets_the_zero_vector(embedder: OnnxEmbedder) -> None:
    text = "온돌은 방바닥을 데우는 한국의 난방이다."
    (vectors,) = embedder.embed_passages([text], [[(0, len(text))]])
    assert not vectors.passage.any()
    assert not vectors.sentences.any()


def test_sentence_beyond_the_window_gets_the_zero_vector(embedder: OnnxEmbedder) -> None:
    text = "word " * 1000
    (vectors,) = embedder.embed_passages([text], [[(0, 4), (4900, 4904)]])
    assert vectors.sentences[0].any()
    assert not vectors.sentences[1].any()


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        ("When does the contract end?", True),
        ("def main() -> None: print('x')", True),
        ("계약은 언제 끝나나요?", False),
        ("갈비찜 양념에 키위를 안 넣는 이유 알려줘.", False),
        ("日本語の文章です。", False),
        ("Wie lange läuft der Vertrag?", True),
        ("", True),
    ],
)
def test_can_read_knows_its_scripts(embedder: OnnxEmbedder, text: str, readable: bool) -> None:
    assert embedder.can_read(text) is readable


def test_unusable_files_are_refused_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InvalidModelError, match="all-minilm") as caught:
        OnnxEmbedder("all-minilm:l6-v2", tmp_path / "model.onnx", tmp_path / "tokenizer.json")
    assert "ondol pull all-minilm:l6-v2" in caught.value.hint


def test_engine_embedder_normalises_and_embeds_sentences() -> None:
    def embed(texts: object) -> list[list[float]]:
        return [[3.0, 4.0] for _ in texts]  # type: ignore[attr-defined]

    embedder = EngineEmbedder("bge", 2, embed)  # type: ignore[arg-type]
    (vectors,) = embedder.embed_passages(["One. Two."], [[(0, 4), (5, 9)]])
    np.testing.assert_allclose(vectors.passage, [0.6, 0.8], atol=1e-6)
    assert vectors.sentences.shape == (2, 2)


def test_prefixes_change_vectors_and_keep_offsets(embedding_model_files: tuple[Path, Path]) -> None:
    plain = OnnxEmbedder("m", *embedding_model_files)
    prefixed = OnnxEmbedder("m", *embedding_model_files, prefixes=E5_PREFIXES)
    text, spans = "The cat sleeps. Interest rates rose.", [(0, 15), (16, 36)]
    with_prefix = prefixed.embed([text], input_type="document")[0]
    same = plain.embed([f"passage: {text}"], input_type="document")[0]
    np.testing.assert_allclose(with_prefix, same, atol=1e-5)
    (vectors,) = prefixed.embed_passages([text], [spans])
    (shifted,) = plain.embed_passages([f"passage: {text}"], [[(9, 24), (25, 45)]])
    np.testing.assert_allclose(vectors.sentences, shifted.sentences, atol=1e-5)

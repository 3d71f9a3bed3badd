"""Rerankers: a real onnxruntime session over a model that is made here, and BM25 by the book."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.database import IN_MEMORY
from ondol.errors import InvalidModelError
from ondol.retrieval.embedding import OnnxEmbedder
from ondol.retrieval.library import Library
from ondol.retrieval.reranker import (
    EngineReranker,
    HybridReranker,
    OnnxReranker,
    bm25,
    rerank_hits,
    sigmoid,
)
from ondol.types import Chunk, Hit

WORDS = "[PAD] [UNK] [CLS] [SEP] boiler serviced march roses bloom june cat sleeps when".split()
TEXTS = ["roses bloom june", "boiler serviced march", "cat sleeps"]


def write_tokenizer(file: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(file))
    return file


def write_graph(file: Path, *, outputs: int = 1, with_types: bool = True) -> Path:
    """A cross-encoder in miniature: the sum of the embeddings of both texts, squared, weighed by
    random numbers; so its score depends on both texts together."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(3)
    table = random.normal(size=(len(WORDS), 8)).astype(np.float32)
    table[0] = 0.0
    weights = random.normal(size=(8, outputs)).astype(np.float32)
    names = ["input_ids", "attention_mask"] + ["token_type_ids"] * with_types
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["states"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["states", "wide"], ["seen"]),
        helper.make_node("ReduceSum", ["seen", "middle"], ["pooled"], keepdims=0),
        helper.make_node("Mul", ["pooled", "pooled"], ["squared"]),
        helper.make_node("MatMul", ["squared", "weights"], ["logits"]),
    ]
    constants = {
        "table": table,
        "weights": weights,
        "last": np.array([2], dtype=np.int64),
        "middle": np.array([1], dtype=np.int64),
    }
    shape = ["batch", "tokens"]
    graph = helper.make_graph(
        nodes,
        "cross-encoder",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", outputs])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    file.write_bytes(model.SerializeToString())
    return file


def expected(query: str, text: str, outputs: int = 1) -> float:
    random = np.random.default_rng(3)
    table = random.normal(size=(len(WORDS), 8)).astype(np.float32)
    weights = random.normal(size=(8, outputs)).astype(np.float32)
    ids = [2, *map(WORDS.index, query.split()), 3, *map(WORDS.index, text.split()), 3]
    logits = table[ids].sum(axis=0) ** 2 @ weights
    logit = logits[0] if outputs == 1 else logits[1] - logits[0]
    return 1.0 / (1.0 + math.exp(-float(logit)))


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    return write_tokenizer(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("with_types", [True, False])
def test_onnx_scores_are_those_of_the_graph(
    tmp_path: Path, tokenizer: Path, outputs: int, with_types: bool
) -> None:
    graph = write_graph(tmp_path / "model.onnx", outputs=outputs, with_types=with_types)
    reranker = OnnxReranker("tiny:latest", graph, tokenizer, threads=1)
    scores = reranker.rerank("when serviced", TEXTS)
    assert reranker.model == "tiny:latest"
    assert scores == pytest.approx([expected("when serviced", x, outputs) for x in TEXTS], abs=1e-5)


def test_onnx_score_depends_on_nothing_else_in_the_batch(tmp_path: Path, tokenizer: Path) -> None:
    reranker = OnnxReranker("tiny", write_graph(tmp_path / "m.onnx"), tokenizer, threads=1)
    many = [" ".join(WORDS[4 : 5 + n % 8]) for n in range(300)]
    together = reranker.rerank("boiler", many)
    assert together[7] == pytest.approx(reranker.rerank("boiler", [many[7]])[0], abs=1e-6)
    assert reranker.rerank("boiler", []) == []


def test_text_beyond_the_window_is_read_from_its_beginning(tmp_path: Path, tokenizer: Path) -> None:
    reranker = OnnxReranker(
        "tiny", write_graph(tmp_path / "m.onnx"), tokenizer, threads=1, max_tokens=16
    )
    first, second = reranker.rerank("cat", ["roses " * 50, "roses " * 500])
    assert first == pytest.approx(second)


@pytest.mark.parametrize("broken", ["graph", "tokenizer", "outputs"])
def test_unusable_reranker_says_so(tmp_path: Path, tokenizer: Path, broken: str) -> None:
    outputs = 5 if broken == "outputs" else 1
    graph = write_graph(tmp_path / "model.onnx", outputs=outputs)
    if broken != "outputs":
        (graph if broken == "graph" else tokenizer).write_bytes(b"broken")
    with pytest.raises(InvalidModelError) as error:
        OnnxReranker("tiny", graph, tokenizer)
    assert "tiny" in error.value.message
    assert "models.rerank" in error.value.hint


def test_engine_scores_become_shares_of_one() -> None:
    assert EngineReranker("m", lambda q, x: [0.2, 0.9]).rerank("q", ["a", "b"]) == [0.2, 0.9]
    logits = EngineReranker("m", lambda q, x: [-4.0, 6.0]).rerank("q", ["a", "b"])
    assert logits == pytest.approx([sigmoid(-4.0), sigmoid(6.0)])
    assert EngineReranker("m", lambda q, x: [1 / 0]).rerank("q", []) == []


@given(st.floats(-1e9, 1e9))
def test_sigmoid_stays_between_zero_and_one(logit: float) -> None:
    assert 0.0 <= sigmoid(logit) <= 1.0


def test_bm25_is_the_formula() -> None:
    texts = ["boiler boiler march", "boiler june", "cat"]
    weight = math.log(1.0 + (3 - 2 + 0.5) / (2 + 0.5))
    norm = 1.2 * (1.0 - 0.75 + 0.75 * 3 / 2)
    first, second, third = bm25("boiler", texts)
    assert first == pytest.approx(weight * 2 * 2.2 / (2 + norm))
    assert first > second > third == 0.0
    assert bm25("boiler", []) == []


class Fixed:
    model = "fixed"

    def rerank(self, query: str, texts: list[str]) -> list[float]:
        return [float("march" in text) for text in texts]


def test_reranked_hits_come_first_and_the_others_keep_their_order() -> None:
    texts = [f"roses {n}" for n in range(40)]
    texts[20] = texts[35] = "boiler march"
    hits = [Hit(Chunk(x, 0, len(x), source=str(n)), 1 - n / 40, n + 1) for n, x in enumerate(texts)]
    found = rerank_hits(Fixed(), "when?", hits)
    assert [hit.chunk.source for hit in found[:2]] == ["20", "0"]
    assert [hit.chunk.source for hit in found[30:]] == [str(n) for n in range(30, 40)]
    assert [hit.rank for hit in found] == list(range(1, 41))
    assert [hit.score for hit in found] == sorted((h.score for h in found), reverse=True)


@pytest.mark.model
def test_library_with_a_reranker_searches_in_its_order(embedder: OnnxEmbedder) -> None:
    library = Library(IN_MEMORY, embedder, open_reranker=Fixed)
    for n, text in enumerate(["The boiler hums.", "In march the boiler was cleaned.", "A boiler."]):
        library.add_text(f"/{n}.txt", text)
    assert library.search("boiler")[0].chunk.source == "/1.txt"
    assert library.evidence("boiler hums").hits[0].chunk.source == "/1.txt"
    library.close()


@pytest.mark.model
def test_hybrid_ranks_by_words_and_meaning_and_korean_by_words(embedder: OnnxEmbedder) -> None:
    reranker = HybridReranker(embedder)
    english = reranker.rerank(
        "When was the furnace maintained?",
        ["The roses bloom in June.", "The boiler was serviced in March.", "A cat sleeps."],
    )
    assert max(english) == english[1]
    korean = reranker.rerank("보증금은 얼마인가요?", ["고양이가 잔다.", "보증금은 3억 원이다."])
    assert korean[1] > korean[0]
    assert all(0.0 <= score <= 1.0 for score in english + korean)
    assert reranker.rerank("anything", []) == []

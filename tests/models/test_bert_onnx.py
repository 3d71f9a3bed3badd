"""The converted embedder computes what the model's weights say, in every script."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from ondol.errors import InvalidModelError
from ondol.models.bert_onnx import convert, read_safetensors
from ondol.models.store import ModelStore
from ondol.retrieval.embedding import OnnxEmbedder
from tests.models.bert_reference import Reference

ENGLISH = [
    "The treaty was signed in Vienna.", "def add(a, b): return a + b", "3.14159 is about π", "Yes",
    "The quick brown fox jumps over the lazy dog.", "Rent is due on the first of each month.",
    "E = mc²", "Dr. O'Neil's naïve résumé — 100 % café", "SELECT id FROM chunks WHERE id = 7;",
    "a", "MiXeD CaSe AND   many    spaces", "https://example.org/path?q=1#x", "🙂 emoji too",
    "Take two tablets daily with food.", "The engine stalls when cold.", "blood pressure",
    "Wie geht es dir?", "Où est la bibliothèque?", "El contrato vence en marzo.",
    "He said: “never again”.", "[MASK] [SEP] [CLS]", "1936", "tokens " * 40, "long text. " * 90,
]  # fmt: skip
KOREAN = [
    "온돌은 방바닥을 데우는 한국의 난방이다.",
    "계약 기간은 2년으로 한다.",
    "회의록",
    "가",
    "안녕하세요!",
    "보험금은 언제 받을 수 있나요?",
    "김치찌개에 설탕을 넣지 않는다.",
    "제3조 (임대료)",
    "서울시 예산안",
    "약은 식후 30분에 드세요.",
    "AI센터에서 만든 모델",
    "한글과 English가 섞인 문장입니다.",
    "ㅋㅋㅋ ㅠㅠ",
    "훈민정음은 1443년에 만들어졌다.",
    "값이 얼마예요?",
    "뷁",
    "대한민국 헌법 제1조",
    "비가 오면 우산을 써야 한다.",
    "아버지가방에들어가신다",
    "漢字도 있다",
    "전세 보증금 3억 원",
    "고양이 두 마리까지 기를 수 있다.",
    "수면은 기억을 굳힌다.",
    "니켈 시료가 푸른빛을 띠었다.",
    "사과꽃이 피었다.",
    "매주 화요일 저녁 7시",
    "서버를 다시 시작하세요.",
    "밤" * 40,
]


@pytest.mark.model
def test_converted_model_matches_the_reference_on_english_and_korean(models_dir: Path) -> None:
    texts = ENGLISH + KOREAN
    assert len(texts) >= 50
    store = ModelStore(models_dir)
    model = store.get("all-minilm:l6-v2")
    reference = Reference(*(store.path(model, role) for role in ("weights", "config", "tokenizer")))
    embedder = OnnxEmbedder("m", store.path(model, "graph"), store.path(model, "tokenizer"))
    vectors = embedder.embed(texts)
    cosines = [float(reference.embed(t) @ v) for t, v in zip(texts, vectors, strict=True)]
    assert min(cosines) >= 0.999, texts[int(np.argmin(cosines))]


def tiny_bert(directory: Path, **changes: object) -> Path:
    """A BERT of two layers and eight dimensions with random weights."""
    random = np.random.default_rng(0)
    config = {
        "model_type": "bert", "hidden_act": "gelu", "hidden_size": 8, "num_attention_heads": 2,
        "num_hidden_layers": 2, "layer_norm_eps": 1e-12,
    }  # fmt: skip
    shapes = {
        "embeddings.word_embeddings.weight": (20, 8),
        "embeddings.position_embeddings.weight": (16, 8),
        "embeddings.token_type_embeddings.weight": (2, 8),
        "embeddings.LayerNorm.weight": (8,), "embeddings.LayerNorm.bias": (8,),
    }  # fmt: skip
    for n in range(2):
        name = f"encoder.layer.{n}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= {
                f"{name}.attention.{part}.weight": (8, 8),
                f"{name}.attention.{part}.bias": (8,),
            }
        shapes |= {
            f"{name}.intermediate.dense.weight": (32, 8),
            f"{name}.intermediate.dense.bias": (32,),
        }
        shapes |= {f"{name}.output.dense.weight": (8, 32), f"{name}.output.dense.bias": (8,)}
        for norm in ("attention.output", "output"):
            shapes |= {
                f"{name}.{norm}.LayerNorm.weight": (8,),
                f"{name}.{norm}.LayerNorm.bias": (8,),
            }
    from safetensors.numpy import save_file

    weights = {k: random.normal(size=s).astype(np.float32) for k, s in shapes.items()}
    for name in changes.pop("without", ()):  # type: ignore[attr-defined]
        del weights[name]
    directory.mkdir(exist_ok=True)
    save_file(weights, directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps({**config, **changes}))
    return directory


def test_padding_changes_nothing(tmp_path: Path) -> None:
    import onnxruntime

    convert(tiny_bert(tmp_path / "m"), tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")

    def run(ids: list[list[int]], mask: list[list[int]]) -> np.ndarray:
        inputs = {"input_ids": np.array(ids), "attention_mask": np.array(mask)}
        return np.asarray(session.run(None, inputs)[0])

    alone = run([[1, 2, 3]], [[1, 1, 1]])[0]
    padded = run([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8]], [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])[0, :3]
    np.testing.assert_allclose(alone, padded, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "t5"},
        {"hidden_act": "swish"},
        {"position_embedding_type": "relative_key"},
        {"num_hidden_layers": "two"},
        {"num_hidden_layers": 3},
        {"without": ("embeddings.LayerNorm.bias",)},
    ],
    ids=str,
)
def test_other_architectures_are_refused_with_a_sentence(
    changes: dict[str, object], tmp_path: Path
) -> None:
    directory = tiny_bert(tmp_path / "m", **changes)
    with pytest.raises(InvalidModelError) as caught:
        convert(directory, tmp_path / "m.onnx")
    assert caught.value.message.endswith(".")
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        struct.pack("<Q", 1 << 60),
        struct.pack("<Q", 2) + b"{}x"[:1],
        struct.pack("<Q", 4) + b"null",
        struct.pack("<Q", 22) + b'{"a":{"dtype":"F32"}} ',
        struct.pack("<Q", 64) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}'.ljust(64),
    ],
    ids=range(7),
)
def test_broken_safetensors_are_refused_with_a_sentence(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(data)
    with pytest.raises(InvalidModelError, match=r"model\.safetensors"):
        read_safetensors(file)

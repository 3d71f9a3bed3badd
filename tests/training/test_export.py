"""Export: what PEFT computes and what the engine computes from the file are the same, or it is
refused with a sentence."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from ondol.errors import StorageError, TrainingError
from ondol.models.gguf import read_header
from ondol.training import export
from ondol.training.architectures import architecture_of
from ondol.training.export import export_adapter, export_peft

HIDDEN, WIDE, HEADS, KV_HEADS, RANK = 64, 128, 4, 2, 4
SHAPES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (HIDDEN // 2, HIDDEN),
    "self_attn.v_proj": (HIDDEN // 2, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (WIDE, HIDDEN),
    "mlp.up_proj": (WIDE, HIDDEN),
    "mlp.down_proj": (HIDDEN, WIDE),
}
CONFIG = {"peft_type": "LORA", "r": RANK, "lora_alpha": 8, "bias": "none", "use_rslora": False}
WEIGHTS = architecture_of("llama", "").weights
Q_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
Q_B = Q_A.replace("lora_A", "lora_B")

# "user: Which city is the capital of Italy?" in the chat format, and the beginning of a sentence.
PROMPTS = [
    [1, 4093, 198, 14413, 2240, 314, 260, 3575, 282, 7158, 47, 2, 198, 1, 520, 9531, 198],
    [504, 7395, 436, 6572, 281, 216, 33, 41, 35, 38, 411, 260, 23667, 30, 657, 2637, 1876, 929],
]
TOP = 100
MAX_DIFFERENCE = 0.03

Tensors = dict[str, np.ndarray]


def write_base(path: Path, architecture: str = "llama") -> Path:
    """A model of one layer that is large enough to be adapted."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    for module, shape in SHAPES.items():
        name = f"blk.0.{WEIGHTS[module]}.weight"
        writer.add_tensor(name, np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_base(tmp_path / "base.gguf")


@pytest.fixture
def tensors() -> Tensors:
    """An adapter of all seven modules, named as PEFT saves it."""
    random = np.random.default_rng(1)
    sides = {
        f"base_model.model.model.layers.0.{module}.lora_{side}.weight": shape
        for module, (rows, columns) in SHAPES.items()
        for side, shape in (("A", (RANK, columns)), ("B", (rows, RANK)))
    }
    return {k: random.standard_normal(shape).astype(np.float32) for k, shape in sides.items()}


def run(script: str, **job: Any) -> dict[str, list[dict[str, float]]]:
    """What the child process ``script`` of this folder says of ``job``."""
    child = subprocess.run(
        [sys.executable, Path(__file__).with_name(script)],
        input=json.dumps(job, default=str),
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-3000:]
    return json.loads(child.stdout)


@pytest.fixture(scope="module")
def f32_model(chat_model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The default model with every weight as F32: quantised arithmetic would hide an error."""
    path = tmp_path_factory.mktemp("f32") / "f32.gguf"
    reader = gguf.GGUFReader(chat_model_file)
    writer = gguf.GGUFWriter(path, "llama")
    for field in reader.fields.values():
        if not field.name.startswith(("GGUF.", "general.architecture", "general.file_type")):
            items = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], items)
    for tensor in reader.tensors:
        weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    yield path
    path.unlink()


@pytest.mark.slow
@pytest.mark.model
def test_engine_computes_what_peft_computes(
    f32_model: Path, chat_model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peft = run(
        "peft_logprobs.py", base=f32_model, folder=tmp_path / "peft", prompts=PROMPTS, top=TOP
    )
    adapters = {dtype: tmp_path / f"{dtype}.gguf" for dtype in ("f32", "f16", "q8_0")}
    for dtype, file in adapters.items():
        assert export_peft(tmp_path / "peft", chat_model_file, file, dtype=dtype) == 420
    monkeypatch.setattr(export, "permuted", lambda rows, heads: rows)
    adapters["unpermuted"] = tmp_path / "unpermuted.gguf"
    export_peft(tmp_path / "peft", chat_model_file, adapters["unpermuted"], dtype="f32")

    engine = run(
        "engine_logprobs.py", base=f32_model, adapters=adapters, prompts=PROMPTS, top=10 * TOP
    )

    def difference(name: str, reference: str) -> float:
        return max(
            abs(logprob - found.get(token, -99.0))
            for wanted, found in zip(peft[reference], engine[name], strict=True)
            for token, logprob in wanted.items()
        )

    assert difference("base", "base") <= MAX_DIFFERENCE
    assert difference("base", "adapter") > 10 * MAX_DIFFERENCE, "the adapter does something"
    for name in ("f32", "f16", "q8_0"):
        assert difference(name, "adapter") <= MAX_DIFFERENCE, name
    assert difference("unpermuted", "adapter") > 3 * MAX_DIFFERENCE, "the test would notice"


@pytest.mark.parametrize(
    ("dtype", "a", "b"), [("f32", "F32", "F32"), ("f16", "F16", "F16"), ("q8_0", "Q8_0", "F16")]
)
def test_file_is_an_adapter_of_the_dtype_asked_for(
    base: Path, tensors: Tensors, tmp_path: Path, dtype: Any, a: str, b: str
) -> None:
    out = tmp_path / "new" / "adapter.gguf"
    assert export_adapter(tensors, CONFIG, base, out, dtype=dtype) == 14
    header = read_header(out)
    assert (header.kind, header.architecture, header.metadata["adapter.type"]) == (
        ("adapter", "llama", "lora")
    )
    assert header.metadata["adapter.lora.alpha"] == 8
    types = {tensor.name[-1]: tensor.type for tensor in header.tensors}
    assert types == {"a": a, "b": b}


def test_rank_stabilised_alpha_grows_with_the_root_of_the_rank(
    base: Path, tensors: Tensors, tmp_path: Path
) -> None:
    out = tmp_path / "adapter.gguf"
    export_adapter(tensors, CONFIG | {"use_rslora": True}, base, out)
    assert read_header(out).metadata["adapter.lora.alpha"] == 16


def test_same_adapter_gives_the_same_bytes(base: Path, tensors: Tensors, tmp_path: Path) -> None:
    one, other = tmp_path / "one.gguf", tmp_path / "other.gguf"
    export_adapter(tensors, CONFIG, base, one)
    export_adapter(dict(reversed(tensors.items())), CONFIG, base, other)
    assert one.read_bytes() == other.read_bytes()


def test_bfloat16_adapter_of_a_folder_is_read(base: Path, tensors: Tensors, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    rounded = {key: torch.from_numpy(x).to(torch.bfloat16) for key, x in tensors.items()}
    save_file(rounded, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(CONFIG))
    out = tmp_path / "adapter.gguf"
    export_peft(tmp_path, base, out, dtype="f32")
    written = {x.name: x.data for x in gguf.GGUFReader(out).tensors}
    assert np.array_equal(written["blk.0.attn_q.weight.lora_a"], rounded[Q_A].float().numpy())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"use_qalora": True}, "use_qalora"),
        ({"lora_bias": True}, "lora_bias"),
        ({"bias": "all"}, "bias=all"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
        ({"alpha_pattern": {"q_proj": 2}}, "alpha_pattern"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"target_parameters": ["experts"]}, "target_parameters"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights=pissa_niter_4"),
        ({"peft_type": "LOHA"}, "peft_type=LOHA"),
        ({"r": 0}, "r (0)"),
        ({"r": None}, "r (None)"),
        ({"lora_alpha": 0}, "lora_alpha (0)"),
        ({"lora_alpha": float("nan")}, "lora_alpha (nan)"),
    ],
)
def test_what_the_engine_does_not_apply_is_refused_by_name(
    base: Path, tensors: Tensors, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(TrainingError) as refusal:
        export_adapter(tensors, CONFIG | change, base, tmp_path / "out.gguf")
    assert named in refusal.value.message
    assert "plain LoRA" in refusal.value.hint
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({Q_A: None}, "Of blk.0.attn_q the adapter has only one of the two matrices"),
        ({Q_A.replace("layers.0", "layers.7"): np.ones((RANK, HIDDEN))}, "layers.7.self_attn"),
        ({Q_A.replace("q_proj", "gate"): np.ones((RANK, HIDDEN))}, "layers.0.self_attn.gate"),
        ({"base_model.model.lm_head.lora_A.weight": np.ones((RANK, HIDDEN))}, "lm_head"),
        ({Q_A.replace("lora_A.weight", "lora_magnitude_vector"): np.ones(4)}, "magnitude"),
        ({Q_A: np.ones((RANK, HIDDEN + 1))}, "(4, 65), and base.gguf needs (4, 64)"),
        ({Q_A: np.ones((RANK * 2, HIDDEN))}, "(8, 64), and base.gguf needs (4, 64)"),
        ({Q_B: np.ones((WIDE, RANK))}, "(128, 4), and base.gguf needs (64, 4)"),
        ({Q_B: np.ones(HIDDEN)}, "needs (64, 4)"),
        ({Q_B: np.full((HIDDEN, RANK), np.nan)}, "infinities or values that are no numbers"),
        ({Q_B: np.full((HIDDEN, RANK), 1e39)}, "infinities or values that are no numbers"),
        ({Q_B: np.full((HIDDEN, RANK), 7e4)}, "too large for f16"),
    ],
)
def test_matrix_that_does_not_fit_is_refused(
    base: Path, tensors: Tensors, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    changed = {key: x for key, x in (tensors | change).items() if x is not None}
    with pytest.raises(TrainingError) as refusal:
        export_adapter(changed, CONFIG, base, tmp_path / "out.gguf")
    assert named in refusal.value.message
    assert refusal.value.hint
    assert not (tmp_path / "out.gguf").exists()


def test_values_too_large_for_f16_can_be_written_as_f32(
    base: Path, tensors: Tensors, tmp_path: Path
) -> None:
    large = tensors | {Q_B: np.full((HIDDEN, RANK), 7e4)}
    assert export_adapter(large, CONFIG, base, tmp_path / "out.gguf", dtype="f32") == 14


def test_adapter_of_nothing_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="changes nothing"):
        export_adapter({}, CONFIG, base, tmp_path / "out.gguf")


def test_other_architecture_is_refused_naming_those_supported(
    tensors: Tensors, tmp_path: Path
) -> None:
    other = write_base(tmp_path / "bloom.gguf", "bloom")
    with pytest.raises(TrainingError, match=r"bloom\.gguf is of the architecture bloom.* llama, q"):
        export_adapter(tensors, CONFIG, other, tmp_path / "out.gguf")


@pytest.mark.parametrize("content", [None, b"", b"not a model at all", b"GGUF\3\0\0\0"])
def test_base_that_is_no_model_is_refused(
    tensors: Tensors, tmp_path: Path, content: bytes | None
) -> None:
    base = tmp_path / "base.gguf"
    if content is not None:
        base.write_bytes(content)
    with pytest.raises(TrainingError, match="cannot be read as a GGUF model"):
        export_adapter(tensors, CONFIG, base, tmp_path / "out.gguf")


@pytest.mark.parametrize(
    ("config", "weights"), [(None, b""), (b"{", b""), (b"[]", b"x" * 99), (b"{}", b"x" * 99)]
)
def test_folder_without_a_readable_adapter_is_refused(
    base: Path, tmp_path: Path, config: bytes | None, weights: bytes
) -> None:
    if config is not None:
        (tmp_path / "adapter_config.json").write_bytes(config)
        (tmp_path / "adapter_model.safetensors").write_bytes(weights)
    with pytest.raises(TrainingError) as refusal:
        export_peft(tmp_path, base, tmp_path / "out.gguf")
    assert "does not hold an adapter that can be read" in refusal.value.message
    assert "adapter_config.json" in refusal.value.hint


def test_full_disk_leaves_the_old_adapter_and_nothing_half_written(
    base: Path, tensors: Tensors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "adapter.gguf"
    export_adapter(tensors, CONFIG, base, out)
    before = out.read_bytes()

    def full(writer: gguf.GGUFWriter) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensors_to_file", full)
    with pytest.raises(StorageError):
        export_adapter({key: x + 1 for key, x in tensors.items()}, CONFIG, base, out)
    assert out.read_bytes() == before
    assert sorted(x.name for x in tmp_path.glob("adapter*")) == ["adapter.gguf"]

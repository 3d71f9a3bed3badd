"""Small models of other shapes, with weights of zero, so that the estimate is not a fit to one.

Only their sizes are real: what they generate is nonsense.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from ondol.models.gguf_reader import TENSOR_TYPES

_CODES = {name: (code, block, size) for code, (name, block, size) in TENSOR_TYPES.items()}
_U32, _FLOAT, _STRING, _ARRAY, _I32 = 4, 6, 8, 9, 5


@dataclass(frozen=True, slots=True)
class Shape:
    """A model to write; ``experts`` counts (all, used) of a mixture, (0, 0) for a dense model."""

    name: str
    architecture: str = "llama"
    layers: int = 8
    width: int = 1024
    hidden: int = 4096
    heads: int = 16
    kv_heads: int = 4
    head_dim: int = 64
    vocabulary: int = 32_000
    merges: int = 30_000
    type: str = "Q8_0"
    window: int = 0
    experts: tuple[int, int] = (0, 0)


SHAPES = (
    Shape("wide dense, 8-bit"),
    Shape("4-bit, repacked by the CPU backend", type="Q4_K", width=2048, hidden=5632, heads=32),
    Shape("vocabulary of 262,144", vocabulary=262_144, merges=500_000, layers=4),
    Shape("sliding windows", "gemma3", layers=24, hidden=2048, window=512, head_dim=128),
    Shape("mixture of experts", "qwen3moe", hidden=512, experts=(16, 4)),
)


def write(shape: Shape, path: Path) -> None:
    """Write ``shape`` as a GGUF file that llama.cpp loads."""
    entries, tensors = _metadata(shape), _tensors(shape)
    infos, offset = b"", 0
    for name, dimensions, kind in tensors:
        code, block, block_bytes = _CODES[kind]
        infos += _text(name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        infos += struct.pack("<IQ", code, offset)
        elements = 1
        for size in dimensions:
            elements *= size
        offset += -(-elements // block * block_bytes // 32) * 32
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)) + b"".join(entries) + infos
    with path.open("wb") as file:
        file.write(head + bytes(-len(head) % 32))
        # Blocks really written: a sparse file's holes would be mapped as well, but never read.
        for start in range(0, offset, 2**20):
            file.write(bytes(min(2**20, offset - start)))


def _metadata(shape: Shape) -> list[bytes]:
    numbers = {
        "block_count": shape.layers,
        "context_length": 131_072,
        "embedding_length": shape.width,
        "feed_forward_length": shape.hidden,
        "attention.head_count": shape.heads,
        "attention.head_count_kv": shape.kv_heads,
        "attention.key_length": shape.head_dim,
        "attention.value_length": shape.head_dim,
        "rope.dimension_count": shape.head_dim,
        "vocab_size": shape.vocabulary,
    }
    if shape.window:
        numbers["attention.sliding_window"] = shape.window
    if shape.experts[0]:
        numbers["expert_count"], numbers["expert_used_count"] = shape.experts
        numbers["expert_feed_forward_length"] = shape.hidden
    tokens = [*_byte_letters(), *(f"tk{i}" for i in range(shape.vocabulary - 256))]
    merges = [f"t{i} k{i}" for i in range(shape.merges)]
    entries = [_entry("general.architecture", _STRING, _text(shape.architecture))]
    entries += [
        _entry(f"{shape.architecture}.{name}", _U32, struct.pack("<I", number))
        for name, number in numbers.items()
    ]
    epsilon = f"{shape.architecture}.attention.layer_norm_rms_epsilon"
    entries.append(_entry(epsilon, _FLOAT, struct.pack("<f", 1e-5)))
    entries += [
        _entry(f"tokenizer.ggml.{name}", _STRING, _text(value))
        for name, value in (("model", "gpt2"), ("pre", "gpt-2"))
    ]
    entries.append(_entry("tokenizer.ggml.tokens", _ARRAY, _strings(tokens)))
    entries.append(_entry("tokenizer.ggml.merges", _ARRAY, _strings(merges)))
    types = struct.pack(f"<IQ{len(tokens)}i", _I32, len(tokens), *[1] * len(tokens))
    entries.append(_entry("tokenizer.ggml.token_type", _ARRAY, types))
    for name in ("bos", "eos"):
        number = struct.pack("<I", shape.vocabulary - 1)
        entries.append(_entry(f"tokenizer.ggml.{name}_token_id", _U32, number))
    return entries


def _tensors(shape: Shape) -> list[tuple[str, tuple[int, ...], str]]:
    width, hidden, kind = shape.width, shape.hidden, shape.type
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    found: list[tuple[str, tuple[int, ...], str]] = [
        ("token_embd", (width, shape.vocabulary), "Q8_0"),
        ("output_norm", (width,), "F32"),
    ]
    norms = {"attn_norm": width, "ffn_norm": width}
    if shape.architecture != "llama":
        norms |= {"attn_q_norm": shape.head_dim, "attn_k_norm": shape.head_dim}
    if shape.architecture == "gemma3":
        norms |= {"post_attention_norm": width, "post_ffw_norm": width}
    matrices: dict[str, tuple[int, ...]] = {
        "attn_q": (width, queries),
        "attn_k": (width, keys),
        "attn_v": (width, keys),
        "attn_output": (queries, width),
    }
    number, _ = shape.experts
    many, suffix = ((number,), "_exps") if number else ((), "")
    matrices |= {f"ffn_{part}{suffix}": (width, hidden, *many) for part in ("gate", "up")}
    matrices[f"ffn_down{suffix}"] = (hidden, width, *many)
    for layer in range(shape.layers):
        found += [(f"blk.{layer}.{name}", (size,), "F32") for name, size in norms.items()]
        found += [(f"blk.{layer}.{name}", size, kind) for name, size in matrices.items()]
        if number:
            found.append((f"blk.{layer}.ffn_gate_inp", (width, number), "F32"))
    return [(f"{name}.weight", size, kind) for name, size, kind in found]


def _byte_letters() -> list[str]:
    """The letters GPT-2's byte-level vocabulary writes the 256 bytes with."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + i) for i in range(len(others))]


def _entry(key: str, code: int, value: bytes) -> bytes:
    return _text(key) + struct.pack("<I", code) + value


def _strings(items: list[str]) -> bytes:
    return struct.pack("<IQ", _STRING, len(items)) + b"".join(_text(item) for item in items)


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw

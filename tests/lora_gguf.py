"""GGUF LoRA adapters made by hand: random ones that fit a model, and ones that do not.

Written with nothing but the standard library and numpy, so that no test of serving needs the
training extra.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ondol.models.gguf import read_header

MODULES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
ALIGNMENT = 32
F32, I32 = 0, 26
_STRING, _FLOAT = 8, 6

Pair = tuple[np.ndarray, np.ndarray]


def random_pairs(
    base: Path,
    *,
    r: int = 4,
    seed: int = 1,
    strength: float = 0.2,
    modules: Sequence[str] = MODULES,
) -> dict[str, Pair]:
    """A and B, shapes (r, in) and (out, r), for every matrix of ``modules`` in ``base``."""
    generator = np.random.default_rng(seed)
    pairs = {}
    for tensor in read_header(base).tensors:
        if len(tensor.shape) == 2 and tensor.name.split(".")[-2] in modules:
            columns, rows = tensor.shape
            a = generator.normal(0, columns**-0.5, (r, columns)).astype(np.float32)
            b = generator.normal(0, strength, (rows, r)).astype(np.float32)
            pairs[tensor.name] = (a, b)
    return pairs


def lora_bytes(
    pairs: Mapping[str, Pair],
    *,
    architecture: str = "llama",
    alpha: float | None = 8.0,
    kind: str = "adapter",
    adapter_type: str = "lora",
    tensor_type: int = F32,
    **more: str,
) -> bytes:
    """The file of an adapter, as llama.cpp reads it, and with ``more`` entries."""
    strings = {"general.architecture": architecture, "general.type": kind}
    strings["adapter.type"] = adapter_type
    strings |= more
    entries = [_text(k) + struct.pack("<I", _STRING) + _text(v) for k, v in strings.items()]
    if alpha is not None:
        entries.append(_text("adapter.lora.alpha") + struct.pack("<If", _FLOAT, alpha))
    infos, data = b"", b""
    for name, pair in pairs.items():
        for letter, array in zip("ab", pair, strict=True):
            shape = array.shape[::-1]
            infos += _text(f"{name}.lora_{letter}") + struct.pack("<I", len(shape))
            infos += struct.pack(f"<{len(shape)}QIQ", *shape, tensor_type, len(data))
            data += array.tobytes()
            data += bytes(-len(data) % ALIGNMENT)
    head = b"GGUF" + struct.pack("<IQQ", 3, 2 * len(pairs), len(entries))
    head += b"".join(entries) + infos
    return head + bytes(-len(head) % ALIGNMENT) + data


def random_adapter(base: Path, file: Path, **how: object) -> Path:
    """A random adapter for every linear module of ``base``, with an effect nobody can miss."""
    file.write_bytes(lora_bytes(random_pairs(base, **how)))  # type: ignore[arg-type]
    return file


def base_bytes(chat_template: str = "{{ messages }}") -> bytes:
    """A model of one matrix, with a chat template: enough for an adapter to fit."""
    entry = _text("general.architecture") + struct.pack("<I", _STRING) + _text("llama")
    entry += _text("tokenizer.chat_template") + struct.pack("<I", _STRING) + _text(chat_template)
    tensor = _text("blk.0.attn_q.weight") + struct.pack("<IQQIQ", 2, 64, 64, F32, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + entry + tensor
    return head + bytes(-len(head) % ALIGNMENT) + bytes(64 * 64 * 4)


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()

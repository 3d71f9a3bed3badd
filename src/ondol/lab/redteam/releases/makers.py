"""Tiny files, well formed unless they are asked to lie: GGUF, safetensors, adapters, protobuf.

Written with the standard library alone, so that every byte of a malformed file is one that was
meant.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
LETTERS = dict(enumerate("BbHhIif?")) | {U64: "Q", I64: "q", F64: "d"}
ALIGNMENT = 32


@dataclass(frozen=True, slots=True)
class Case:
    """A release that has to be refused. ``shape`` names the published hole that it has the shape
    of, "" of one that was made up; ``codes`` what may be found, any of them where it is empty."""

    name: str
    files: Mapping[str, bytes]
    shape: str = ""
    codes: frozenset[str] = field(default_factory=frozenset)


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def bare(code: int, value: Any) -> bytes:
    return text(value) if code == STRING else struct.pack(f"<{LETTERS[code]}", value)


def entry(key: str | bytes, code: int, value: Any) -> bytes:
    """One metadata entry; an array is given as ``(item code, items)``."""
    head = text(key) + struct.pack("<I", code)
    if code == ARRAY:
        item, items = value
        return head + struct.pack("<IQ", item, len(items)) + b"".join(bare(item, x) for x in items)
    return head + bare(code, value)


def tensor(name: str | bytes, shape: Sequence[int], code: int = 0, offset: int = 0) -> bytes:
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + sizes + struct.pack("<IQ", code, offset)


TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
TOKENS = 4
ARCHITECTURE = entry("general.architecture", STRING, "llama")
NUMBERS = {
    "block_count": 1,
    "context_length": 512,
    "embedding_length": 8,
    "feed_forward_length": 16,
    "attention.head_count": 2,
    "attention.head_count_kv": 1,
}
VOCABULARY = {
    "tokens": entry("tokenizer.ggml.tokens", ARRAY, (STRING, ["a", "b", "c", "d"])),
    "scores": entry("tokenizer.ggml.scores", ARRAY, (F32, [0.0] * TOKENS)),
    "token_type": entry("tokenizer.ggml.token_type", ARRAY, (I32, [1] * TOKENS)),
    "eos": entry("tokenizer.ggml.eos_token_id", U32, 3),
}
ONE = (tensor("token_embd.weight", (8, TOKENS)),)
DATA = bytes(8 * TOKENS * 4)


def entries(*more: bytes, template: str | bytes = TEMPLATE, **changed: bytes | None) -> list[bytes]:
    """The metadata of a tiny model, ``changed`` (None: without), and ``more``."""
    parts: dict[str, bytes | None] = {"architecture": ARCHITECTURE}
    parts |= {key: entry(f"llama.{key}", U32, number) for key, number in NUMBERS.items()}
    parts |= VOCABULARY | {"template": entry("tokenizer.chat_template", STRING, template)}
    parts |= changed
    return [*(part for part in parts.values() if part is not None), *more]


def gguf(
    metadata: Sequence[bytes] | None = None,
    tensors: Sequence[bytes] = ONE,
    data: bytes = DATA,
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    num_tensors: int | None = None,
    num_entries: int | None = None,
    alignment: int = ALIGNMENT,
) -> bytes:
    """A GGUF; its counts can be made to lie."""
    metadata = entries() if metadata is None else metadata
    head = magic + struct.pack(
        "<IQQ",
        version,
        len(tensors) if num_tensors is None else num_tensors,
        len(metadata) if num_entries is None else num_entries,
    )
    head += b"".join(metadata) + b"".join(tensors)
    return head + bytes(-len(head) % alignment) + data


def adapter(
    pairs: Mapping[str, tuple[Sequence[int], Sequence[int]]] | None = None,
    *,
    alpha: Any = 8.0,
    alpha_code: int = F32,
    kind: str = "lora",
    fill: bytes = b"\0\0\0\0",
    more: Sequence[bytes] = (),
) -> bytes:
    """A LoRA in GGUF: shapes of A and B, fastest-changing first, by tensor; an empty one has no
    such factor."""
    pairs = {"blk.0.attn_q.weight": ((8, 2), (2, 8))} if pairs is None else pairs
    infos, data = [], b""
    for name, shapes in pairs.items():
        for letter, shape in zip("ab", shapes, strict=True):
            if shape:
                infos.append(tensor(f"{name}.lora_{letter}", shape, 0, len(data)))
                count = 1
                for size in shape:
                    count *= size
                data += fill * count
                data += bytes(-len(data) % ALIGNMENT)
    metadata = [
        ARCHITECTURE,
        entry("general.type", STRING, "adapter"),
        entry("adapter.type", STRING, kind),
        entry("adapter.lora.alpha", alpha_code, alpha),
        *more,
    ]
    return gguf(metadata, infos, data)


def safetensors(
    header: Mapping[str, Any] | str | bytes | None = None,
    data: bytes = bytes(16),
    *,
    length: int | None = None,
) -> bytes:
    """A safetensors file; the length of its header can be made to lie."""
    if header is None:
        header = {"w": described()}
    raw = header if isinstance(header, bytes) else b""
    if not isinstance(header, bytes):
        raw = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def described(dtype: Any = "F32", shape: Any = (4,), offsets: Any = (0, 16)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def factors(shapes: Mapping[str, Sequence[int]], fill: bytes = b"\0\0\0\0") -> bytes:
    """safetensors of float32 tensors of these shapes."""
    header, data = {}, b""
    for name, shape in shapes.items():
        count = 1
        for size in shape:
            count *= size
        header[name] = described("F32", list(shape), [len(data), len(data) + 4 * count])
        data += fill * count
    return safetensors(header, data)


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def whole(number: int, value: int) -> bytes:
    """A field of protobuf with a number."""
    return varint(number << 3) + varint(value & (2**64 - 1))


def sized(number: int, value: bytes) -> bytes:
    """A field of protobuf with bytes."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def initializer(
    name: bytes = b"w", *, raw: bytes = bytes(16), dims: Sequence[int] = (4,), more: bytes = b""
) -> bytes:
    """TensorProto of float32."""
    parts = b"".join(whole(1, size) for size in dims) + whole(2, 1) + sized(8, name)
    return parts + sized(9, raw) + more


def onnx(graph: bytes | None = None, *, domain: bytes = b"", more: bytes = b"") -> bytes:
    """ModelProto of one graph."""
    if graph is None:
        graph = sized(1, sized(4, b"Relu")) + sized(5, initializer())
    opset = sized(8, sized(1, domain) + whole(2, 17))
    return whole(1, 8) + opset + sized(7, graph) + more


def pieces(score: bytes = b"\0\0\0\0", piece: bytes = b"a") -> bytes:
    """A SentencePiece model of one piece."""
    return sized(1, sized(1, piece) + varint(2 << 3 | 5) + score)


def one(name: str, file: str, data: bytes, *codes: str, shape: str = "") -> Case:
    """A release of one file."""
    return Case(name, {file: data}, shape, frozenset(codes))


def numbered(prefix: str, cases: Iterator[Case]) -> Iterator[Case]:
    for number, case in enumerate(cases):
        yield Case(f"{prefix}{number:03}-{case.name}", case.files, case.shape, case.codes)

"""GGUF: what the reader of headers does not look at, for it is the runtime's to survive.

``models.gguf_reader`` bounds every count, length, type and offset (the shapes of CVE-2025-53630,
CVE-2026-27940 and CVE-2026-7482, and of Talos' reports of 2024). Here: numbers that llama.cpp
divides by or allocates with, tokens of which others speak, the exact end of the file, templates,
and every weight. Raises ``Refused``, ``InvalidModelError``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import BinaryIO

from ondol.hub.scan import numbers, templates
from ondol.hub.scan.refused import Refused
from ondol.models.gguf import GgufHeader, header_of
from ondol.models.gguf_reader import Elided, Reader, Value, padded, shown
from ondol.models.inspection import CHAT_TEMPLATE

MAX_TENSOR_NAME_BYTES = 63
"""GGML_MAX_NAME, less the zero that ends it."""

_U8, _I8, _U32, _I32, _F32, _STRING, _F64 = 0, 1, 4, 5, 6, 8, 12
_NO_TOKEN = 2**32 - 1
_BYTE = 6  # LLAMA_TOKEN_TYPE_BYTE, the last of the types of tokens
_HEXADECIMAL = re.compile(rb"<0x[0-9A-Fa-f]{2}>")
_MOST_FILE_TYPE = 1023

# What may stand at ``<architecture>.<key>``: least and most. A divisor is at least 1.
_BOUNDS = {
    "block_count": (1, 4096),
    "context_length": (1, 2**31 - 1),
    "embedding_length": (1, 2**20),
    "feed_forward_length": (0, 2**24),
    "attention.head_count": (0, 2**14),
    "attention.head_count_kv": (0, 2**14),
    "attention.key_length": (1, 2**16),
    "attention.value_length": (1, 2**16),
    "attention.sliding_window": (0, 2**31 - 1),
    "rope.dimension_count": (0, 2**16),
    "vocab_size": (1, 2**24),
    "expert_count": (0, 2**12),
    "expert_used_count": (0, 2**12),
}


@dataclass(frozen=True, slots=True)
class _Array:
    """``count`` values of the type ``code`` from ``place`` to ``end``, in bytes from the start of
    the file."""

    code: int
    count: int
    place: int
    end: int


class Watching(Reader):
    """A reader that notes where the arrays begin and end: ``arrays``, by key, in bytes from the
    start of the file."""

    def __init__(self, file: BinaryIO, name: str, size_bytes: int) -> None:
        super().__init__(file, name, size_bytes)
        self.types: dict[str, int] = {}
        self.arrays: dict[str, tuple[int, int]] = {}

    def value(self, code: int, where: str) -> Value:
        self.types[where] = code
        return super().value(code, where)

    def array(self, where: str) -> Value:
        start = self.position
        found = super().array(where)
        self.arrays[where] = start, self.position
        return found


def header(file: BinaryIO, name: str) -> tuple[GgufHeader, Watching]:
    """The header of ``file``, from its start, and the reader that read it."""
    file.seek(0)
    reader = Watching(file, name, os.fstat(file.fileno()).st_size)
    return header_of(reader), reader


def look(header: GgufHeader, reader: Watching, descriptor: int) -> Iterator[Refused]:
    """All that is wrong with the rest of the file."""
    yield from _names(header)
    yield from _hyperparameters(header)
    yield from _arrays(header, reader, descriptor)
    yield from _end(header)
    yield from _templates(header)
    yield from _weights(header, descriptor)


def _names(header: GgufHeader) -> Iterator[Refused]:
    """C reads a name up to a zero and a terminal obeys an escape; llama.cpp takes 63 bytes."""
    for key in header.metadata:
        if not key.isprintable():
            yield Refused("bad_key", field=shown(key))
    for tensor in header.tensors:
        if not tensor.name.isprintable() or len(tensor.name.encode()) > MAX_TENSOR_NAME_BYTES:
            yield Refused("bad_tensor_name", tensor=shown(tensor.name))


def _hyperparameters(header: GgufHeader) -> Iterator[Refused]:
    if header.part or header.kind in ("adapter", "projector"):
        return
    for name, (lowest, most) in _BOUNDS.items():
        key = f"{header.architecture}.{name}"
        value = header.metadata.get(key)
        if value is None:
            continue
        least = lowest
        values = value if isinstance(value, tuple) else (value,)
        if name == "attention.head_count" and value == 0 and _attends(header):
            least = 1
        sane = all(type(one) is int and least <= one <= most for one in values)
        if isinstance(value, Elided) or not sane:
            yield Refused("bad_number", field=shown(key), least=least, most=most)
    kind = header.metadata.get("general.file_type", 0)
    if type(kind) is not int or not 0 <= kind <= _MOST_FILE_TYPE:
        yield Refused("bad_number", field="general.file_type", least=0, most=_MOST_FILE_TYPE)
    used, experts = header.number("expert_used_count"), header.number("expert_count")
    if used is not None and experts is not None and used > experts:
        key = f"{header.architecture}.expert_used_count"
        yield Refused("bad_number", field=shown(key), least=0, most=experts)
    for key, value in header.metadata.items():
        if isinstance(value, float) and not isfinite(value):
            yield Refused("bad_entry", field=shown(key))


def _attends(header: GgufHeader) -> bool:
    """Models without attention (Mamba, RWKV) say that they have no heads."""
    return any(".attn_q" in tensor.name for tensor in header.tensors)


def _arrays(header: GgufHeader, reader: Watching, descriptor: int) -> Iterator[Refused]:
    """Arrays of numbers, and those of a tokenizer, which index each other."""
    if reader.types.get("general.alignment", _U32) != _U32:
        yield Refused("bad_entry", field="general.alignment")
    arrays: dict[str, _Array] = {}
    for key, (place, end) in reader.arrays.items():
        head = os.pread(descriptor, 12, place)
        code, count = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:], "little")
        arrays[key] = _Array(code, count, place + len(head), end)
        kind, size = ("F32", 4) if code == _F32 else ("F64", 8)
        is_float = code in (_F32, _F64) and count > 0
        if is_float and numbers.has_nan(descriptor, place + len(head), count * size, kind):
            yield Refused("bad_entry", field=key)
    tokens = arrays.get("tokenizer.ggml.tokens")
    if tokens is None:
        return
    if tokens.code != _STRING or not tokens.count:
        yield Refused("bad_entry", field="tokenizer.ggml.tokens")
        return
    texts = _texts(tokens, descriptor)
    # llama.cpp ends itself over a token that is there twice; an empty one it gives a name.
    if len(set(filter(None, texts))) < len(texts) - texts.count(b""):
        yield Refused("same_tokens")
    yield from _tokens(header, tokens.count)
    yield from _beside_tokens(arrays, texts, descriptor)
    yield from _characters(arrays, descriptor)


def _tokens(header: GgufHeader, count: int) -> Iterator[Refused]:
    """What is said of one token is said of one that there is, and each has its row."""
    for key, value in header.metadata.items():
        if key.startswith("tokenizer.ggml.") and key.endswith("_token_id"):
            is_token = type(value) is int and (0 <= value < count or value in (-1, _NO_TOKEN))
            if not is_token:
                yield Refused("bad_token_id", field=shown(key), count=count)
    for tensor in header.tensors:
        if tensor.name == "token_embd.weight" and tensor.shape[-1] < count:
            yield Refused("few_embeddings", rows=tensor.shape[-1], count=count)


def _texts(tokens: _Array, descriptor: int) -> list[bytes]:
    """The tokens, which the reader has walked: every length in them is right."""
    raw = os.pread(descriptor, tokens.end - tokens.place, tokens.place)
    found = []
    at = 0
    for _ in range(tokens.count):
        end = at + 8 + int.from_bytes(raw[at : at + 8], "little")
        found.append(raw[at + 8 : end])
        at = end
    return found


def _beside_tokens(
    arrays: Mapping[str, _Array], texts: list[bytes], descriptor: int
) -> Iterator[Refused]:
    """Arrays that are read by a token's number are as long as there are tokens."""
    import numpy as np

    for name, codes in (("scores", (_F32,)), ("token_type", (_I32, _U32))):
        key = f"tokenizer.ggml.{name}"
        found = arrays.get(key)
        if found is None:
            continue
        if found.code not in codes or found.count != len(texts):
            yield Refused("bad_tokens", field=key, count=len(texts))
            continue
        values = np.frombuffer(os.pread(descriptor, 4 * found.count, found.place), "<u4")
        if name == "token_type" and int(values.max()) > _BYTE:
            yield Refused("bad_entry", field=key)
        elif name == "token_type":
            # Of a byte, llama.cpp reads the two digits wherever they should be.
            bytes_are = (texts[place] for place in np.flatnonzero(values == _BYTE))
            if not all(_HEXADECIMAL.fullmatch(text) for text in bytes_are):
                yield Refused("bad_entry", field=key)


def _characters(arrays: Mapping[str, _Array], descriptor: int) -> Iterator[Refused]:
    """SentencePiece's table of characters begins with the length of a part of it."""
    key = "tokenizer.ggml.precompiled_charsmap"
    found = arrays.get(key)
    if found is None or not found.count:
        return
    length = int.from_bytes(os.pread(descriptor, 4, found.place), "little")
    if found.code not in (_U8, _I8) or length % 4 or length + 4 >= found.count:
        yield Refused("bad_entry", field=key)


def _end(header: GgufHeader) -> Iterator[Refused]:
    """Behind the last weight comes nothing, but for what fills its last row of bytes."""
    value = header.metadata.get("general.alignment", 32)
    alignment = value if isinstance(value, int) else 32
    last = max((one.offset + one.size_bytes for one in header.tensors), default=0)
    if header.file_size_bytes > padded(header.data_offset + last, alignment):
        extra = header.file_size_bytes - header.data_offset - last
        yield Refused("trailing", count=extra)


def _templates(header: GgufHeader) -> Iterator[Refused]:
    for key, value in header.metadata.items():
        if key != CHAT_TEMPLATE and not key.startswith(f"{CHAT_TEMPLATE}."):
            continue
        if not isinstance(value, str):
            yield Refused("long_template", kilobytes=templates.MAX_BYTES // 1024)
        elif refused := templates.look(value, is_main=key == CHAT_TEMPLATE):
            yield refused


def _weights(header: GgufHeader, descriptor: int) -> Iterator[Refused]:
    for tensor in header.tensors:
        start = header.data_offset + tensor.offset
        if numbers.has_nan(descriptor, start, tensor.size_bytes, tensor.type):
            yield Refused("not_finite", tensor=shown(tensor.name))

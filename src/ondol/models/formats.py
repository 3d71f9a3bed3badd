"""Weights in another format: the same tensors under the same header, stored in other types.

The metadata, the tokenizer and the chat template stay as they are, byte for byte, but for the one
number that names the format. What each type holds is gguf's business. Raises
``InvalidModelError`` for a file that is none, ``StorageError``, and ``ValueError`` for a format
that cannot be written.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ondol import paths
from ondol.models.gguf import GgufHeader, read_header, tensors_position
from ondol.models.gguf_reader import TENSOR_TYPES, TensorInfo, open_reader, padded

if TYPE_CHECKING:
    import numpy.typing as npt

FORMATS = {"F16": 1, "BF16": 32, "Q8_0": 7, "Q5_1": 9, "Q5_0": 8, "Q4_1": 3, "Q4_0": 2}
"""What can be written, by llama.cpp's ``general.file_type``."""

CHUNK_WEIGHTS = 1 << 23
"""As many are held as 32-bit numbers at once."""

_CODES = {name: code for code, (name, _, _) in TENSOR_TYPES.items()}
_SIZES = {name: (block, size) for name, block, size in TENSOR_TYPES.values()}
_WHOLE = ("F32", "F16", "BF16")

# Looked up or multiplied once a token: in fewer than 8 bits it costs more quality than it saves
# time, and as 16-bit numbers more time than quality (llama-quantize treats it apart, too).
_ENDS = ("token_embd.weight", "output.weight")

# What llama-quantize leaves alone, because a little noise in it is a lot in the answer.
_LEFT_ALONE = re.compile(
    r"_norm|ffn_gate_inp|position_embd|token_types|ssm_|time_mix|shortconv|attn_rel_b|altup|"
    r"laurel|per_layer|\.bias$"
)

_FILE_TYPE = struct.pack("<Q17sI", 17, b"general.file_type", 4)


def planned(header: GgufHeader, format: str) -> tuple[TensorInfo, ...]:
    """The tensors of ``header``'s file as they would be in ``format``."""
    if format not in FORMATS:
        raise ValueError(f"unknown format {format!r}")
    alignment = _alignment(header)
    offset, found = 0, []
    for tensor in header.tensors:
        kind = _kind(tensor, format)
        block, block_bytes = _SIZES[kind]
        size = prod(tensor.shape) // block * block_bytes
        found.append(replace(tensor, type=kind, offset=offset, size_bytes=size))
        offset = padded(offset + size, alignment)
    return tuple(found)


def size_in(header: GgufHeader, format: str) -> int:
    """The bytes of ``header``'s file in ``format``."""
    last = planned(header, format)[-1]
    return header.data_offset + padded(last.offset + last.size_bytes, _alignment(header))


def requantise(
    source: Path, target: Path, format: str, on_bytes: Callable[[int], None] = lambda done: None
) -> None:
    """Write the weights of ``source`` to ``target`` in ``format``; ``on_bytes`` hears how many
    bytes are written, and may raise."""
    header = read_header(source)
    tensors = planned(header, format)
    with open_reader(source) as reader:
        start = tensors_position(reader)
    with source.open("rb") as old:
        front = _renamed(old.read(start), format)
        try:
            with target.open("wb") as new:
                new.write(front + b"".join(map(_described, tensors)))
                for before, after in zip(header.tensors, tensors, strict=True):
                    _pad(new, header.data_offset + after.offset)
                    for piece in _converted(old, header.data_offset, before, after.type):
                        new.write(piece)
                        on_bytes(new.tell())
                _pad(new, padded(new.tell(), _alignment(header)))
        except OSError as error:
            raise paths.storage_error(error, target) from error


def _kind(tensor: TensorInfo, format: str) -> str:
    """The type that a tensor has in a file of ``format``."""
    is_matrix = len(tensor.shape) > 1 and tensor.name.endswith(".weight")
    if not is_matrix or _LEFT_ALONE.search(tensor.name) or not _is_readable(tensor.type):
        return tensor.type
    wanted = format
    if tensor.name in _ENDS and format not in _WHOLE:
        wanted = "Q8_0" if tensor.type in _WHOLE else tensor.type
    elif tensor.name in _ENDS and tensor.type not in _WHOLE:
        wanted = tensor.type
    if tensor.shape[0] % _SIZES[wanted][0]:
        return tensor.type if tensor.type in _WHOLE else "F16"
    return wanted


def _is_readable(kind: str) -> bool:
    """Whether it is a type of weights; whole numbers are indices."""
    return kind not in ("I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K", "Q1_0", "Q2_0")


def _converted(old: BinaryIO, data_offset: int, tensor: TensorInfo, kind: str) -> Iterator[bytes]:
    """The bytes of ``tensor`` as ``kind``, some rows at a time."""
    block, block_bytes = _SIZES[tensor.type]
    row = tensor.shape[0]
    row_bytes = row // block * block_bytes
    rows = prod(tensor.shape) // row
    step = max(1, CHUNK_WEIGHTS // row)
    old.seek(data_offset + tensor.offset)
    for first in range(0, rows, step):
        count = min(step, rows - first)
        stored = old.read(count * row_bytes)
        yield stored if kind == tensor.type else _as(kind, _weights(stored, tensor.type, count))


def _weights(stored: bytes, kind: str, rows: int) -> npt.NDArray[Any]:
    import numpy as np
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    shaped = np.frombuffer(stored, np.uint8).reshape(rows, -1)
    if kind == "F16":  # gguf reads those two by their types
        return shaped.view(np.float16).astype(np.float32)
    if kind == "F32":
        return shaped.view(np.float32)
    return np.asarray(dequantize(shaped, GGMLQuantizationType(_CODES[kind])))


def _as(kind: str, weights: npt.NDArray[Any]) -> bytes:
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    return bytes(quantize(weights, GGMLQuantizationType(_CODES[kind])).tobytes())


def _described(tensor: TensorInfo) -> bytes:
    """The tensor in the list of tensors."""
    name = tensor.name.encode()
    return struct.pack(
        f"<Q{len(name)}sI{len(tensor.shape)}QIQ",
        *(len(name), name, len(tensor.shape), *tensor.shape),
        *(_CODES[tensor.type], tensor.offset),
    )


def _renamed(front: bytes, format: str) -> bytes:
    """The header's front with the other format's number, where it holds one."""
    before, found, after = front.partition(_FILE_TYPE)
    # A text that holds the same bytes is not worth a wrong guess: it is only a name.
    if not found or _FILE_TYPE in after:
        return front
    return before + found + struct.pack("<I", FORMATS[format]) + after[4:]


def _alignment(header: GgufHeader) -> int:
    value = header.metadata.get("general.alignment", 32)
    return value if isinstance(value, int) else 32


def _pad(file: BinaryIO, position: int) -> None:
    file.write(bytes(position - file.tell()))

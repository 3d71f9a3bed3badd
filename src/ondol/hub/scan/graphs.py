"""ONNX graphs and SentencePiece models: what is in the file, all of it, and nothing elsewhere.

Field numbers are those of onnx.proto3 and sentencepiece_model.proto. Weights in other files are
refused (CVE-2022-25882, CVE-2024-27318), and so are operators of libraries that would have to be
loaded. Raises ``Refused``.
"""

from __future__ import annotations

import mmap
import os
import struct
from math import isfinite, prod

from ondol.hub.scan import numbers
from ondol.hub.scan.protobuf import Field, Wire, varint
from ondol.hub.scan.refused import Refused
from ondol.models.gguf_reader import shown

MAX_BYTES = 512 * 2**20
MAX_DEPTH = 16
MAX_DIMENSIONS = 16
MAX_PIECES = 2**21
_MAX_MESSAGE_BYTES = 2**20

_DOMAINS = frozenset(
    ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc")
)
# TensorProto.DataType: what safetensors calls it, and its bits.
_TYPES = {
    1: ("F32", 32),
    2: ("U8", 8),
    3: ("I8", 8),
    4: ("U16", 16),
    5: ("I16", 16),
    6: ("I32", 32),
    7: ("I64", 64),
    8: ("", 0),  # texts, which are never raw
    9: ("BOOL", 8),
    10: ("F16", 16),
    11: ("F64", 64),
    12: ("U32", 32),
    13: ("U64", 64),
    14: ("C64", 64),
    16: ("BF16", 16),
    17: ("F8_E4M3", 8),
    18: ("F8_E4M3FNUZ", 8),
    19: ("F8_E5M2", 8),
    20: ("F8_E5M2FNUZ", 8),
    21: ("U4", 4),
    22: ("I4", 4),
    23: ("F4", 4),
}


def look_onnx(descriptor: int) -> None:
    """ModelProto: a graph (7), and what operators it uses (8)."""
    whole = _mapped(descriptor)
    wire, graphs, opsets = Wire(), 0, 0
    for field in wire.fields(whole):
        match field.number:
            case 7:
                graphs += 1
                _graph(wire, field.message, descriptor, whole, 0)
            case 8:
                opsets += 1
                for one in wire.fields(field.message):
                    if one.number == 1:
                        _domain(one.text)
            case 20 | 25:  # training, and functions of the file's own
                raise Refused("bad_graph", what="functions")
            case _:
                pass
    if graphs != 1 or not opsets:
        raise Refused("bad_graph", what="graph")


def _graph(wire: Wire, graph: memoryview, descriptor: int, whole: memoryview, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Refused("bad_graph", what="depth")
    for field in wire.fields(graph):
        if field.number == 1:
            _node(wire, field.message, descriptor, whole, depth)
        elif field.number == 5:
            _tensor(wire, field.message, descriptor, whole)


def _node(wire: Wire, node: memoryview, descriptor: int, whole: memoryview, depth: int) -> None:
    for field in wire.fields(node):
        if field.number == 7:
            _domain(field.text)
        if field.number != 5:
            continue
        for value in wire.fields(field.message):  # AttributeProto
            if value.number in (5, 10):
                _tensor(wire, value.message, descriptor, whole)
            elif value.number in (6, 11):
                _graph(wire, value.message, descriptor, whole, depth + 1)
            elif value.number in (22, 23):
                raise Refused("bad_graph", what="sparse tensor")


def _tensor(wire: Wire, tensor: memoryview, descriptor: int, whole: memoryview) -> None:
    """TensorProto: dims (1), data_type (2), name (8), raw_data (9); external_data (13) is none."""
    found: dict[int, list[Field]] = {}
    for field in wire.fields(tensor):
        found.setdefault(field.number, []).append(field)
    name = shown(found[8][-1].text) if 8 in found else ""
    if any(field.value for number in (13, 14) for field in found.get(number, ())):
        raise Refused("external_data", tensor=name)
    dimensions = [size for field in found.get(1, ()) for size in _sizes(field)]
    code = found[2][-1].whole if 2 in found else 0
    if code not in _TYPES or len(dimensions) > MAX_DIMENSIONS or min(dimensions, default=0) < 0:
        raise Refused("bad_shape", tensor=name)
    if 9 not in found:
        return
    kind, bits = _TYPES[code]
    raw = found[9][-1].message
    if not kind or -(-prod(dimensions) * bits // 8) != len(raw):
        raise Refused("bad_shape", tensor=name)
    if raw and numbers.is_known(kind):
        place = _place(raw, whole)
        if numbers.has_nan(descriptor, place, len(raw), kind):
            raise Refused("not_finite", tensor=name)


def _sizes(field: Field) -> list[int]:
    """One size of a tensor, or several that are packed."""
    return [field.whole] if isinstance(field.value, int) else _packed(field.value)


def _packed(message: memoryview) -> list[int]:
    found: list[int] = []
    at = 0
    while at < len(message) and len(found) <= MAX_DIMENSIONS:
        value, at = varint(message, at)
        found.append(value - 2**64 if value >= 2**63 else value)
    return found


def _place(part: memoryview, whole: memoryview) -> int:
    """Where in the file ``part`` of it begins, in bytes."""
    import numpy as np

    first, start = (np.frombuffer(view, "u1", 1).ctypes.data for view in (part, whole))
    return int(first) - int(start)


def _domain(name: str) -> None:
    if name not in _DOMAINS:
        raise Refused("bad_operator", what=shown(name))


def look_sentencepiece(descriptor: int) -> None:
    """ModelProto: pieces (1) of a text (1) and a score (2); the rest is small."""
    whole = _mapped(descriptor)
    wire, pieces = Wire(), 0
    for field in wire.fields(whole):
        if field.number != 1:
            if not isinstance(field.value, int) and len(field.value) > _MAX_MESSAGE_BYTES:
                raise Refused("bad_protobuf")
            continue
        pieces += 1
        for one in wire.fields(field.message):
            if one.number == 1 and not one.text:
                raise Refused("bad_tokenizer", field="piece")
            if one.number == 2 and not isfinite(_single(one.message)):
                raise Refused("bad_tokenizer", field="score")
    if not 0 < pieces <= MAX_PIECES:
        raise Refused("bad_tokenizer", field="pieces")


def _single(raw: memoryview) -> float:
    if len(raw) != 4:
        raise Refused("bad_protobuf")
    return float(struct.unpack("<f", raw)[0])


def _mapped(descriptor: int) -> memoryview:
    size = os.fstat(descriptor).st_size
    if not 0 < size <= MAX_BYTES:
        raise Refused("too_large" if size else "empty", megabytes=MAX_BYTES // 2**20)
    return memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ))

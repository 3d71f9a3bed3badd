"""safetensors: a header in JSON, then the weights of each tensor, one behind the other.

As strict as the format's own library (its README, "Format"), whose limits came from an audit (Trail
of Bits, 2023): the length of the header is capped, keys are unique, tensors neither overlap nor
leave holes, and the last one ends with the file. Raises ``Refused``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from ondol.hub.scan import numbers
from ondol.hub.scan.refused import Refused
from ondol.models.gguf_reader import shown

MAX_HEADER_BYTES = 16 * 2**20
"""The format allows 100 MB; that of a model of 100 000 tensors has 12."""
MAX_TENSORS = 100_000
MAX_NAME_BYTES = 512
MAX_DIMENSIONS = 8
MAX_METADATA = 4096

BITS: Mapping[str, int] = {
    kind: bits
    for bits, kinds in {
        4: "F4",
        6: "F6_E2M3 F6_E3M2",
        8: "BOOL U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ",
        16: "I16 U16 F16 BF16",
        32: "I32 U32 F32",
        64: "I64 U64 F64 C64",
    }.items()
    for kind in kinds.split()
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor; ``offset`` counts bytes from the start of the file."""

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    size_bytes: int


def header(descriptor: int) -> tuple[Tensor, ...]:
    """The tensors of the file, in their order in it."""
    size_bytes = os.fstat(descriptor).st_size
    length = int.from_bytes(os.pread(descriptor, 8, 0), "little")
    if size_bytes < 10 or not 2 <= length <= min(size_bytes - 8, MAX_HEADER_BYTES):
        raise Refused("bad_header_length", length=length, most=MAX_HEADER_BYTES)
    raw = os.pread(descriptor, length, 8)
    if raw[:1] != b"{":
        raise Refused("bad_header")
    try:
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise Refused("bad_header") from None
    metadata = content.pop("__metadata__", {})
    texts = isinstance(metadata, dict) and all(isinstance(one, str) for one in metadata.values())
    if not texts or len(metadata) > MAX_METADATA:
        raise Refused("bad_metadata")
    if not 0 < len(content) <= MAX_TENSORS:
        raise Refused("bad_tensor_count", count=len(content), most=MAX_TENSORS)
    start = 8 + length
    found = sorted(
        (_tensor(name, said, start) for name, said in content.items()),
        key=lambda one: (one.offset, one.size_bytes),
    )
    at = start
    for one in found:
        if one.offset != at:
            raise Refused("misplaced", tensor=shown(one.name))
        at += one.size_bytes
    if at != size_bytes:
        raise Refused("bad_end", size=size_bytes, expected=at)
    return tuple(found)


def look(tensors: tuple[Tensor, ...], descriptor: int) -> Iterator[Refused]:
    """All weights that are no numbers."""
    for one in tensors:
        if one.size_bytes and numbers.has_nan(descriptor, one.offset, one.size_bytes, one.type):
            yield Refused("not_finite", tensor=shown(one.name))


def _tensor(name: str, said: Any, start: int) -> Tensor:
    if not name or not name.isprintable() or len(name.encode(errors="replace")) > MAX_NAME_BYTES:
        raise Refused("bad_tensor_name", tensor=shown(name))
    if not isinstance(said, dict) or said.keys() != {"dtype", "shape", "data_offsets"}:
        raise Refused("bad_tensor", tensor=shown(name))
    kind, shape, offsets = said["dtype"], said["shape"], said["data_offsets"]
    if not isinstance(kind, str) or kind not in BITS:
        raise Refused("bad_dtype", tensor=shown(name))
    if not _are_numbers(shape) or len(shape) > MAX_DIMENSIONS or prod(shape) >= 2**48:
        raise Refused("bad_shape", tensor=shown(name))
    if not _are_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise Refused("misplaced", tensor=shown(name))
    bits, size_bytes = prod(shape) * BITS[kind], offsets[1] - offsets[0]
    if bits % 8 or bits // 8 != size_bytes:
        raise Refused("bad_shape", tensor=shown(name))
    return Tensor(name, tuple(shape), kind, start + offsets[0], size_bytes)


def _are_numbers(found: Any) -> bool:
    return isinstance(found, list) and all(type(one) is int and 0 <= one < 2**48 for one in found)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate")
    return found

"""Numbers that are none: NaN and infinity, in floats and in the scales of quantised blocks.

One of them in a weight makes every answer noise, so every one is looked at, where
``ggml_validate_row_data`` of ggml-quants.c looks: at the exponent bits of each float, and of the
scale (and the minimum) of each block. Read in small pieces; some times as fast as SHA-256.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Fits into the second cache of a processor: what was copied is looked at while it is near.
PIECE_BYTES = 256 * 1024

_HALF, _BRAIN, _SINGLE, _DOUBLE = 0x7C00, 0x7F80, 0x7F800000, 0x7FF0000000000000
# ggml's blocks of half-precision scales: bytes of a block, and where in it they are.
_SCALES: Mapping[str, tuple[int, tuple[int, ...]]] = {
    "Q1_0": (18, (0,)),
    "Q2_0": (18, (0,)),
    "Q4_0": (18, (0,)),
    "Q4_1": (20, (0, 2)),
    "Q5_0": (22, (0,)),
    "Q5_1": (24, (0, 2)),
    "Q8_0": (34, (0,)),
    "Q8_1": (36, (0, 2)),
    "Q2_K": (84, (80, 82)),
    "Q3_K": (110, (108,)),
    "Q4_K": (144, (0, 2)),
    "Q5_K": (176, (0, 2)),
    "Q6_K": (210, (208,)),
    "IQ1_S": (50, (0,)),
    "IQ2_XXS": (66, (0,)),
    "IQ2_XS": (74, (0,)),
    "IQ2_S": (82, (0,)),
    "IQ3_XXS": (98, (0,)),
    "IQ3_S": (110, (0,)),
    "IQ4_NL": (18, (0,)),
    "IQ4_XS": (136, (0,)),
    "TQ1_0": (54, (52,)),
    "TQ2_0": (66, (64,)),
}
WHOLE = frozenset(
    "I8 I16 I32 I64 U8 U16 U32 U64 F4 F6_E2M3 F6_E3M2".split()  # the last three have no NaN
)
"""Types in which every bit pattern is a number."""


@dataclass(frozen=True, slots=True)
class _Look:
    """Blocks of ``block_bytes``; ``is_bad`` of a run of whole blocks."""

    block_bytes: int
    is_bad: Callable[[memoryview], bool]


def is_known(kind: str) -> bool:
    """Whether numbers of the type ``kind``, in ggml's or safetensors' words, can be looked at."""
    return kind in WHOLE or kind in _looks()


def has_nan(descriptor: int, offset: int, size_bytes: int, kind: str) -> bool:
    """Whether there is a NaN or an infinity among the ``size_bytes`` bytes of the type ``kind``
    from ``offset``; of BOOL, a byte that is neither 0 nor 1. ``EOFError`` where the file ends."""
    if kind in WHOLE:
        return False
    look = _looks()[kind]
    buffer = memoryview(
        bytearray(min(PIECE_BYTES // look.block_bytes * look.block_bytes, size_bytes))
    )
    at, end = offset, offset + size_bytes
    while at < end:
        piece = buffer[: min(len(buffer), end - at)]
        filled = 0
        while filled < len(piece):
            count = os.preadv(descriptor, [piece[filled:]], at + filled)
            if not count:
                raise EOFError
            filled += count
        if look.is_bad(piece):
            return True
        at += filled
    return False


def _looks() -> Mapping[str, _Look]:
    if not _made:
        _made.update(_make())
    return _made


_made: dict[str, _Look] = {}


def _make() -> dict[str, _Look]:
    """By type, in ggml's words and in safetensors'."""
    import numpy as np

    looks = {
        "F16": _Look(2, _exponents("<u2", _HALF)),
        "BF16": _Look(2, _exponents("<u2", _BRAIN)),
        "F32": _Look(4, lambda piece: not np.isfinite(np.frombuffer(piece, "<f4")).all()),
        "F64": _Look(8, lambda piece: not np.isfinite(np.frombuffer(piece, "<f8")).all()),
        "Q8_K": _Look(292, _exponents(_column(292, 0, "<u4"), _SINGLE)),
        "IQ1_M": _Look(56, _iq1_m),
        "MXFP4": _Look(17, _mxfp4),
        "NVFP4": _Look(36, _nvfp4),
        "BOOL": _Look(1, lambda piece: int(np.frombuffer(piece, "u1").max()) > 1),
        "F8_E5M2": _Look(1, _exponents("u1", 0x7C)),
        "F8_E4M3": _Look(1, _exponents("u1", 0x7F)),
        "F8_E8M0": _Look(1, _exponents("u1", 0xFF)),
        "F8_E4M3FNUZ": _Look(1, lambda piece: bool((np.frombuffer(piece, "u1") == 0x80).any())),
        "F8_E5M2FNUZ": _Look(1, lambda piece: bool((np.frombuffer(piece, "u1") == 0x80).any())),
        "C64": _Look(8, lambda piece: not np.isfinite(np.frombuffer(piece, "<f4")).all()),
    }
    for name, (block_bytes, places) in _SCALES.items():
        columns = [_exponents(_column(block_bytes, place, "<u2"), _HALF) for place in places]
        looks[name] = _Look(block_bytes, _any(columns))
    return looks


def _any(columns: list[Callable[[memoryview], bool]]) -> Callable[[memoryview], bool]:
    return lambda piece: any(is_bad(piece) for is_bad in columns)


def _column(block_bytes: int, place: int, number: str) -> np.dtype[Any]:
    """Of each block, the number at ``place``."""
    import numpy as np

    return np.dtype(
        {"names": ["d"], "formats": [number], "offsets": [place], "itemsize": block_bytes}
    )


def _exponents(kind: str | np.dtype[Any], mask: int) -> Callable[[memoryview], bool]:
    """Whether all bits of ``mask`` are set in any number."""
    import numpy as np

    def is_bad(piece: memoryview) -> bool:
        numbers: NDArray[Any] = np.frombuffer(piece, kind)
        if numbers.dtype.names:
            numbers = numbers["d"]
        return int((numbers & mask).max()) == mask

    return is_bad


def _iq1_m(piece: memoryview) -> bool:
    """Its scale is in pieces: the high four bits of each of the last four words of a block."""
    import numpy as np

    words = np.frombuffer(piece, np.uint8).reshape(-1, 56)[:, 48:].copy().view("<u2")
    scale = words[:, 0] >> 12 | words[:, 1] >> 8 & 0xF0 | words[:, 2] >> 4 & 0xF00
    return int(((scale | words[:, 3] & 0xF000) & _HALF).max()) == _HALF


def _mxfp4(piece: memoryview) -> bool:
    """An exponent begins a block of 17 bytes (OCP Microscaling Formats 1.0, 5.4.1); all ones are
    NaN, and the largest numbers of a block under the three before are infinite in a float."""
    import numpy as np

    return int(np.frombuffer(piece, np.uint8).reshape(-1, 17)[:, 0].max()) > 252


def _nvfp4(piece: memoryview) -> bool:
    """Four scales of eight bits (UE4M3) begin a block of 36 bytes."""
    import numpy as np

    scales = np.frombuffer(piece, np.uint8).reshape(-1, 36)[:, :4]
    return int((scales & 0x7F).max()) == 0x7F

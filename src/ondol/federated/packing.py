"""Ring integers on the wire: exactly ``bits`` bits each. (Masks leave nothing to compress.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ondol.errors import MalformedMessageError
from ondol.i18n import t

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ring = npt.NDArray[np.uint32]

AT_ONCE = 1 << 16
"""Integers spread into bits at a time (2 MiB); a multiple of 8, so that a group ends on a byte."""


def packed_size(count: int, bits: int) -> int:
    """Bytes of ``count`` integers."""
    return (count * bits + 7) // 8


def pack_bits(ints: Ring, bits: int) -> bytes:
    """(n,) integers below 2**bits -> bytes, lowest bit first. Raises ``ValueError`` for larger
    ones: cut off, they would make a wrong sum."""
    import numpy as np

    if not 1 <= bits <= 32 or (ints.size and int(ints.max()) >> bits):
        raise ValueError(f"not {bits} bits")
    parts = []
    for start in range(0, len(ints), AT_ONCE):
        some = np.ascontiguousarray(ints[start : start + AT_ONCE], "<u4")
        spread = np.unpackbits(some.view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
        parts.append(np.packbits(spread[:, :bits], bitorder="little").tobytes())
    return b"".join(parts)


def unpack_bits(data: bytes, bits: int, count: int) -> Ring:
    """What ``pack_bits`` packed. Raises ``MalformedMessageError`` unless there are ``count``."""
    import numpy as np

    if not 1 <= bits <= 32 or count < 0 or len(data) != packed_size(count, bits):
        raise MalformedMessageError(t("federated_privacy.packed"))
    ints = np.empty(count, np.uint32)
    for start in range(0, count, AT_ONCE):
        many = min(AT_ONCE, count - start)
        some = np.frombuffer(data, np.uint8, packed_size(many, bits), start * bits // 8)
        spread = np.zeros((many, 32), np.uint8)
        ones = np.unpackbits(some, bitorder="little")
        spread[:, :bits] = ones[: many * bits].reshape(many, bits)
        if ones[many * bits :].any():
            raise MalformedMessageError(t("federated_privacy.packed"))
        ints[start : start + many] = np.packbits(spread, axis=1, bitorder="little").view("<u4")[
            :, 0
        ]
    return ints

"""One bit a component: on which side of the mean it lies (binary quantisation).

Near vectors differ in few bits. The bits lie in planes, one row of 64-bit words for each 64
components, so that the processor counts the differing bits of many vectors at once: a million take
less time than a hundred thousand at one byte a component.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]
    Planes = npt.NDArray[np.uint64]

WORD = 64
_PIECE = 2048


def planes_of(rows: npt.NDArray[Any], centre: Matrix) -> Planes:
    """Shape (words, n) for rows of shape (n, dimensions)."""
    import numpy as np

    words = -(-rows.shape[1] // WORD)
    out = np.zeros((words, len(rows)), dtype=np.uint64)
    for begin in range(0, len(rows), _PIECE):
        packed = np.packbits(rows[begin : begin + _PIECE] > centre, axis=1)
        filled = np.zeros((len(packed), words * WORD // 8), dtype=np.uint8)
        filled[:, : packed.shape[1]] = packed
        out[:, begin : begin + len(packed)] = filled.view(np.uint64).T
    return out


def distances(planes: Planes, query: Planes, out: npt.NDArray[np.uint16]) -> None:
    """How many bits of each vector differ from those of the one in ``query``, into ``out``."""
    import numpy as np

    out[:] = 0
    for plane, word in zip(planes, query, strict=True):
        out += np.bitwise_count(plane ^ word[0])

"""Fingerprints of a text: keyed hashes of some of its passages, the same ones wherever they stand.

Winnowing (Schleimer, Wilkerson & Aiken 2003, "Winnowing: local algorithms for document
fingerprinting"): of the hashes of ``least`` letters in every window the smallest is kept, so that
two texts with ``sure`` letters in a row in common always share one. Knows no database.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Marks = npt.NDArray[np.uint64]


def winnow(folded: str, key: bytes, *, least: int, sure: int) -> tuple[Marks, npt.NDArray[np.intp]]:
    """The fingerprints of ``folded`` (see ``folding.letters``), 63 bits each, and where in it each
    begins; both of shape (n,), in the order of the text. A text below ``sure`` letters but not
    below ``least`` has one."""
    import numpy as np

    codes = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    count = len(codes) - least + 1
    if count < 1:
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.intp)
    hashes = _hashes(codes.astype(np.uint64), count, least, key)
    width = min(sure - least + 1, count)
    smallest = _slide(hashes, width, np.minimum)
    # A hash is kept when it is the smallest of a window: none that it is in has a larger one.
    padded = np.pad(smallest, width - 1)
    places = np.flatnonzero(_slide(padded, width, np.maximum) == hashes)
    return hashes[places], places


def _slide(values: Marks, width: int, combine: np.ufunc) -> Marks:
    """``combine`` over every window of ``width``, in log(width) passes."""
    done = 1
    while done < width:
        step = min(done, width - done)
        values = combine(values[:-step], values[step:])
        done += step
    return values


def _hashes(codes: Marks, count: int, least: int, key: bytes) -> Marks:
    """A hash of each of ``count`` passages: a polynomial of its letters modulo 2^64 at a secret
    point (overflow is the modulus), then mixed."""
    import numpy as np

    drawn = hashlib.shake_256(b"passages" + key).digest(24)
    base, first, second = (
        np.uint64(int.from_bytes(drawn[i : i + 8], "little") | 1) for i in (0, 8, 16)
    )
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(least):
        hashes *= base
        hashes += codes[offset : offset + count]
    for multiplier in (first, second):
        hashes ^= hashes >> np.uint64(32)
        hashes *= multiplier
    return (hashes ^ (hashes >> np.uint64(29))) >> np.uint64(1)

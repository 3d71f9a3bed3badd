"""A public random rotation that spreads a vector evenly over its coordinates.

Pairs of coordinates are complex numbers; each is turned by one of four right angles, then all go
through a unitary discrete Fourier transform: the randomised transform of Ailon and Chazelle 2009,
with Fourier's in Hadamard's place as in Agarwal, Kairouz and Liu 2021, arXiv:2110.04995, appendix.
Unlike Hadamard's it needs no padding to a power of two, which would cost up to twice the traffic.
Lengths are kept, and the rotation of a sum is the sum of the rotations.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]


def rotate(vector: npt.NDArray[np.floating], seed: bytes) -> Doubles:
    """(d,) -> (d + d % 2,), with the same L2 norm."""
    import numpy as np

    even = np.zeros(len(vector) + len(vector) % 2)
    even[: len(vector)] = vector
    pairs = even.view(np.complex128) * _turns(len(even) // 2, seed)
    turned: Doubles = np.fft.fft(pairs, norm="ortho").view(np.float64)
    return turned


def unrotate(turned: Doubles, seed: bytes) -> Doubles:
    """What ``rotate`` was given, with its zero at the end where it added one."""
    import numpy as np

    pairs = np.fft.ifft(np.ascontiguousarray(turned).view(np.complex128), norm="ortho")
    back: Doubles = (pairs * _turns(len(pairs), seed).conj()).view(np.float64)
    return back


def _turns(count: int, seed: bytes) -> npt.NDArray[np.complex128]:
    """1, i, -1 or -i each, by SHAKE-256: the same on every machine and in every version."""
    import numpy as np

    drawn = np.frombuffer(hashlib.shake_256(seed).digest((count + 3) // 4), np.uint8)
    quarters = np.stack([drawn >> shift & 3 for shift in (0, 2, 4, 6)], axis=1).ravel()[:count]
    angles: npt.NDArray[np.complex128] = np.array([1, 1j, -1, -1j])[quarters]
    return angles

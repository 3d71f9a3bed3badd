"""What home does against bad updates where it sees each of them.

Every one takes (n, d) float32, a device's update in each row, none longer than ``clip_norm``, and
gives the mean (d,) that the shared vector moves by, and which rows had a part in it. A fifth of the
devices are reckoned to be bad. Pure functions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ondol.federated.plan import Defence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ondol.federated.coordinating.protocols import Vector

    Updates = NDArray[np.float32]

BAD_SHARE = 0.2


def robust_mean(defence: Defence, updates: Updates) -> tuple[Vector, list[int]]:
    """The mean of ``updates`` as ``defence`` has it, and the rows that count."""
    everybody = list(range(len(updates)))
    if defence == "median":
        return median(updates), everybody
    if defence == "trimmed":
        return trimmed_mean(updates, math.ceil(BAD_SHARE * len(updates))), everybody
    chosen = multi_krum(updates, bad(len(updates))) if defence == "krum" else everybody
    return _mean(updates[chosen]), chosen


def bad(count: int) -> int:
    """How many of ``count`` devices Krum can reckon with: it needs 2 f + 3 of them."""
    return max(0, min(math.ceil(BAD_SHARE * count), (count - 3) // 2))


def median(updates: Updates) -> Vector:
    """Of each coordinate (Yin et al. 2018, arXiv:1803.01498)."""
    import numpy as np

    found: Vector = np.median(updates, axis=0).astype(np.float32)
    return found


def trimmed_mean(updates: Updates, cut: int) -> Vector:
    """The mean of each coordinate without its ``cut`` largest and smallest (the same paper)."""
    import numpy as np

    cut = min(cut, (len(updates) - 1) // 2)
    return _mean(np.sort(updates, axis=0)[cut : len(updates) - cut])


def multi_krum(updates: Updates, num_bad: int) -> list[int]:
    """The rows that lie closest to their neighbours, all but ``num_bad`` (Blanchard et al. 2017,
    NeurIPS, section 4). The score of a row is the sum of its squared distances to the
    n - num_bad - 2 rows that are nearest."""
    import numpy as np

    count = len(updates)
    nearest = max(1, count - num_bad - 2)
    distances = _squared_distances(updates)
    np.fill_diagonal(distances, np.inf)
    scores = np.sort(distances, axis=1)[:, : min(nearest, count - 1)].sum(axis=1)
    order = np.argsort(scores, kind="stable")[: count - num_bad]
    return sorted(int(row) for row in order)


def _squared_distances(updates: Updates) -> NDArray[Any]:
    import numpy as np

    wide = updates.astype(np.float64)
    squares = np.einsum("ij,ij->i", wide, wide)
    found: NDArray[Any] = np.maximum(squares[:, None] + squares[None] - 2 * wide @ wide.T, 0)
    return found


def _mean(updates: Updates) -> Vector:
    import numpy as np

    found: Vector = updates.mean(axis=0, dtype=np.float64).astype(np.float32)
    return found

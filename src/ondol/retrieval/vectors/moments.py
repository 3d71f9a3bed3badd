"""What a random vector of the index scores: mean and standard deviation for any query at once.

From the sum and the second moments of the rows both follow for every query without a scan. Beyond
``COUNTED_EXACTLY`` rows one in ``STRIDE`` is counted, and for as many: at that size the estimate is
as good, and counting all would take longer than loading them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]
    Weights = npt.NDArray[np.uint8]

COUNTED_EXACTLY = 20_000
STRIDE = 16


class Moments:
    """The sum and the outer products of weighted rows."""

    def __init__(self, dimensions: int) -> None:
        import numpy as np

        self._weight = 0
        self._sum = np.zeros(dimensions)
        self._outer = np.zeros((dimensions, dimensions))

    def weights(self, ids: npt.NDArray[np.int64], present: int) -> Weights:
        """How much each of ``ids`` counts when ``present`` rows are there already: keep it, for
        ``count`` when the row goes."""
        import numpy as np

        whole = max(0, min(COUNTED_EXACTLY - present, len(ids)))
        weights = np.where(ids % STRIDE == 0, STRIDE, 0).astype(np.uint8)
        weights[:whole] = 1
        return weights

    def count(self, rows: Matrix, weights: Weights, sign: int) -> None:
        """Add (``sign`` 1) or take away (-1) rows of shape (n, dimensions)."""
        import numpy as np

        counted = weights > 0
        rows = rows[counted]
        weighted = rows * weights[counted].astype(np.float32)[:, np.newaxis]
        self._weight += sign * int(weights.sum())
        self._sum += sign * weighted.sum(axis=0)
        self._outer += sign * (weighted.T @ rows)

    def centre(self) -> Matrix:
        """The mean of the rows."""
        import numpy as np

        return (self._sum / max(self._weight, 1)).astype(np.float32)

    def score(self, vector: Matrix) -> tuple[float, float]:
        """Mean and standard deviation of the rows' products with ``vector``."""
        count = max(self._weight, 1)
        mean = float(self._sum @ vector) / count
        square = float(vector @ self._outer @ vector) / count
        return mean, float(max(square - mean * mean, 0.0) ** 0.5)

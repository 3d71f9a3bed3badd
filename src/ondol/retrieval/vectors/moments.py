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

COUNTED_EXACTLY = 10_000
STRIDE = 16
WAITING_ROWS = 2048


class Moments:
    """The sum and the outer products of weighted rows."""

    def __init__(self, dimensions: int) -> None:
        import numpy as np

        self._weight = 0
        self._sum = np.zeros(dimensions)
        self._outer = np.zeros((dimensions, dimensions))
        # One product of many rows costs less than many of a few, so they wait for each other.
        self._waiting: list[tuple[Matrix, Matrix]] = []
        self._num_waiting = 0

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
        signed = weights[counted].astype(np.float32)[:, np.newaxis] * np.float32(sign)
        if len(signed):
            self._waiting.append((rows[counted], signed))
            self._num_waiting += len(signed)
        if self._num_waiting > WAITING_ROWS:
            self._settle()

    def centre(self) -> Matrix:
        """The mean of the rows."""
        import numpy as np

        self._settle()
        return (self._sum / max(self._weight, 1)).astype(np.float32)

    def score(self, vector: Matrix) -> tuple[float, float]:
        """Mean and standard deviation of the rows' products with ``vector``."""
        self._settle()
        count = max(self._weight, 1)
        mean = float(self._sum @ vector) / count
        square = float(vector @ self._outer @ vector) / count
        return mean, float(max(square - mean * mean, 0.0) ** 0.5)

    def _settle(self) -> None:
        import numpy as np

        if not self._waiting:
            return
        rows = np.concatenate([rows for rows, _ in self._waiting])
        weights = np.concatenate([weights for _, weights in self._waiting])
        weighted = rows * weights
        self._waiting, self._num_waiting = [], 0
        self._weight += round(float(weights.sum(dtype=np.float64)))
        self._sum += weighted.sum(axis=0, dtype=np.float64)
        self._outer += weighted.T @ rows

"""Exact vector search in RAM: the embedded ``VectorIndex``.

An exact scan of 10,000 vectors takes a few milliseconds and of 100,000 about 25 (research/store.md
section 0), so nothing has to be built and deleting is free. Knows ids and vectors, nothing of SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]


class ExactIndex:
    """Unit vectors by id; a score is a cosine. Not locked: its owner is."""

    def __init__(self, dimensions: int) -> None:
        import numpy as np

        self._ids = np.zeros(0, dtype=np.int64)
        self._rows: dict[int, int] = {}
        self._vectors: Matrix = np.zeros((0, dimensions), dtype=np.float32)
        self._sum = np.zeros(dimensions)
        self._moment = np.zeros((dimensions, dimensions))

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Sequence[int], vectors: Matrix) -> None:
        """Append; ``vectors`` has shape (len(ids), dimensions). Ids must be new."""
        import numpy as np

        self._place(
            np.concatenate([self._ids, np.asarray(ids, dtype=np.int64)]),
            np.concatenate([self._vectors, vectors.astype(np.float32)]),
        )
        self._count(vectors, 1)

    def remove(self, ids: Sequence[int]) -> None:
        """Drop ``ids``; unknown ones are ignored."""
        import numpy as np

        gone = np.isin(self._ids, np.asarray(ids, dtype=np.int64))
        self._count(self._vectors[gone], -1)
        self._place(self._ids[~gone], self._vectors[~gone])

    def search(self, vector: Matrix, limit: int) -> list[tuple[int, float]]:
        """The ``limit`` best (id, score), best first."""
        import numpy as np

        scores = self._vectors @ vector
        limit = min(limit, len(scores))
        if not limit:
            return []
        best = np.argpartition(-scores, limit - 1)[:limit]
        best = best[np.argsort(-scores[best], kind="stable")]
        return [(int(self._ids[i]), float(scores[i])) for i in best]

    def scores(self, vector: Matrix, ids: Sequence[int]) -> dict[int, float]:
        """The score of each of ``ids`` that is here."""
        known = [i for i in ids if i in self._rows]
        values = self._vectors[[self._rows[i] for i in known]] @ vector
        return dict(zip(known, values.tolist(), strict=True))

    def background(self, vector: Matrix) -> tuple[float, float]:
        """Mean and standard deviation of the scores of all vectors."""
        count = max(len(self), 1)
        mean = float(self._sum @ vector) / count
        square = float(vector @ self._moment @ vector) / count
        return mean, float(max(square - mean * mean, 0.0) ** 0.5)

    def _place(self, ids: npt.NDArray[np.int64], vectors: Matrix) -> None:
        self._ids, self._vectors = ids, vectors
        self._rows = {int(i): row for row, i in enumerate(ids)}

    def _count(self, vectors: Matrix, sign: int) -> None:
        self._sum += sign * vectors.sum(axis=0)
        self._moment += sign * (vectors.T @ vectors)

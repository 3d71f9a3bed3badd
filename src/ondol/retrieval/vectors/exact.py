"""Exact vector search in RAM: the embedded ``VectorIndex``.

All rows are scored by their codes of one byte a component; a row whose score may still be among the
best, by what the rounding of its codes can amount to at most, is scored again in full. So the
result is that of a full scan, whatever the vectors, at a quarter of the memory to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ondol.retrieval.vectors.blocks import Blocks, quantise
from ondol.retrieval.vectors.moments import Moments
from ondol.retrieval.vectors.places import NOWHERE, Places

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.int64]

# Rows taken in, or scored in full, at a time.
BATCH = 4096


class ExactIndex:
    """Unit vectors by id, kept in half precision; a score is a cosine. Not locked: its owner is."""

    def __init__(self, dimensions: int) -> None:
        self._blocks = Blocks(dimensions)
        self._places = Places()
        self._moments = Moments(dimensions)

    def __len__(self) -> int:
        return self._blocks.count

    def add(self, ids: Sequence[int] | Numbers, vectors: Matrix | npt.NDArray[np.float16]) -> None:
        """Append; ``vectors`` has shape (len(ids), dimensions). Ids must be new."""
        import numpy as np

        numbers = np.asarray(ids, dtype=np.int64)
        for begin in range(0, len(numbers), BATCH):
            mine = numbers[begin : begin + BATCH]
            columns, exact = quantise(vectors[begin : begin + BATCH].astype(np.float16, copy=False))
            weights = self._moments.weights(mine, len(self))
            self._moments.count(exact, weights, 1)
            self._places.put(mine, np.arange(len(self), len(self) + len(mine)))
            self._blocks.append({**columns, "ids": mine, "weights": weights})

    def remove(self, ids: Sequence[int] | Numbers) -> None:
        """Drop ``ids``; unknown ones are ignored."""
        import numpy as np

        rows = self._places.find(np.unique(np.asarray(ids, dtype=np.int64)))
        rows = rows[rows != NOWHERE]
        for begin in range(0, len(rows), BATCH):
            some = rows[begin : begin + BATCH]
            exact = self._blocks.take("halves", some).astype(np.float32)
            self._moments.count(exact, self._blocks.take("weights", some), -1)
        gone = self._blocks.take("ids", rows)
        moved, places = self._blocks.drop(rows)
        self._places.put(gone, np.full(len(gone), NOWHERE))
        self._places.put(moved, places)
        self._changed(places)

    def search(
        self, vector: Matrix, limit: int, *, among: Numbers | None = None
    ) -> list[tuple[int, float]]:
        """The ``limit`` best (id, score), best first; with ``among`` only of these ids."""
        import numpy as np

        rows = None
        if among is not None:
            rows = np.sort(self._places.find(among))
            rows = rows[np.searchsorted(rows, 0) :]
        limit = min(limit, len(self) if rows is None else len(rows))
        if limit <= 0:
            return []
        vector = np.ascontiguousarray(vector, dtype=np.float32)
        best = self._shortlist(vector, limit, rows)
        scores, ids = self._full(vector, best), self._blocks.take("ids", best)
        order = np.lexsort((ids, -scores))[:limit]
        return list(zip(ids[order].tolist(), scores[order].tolist(), strict=True))

    def scores(self, vector: Matrix, ids: Sequence[int]) -> dict[int, float]:
        """The score of each of ``ids`` that is here."""
        import numpy as np

        numbers = np.asarray(ids, dtype=np.int64)
        rows = self._places.find(numbers)
        here = rows != NOWHERE
        values = self._full(np.ascontiguousarray(vector, dtype=np.float32), rows[here])
        return dict(zip(numbers[here].tolist(), values.tolist(), strict=True))

    def background(self, vector: Matrix) -> tuple[float, float]:
        """Mean and standard deviation of the scores of all vectors (of a sample in large ones)."""
        return self._moments.score(vector)

    def close(self) -> None:
        """Nothing is held but memory."""

    def _changed(self, rows: Numbers) -> None:
        """Hook: a removal moved other vectors into ``rows``, and dropped the last rows."""

    def _shortlist(self, vector: Matrix, limit: int, rows: Numbers | None) -> Numbers:
        """Every row, of the sorted ``rows`` or of all, that may be among the ``limit`` best."""
        import numpy as np

        scores, wrong = self._blocks.look(vector, rows)
        surely = np.partition(scores - wrong, len(scores) - limit)[len(scores) - limit]
        chosen = np.flatnonzero(scores + wrong >= surely)
        return chosen if rows is None else rows[chosen]

    def _full(self, vector: Matrix, rows: Numbers) -> Matrix:
        import numpy as np

        scores = np.empty(len(rows), dtype=np.float32)
        for begin in range(0, len(rows), BATCH):
            some = self._blocks.take("halves", rows[begin : begin + BATCH])
            scores[begin : begin + BATCH] = some.astype(np.float32) @ vector
        return scores

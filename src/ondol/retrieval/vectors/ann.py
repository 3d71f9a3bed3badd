"""Approximate search for large libraries: the bits of all vectors first, then as in the exact one.

Beyond ``exact_chunks`` vectors the nearest by their bits are scored by their codes, and the best of
these in full. There is no graph to build, and a vector that is removed is overwritten at once;
nothing is written to disk. The bits are made in the background, a block at a time: a block that has
none yet is scanned exactly, so that every search finds everything from the first moment on.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ondol.retrieval.vectors import blocks
from ondol.retrieval.vectors.bits import distances, planes_of
from ondol.retrieval.vectors.exact import ExactIndex

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.int64]
    Planes = npt.NDArray[np.uint64]

EXACT_CHUNKS = 200_000
# How many vectors are scored by their codes after the bits: so many for each one wanted.
CANDIDATES_EACH = 400
MIN_CANDIDATES = 4000
# At least one in so many of all: vectors without any topics among them need more.
CANDIDATE_SHARE = 32


class ApproximateIndex(ExactIndex):
    """Exact up to ``exact_chunks`` vectors, approximate beyond. Safe to use from several threads:
    its own one makes the bits."""

    def __init__(self, dimensions: int, *, exact_chunks: int = EXACT_CHUNKS) -> None:
        super().__init__(dimensions)
        self._exact_chunks = exact_chunks
        self._lock = threading.RLock()
        self._planes: list[Planes | None] = []
        self._centre: Matrix = self._moments.centre()
        self._is_centred = False
        self._builder: threading.Thread | None = None
        self._closed = False

    def add(self, ids: Sequence[int] | Numbers, vectors: Matrix | npt.NDArray[np.float16]) -> None:
        with self._lock:
            before = len(self)
            super().add(ids, vectors)
            self._follow(before)

    def remove(self, ids: Sequence[int] | Numbers) -> None:
        with self._lock:
            super().remove(ids)

    def search(
        self, vector: Matrix, limit: int, *, among: Numbers | None = None
    ) -> list[tuple[int, float]]:
        with self._lock:
            return super().search(vector, limit, among=among)

    def scores(self, vector: Matrix, ids: Sequence[int]) -> dict[int, float]:
        with self._lock:
            return super().scores(vector, ids)

    @property
    def is_approximate(self) -> bool:
        """Whether every search goes through the bits now."""
        with self._lock:
            return len(self) > self._exact_chunks and self._missing() is None

    def wait(self, timeout_seconds: float | None = None) -> None:
        """Until the bits of all vectors are made."""
        builder = self._builder
        if builder is not None:
            builder.join(timeout_seconds)

    def close(self) -> None:
        """Stop the thread that makes bits."""
        self._closed = True
        self.wait()

    def _shortlist(self, vector: Matrix, limit: int, rows: Numbers | None) -> Numbers:
        total = len(self) if rows is None else len(rows)
        if total > self._exact_chunks and self._is_centred:
            rows = self._near_by_bits(vector, limit, rows)
        return super()._shortlist(vector, limit, rows)

    def _near_by_bits(self, vector: Matrix, limit: int, rows: Numbers | None) -> Numbers:
        import numpy as np

        query = planes_of(vector[np.newaxis], self._centre)
        # A block without bits differs in nothing: all of it is looked at.
        apart = np.zeros(len(self), dtype=np.uint16)
        bare = np.zeros(len(self._planes), dtype=bool)
        for number, planes in enumerate(self._planes):
            begin = number * blocks.BLOCK_ROWS
            part = apart[begin : begin + blocks.BLOCK_ROWS]
            bare[number] = planes is None
            if planes is not None:
                distances(planes[:, : len(part)], query, part)
        if rows is not None:
            apart = apart[rows]
        wanted = max(MIN_CANDIDATES, CANDIDATES_EACH * limit, len(apart) // CANDIDATE_SHARE)
        if bare.any():
            everywhere = np.arange(len(self)) if rows is None else rows
            wanted += int(bare[everywhere // blocks.BLOCK_ROWS].sum())
        if wanted >= len(apart):
            return np.arange(len(self)) if rows is None else rows
        near = np.flatnonzero(apart <= np.partition(apart, wanted)[wanted])
        return near if rows is None else rows[near]

    def _changed(self, rows: Numbers) -> None:
        """Other vectors are in ``rows`` now: after a removal, when there may be fewer blocks."""
        import numpy as np

        del self._planes[-(-len(self) // blocks.BLOCK_ROWS) :]
        numbers = rows // blocks.BLOCK_ROWS
        for number in np.unique(numbers).tolist():
            planes = self._planes[number]
            if planes is not None:
                mine = rows[numbers == number]
                values = self._blocks.take("halves", mine)
                planes[:, mine - number * blocks.BLOCK_ROWS] = planes_of(values, self._centre)

    def _follow(self, before: int) -> None:
        """Bits for the rows from ``before`` on, where their block has bits; else have them made."""
        import numpy as np

        if len(self._planes) * blocks.BLOCK_ROWS > before and self._planes[-1] is not None:
            end = min(len(self), len(self._planes) * blocks.BLOCK_ROWS)
            self._changed(np.arange(before, end))
        missing = -(-len(self) // blocks.BLOCK_ROWS) - len(self._planes)
        self._planes.extend([None] * missing)
        wanted = len(self) > self._exact_chunks and self._missing() is not None
        if wanted and self._builder is None:
            self._builder = threading.Thread(target=self._build, name="ondol-bits", daemon=True)
            self._builder.start()

    def _missing(self) -> int | None:
        """The first block without bits."""
        return next((i for i, planes in enumerate(self._planes) if planes is None), None)

    def _build(self) -> None:
        while not self._closed:
            with self._lock:
                number = self._missing()
                if number is None:
                    self._builder = None
                    return
                if not self._is_centred:
                    self._centre, self._is_centred = self._moments.centre(), True
                self._make(number)

    def _make(self, number: int) -> None:
        import numpy as np

        begin = number * blocks.BLOCK_ROWS
        rows = np.arange(begin, min(begin + blocks.BLOCK_ROWS, len(self)))
        words = -(-self._blocks.dimensions // 64)
        planes = np.zeros((words, blocks.BLOCK_ROWS), dtype=np.uint64)
        planes[:, : len(rows)] = planes_of(self._blocks.take("halves", rows), self._centre)
        self._planes[number] = planes

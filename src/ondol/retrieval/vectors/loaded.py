"""The vectors of one library and one model, brought up to what any process has committed.

A library counts its changes and notes the ranges of chunk ids that are gone (``removals``), so that
a reader compares one number, and after a change loads only what is new. Chunk ids only grow, and
are never used twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ondol.database import Connection
from ondol.retrieval.vectors.index import VectorIndex

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LOADED_AT_ONCE = 8192


class LoadedVectors:
    """Fills ``index`` from the embeddings of ``model``. Not locked: its owner is."""

    def __init__(self, index: VectorIndex, model: str, dimensions: int) -> None:
        self.index = index
        self.model = model
        self._bytes = 2 * dimensions
        self._last_id = 0
        self._counter = -1

    def refresh(self, connection: Connection) -> VectorIndex:
        """The index, with every vector that is committed and none that is not."""
        (counter,) = connection.execute("SELECT counter FROM changes").fetchone()
        if counter == self._counter:
            return self.index
        before = self._last_id
        self._load(connection, before, None)
        if before:
            self._reload(connection, before)
        self._counter = counter
        return self.index

    def _reload(self, connection: Connection, before: int) -> None:
        """Drop what was removed of the ids up to ``before``; what is left there, or is there with
        another vector, comes again."""
        import numpy as np

        for first, end in connection.execute(
            "SELECT DISTINCT first_id, last_id FROM removals WHERE counter > ? AND first_id <= ?",
            (self._counter, before),
        ).fetchall():
            last = min(end, before)
            self.index.remove(np.arange(first, last + 1))
            self._load(connection, first - 1, last)

    def _load(self, connection: Connection, after: int, last: int | None) -> None:
        while True:
            rows: list[tuple[int, bytes]] = connection.execute(
                "SELECT chunk_id, passage FROM embeddings WHERE chunk_id > ? AND chunk_id <= ? "
                "AND model = ? ORDER BY chunk_id LIMIT ?",
                (after, last or 2**62, self.model, LOADED_AT_ONCE),
            ).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            self._last_id = max(self._last_id, after)
            ids, vectors = _arrays(rows, self._bytes)
            if len(ids):
                self.index.add(ids, vectors)


def _arrays(
    rows: list[tuple[int, bytes]], size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]:
    """Ids and vectors of the rows that have one, of ``size`` bytes: a text that the model could not
    read has none."""
    import numpy as np

    blobs = [blob for _, blob in rows]
    if set(map(len, blobs)) != {size}:
        rows = [row for row in rows if len(row[1]) == size]
        blobs = [blob for _, blob in rows]
    vectors = np.frombuffer(b"".join(blobs), dtype=np.float16)
    return np.array([i for i, _ in rows], dtype=np.int64), vectors.reshape(-1, size // 2)

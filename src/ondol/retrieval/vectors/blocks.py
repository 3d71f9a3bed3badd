"""Rows of vectors in RAM: half precision, and one byte a component for the first look.

Rows lie in blocks of fixed size, so that adding moves nothing that is there and no copy of the
whole is ever made. A row that goes is filled with the last one: nothing is left to compact, and
the bytes of what is gone are overwritten. About 1,170 bytes a row of 384 dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.int64]
    Columns = dict[str, npt.NDArray[Any]]

BLOCK_ROWS = 16_384
# Rows are turned to float32 by as many at a time as stay in the processor's cache.
CACHED_ROWS = 512
_TINY = 1e-12


def quantise(rows: npt.NDArray[np.float16]) -> tuple[Columns, Matrix]:
    """The columns of rows (n, dimensions), and the same rows in float32.

    ``halves * vector`` differs from ``scales * codes * vector`` by at most ``errors`` times the
    length of the vector. A row that is not finite becomes zero.
    """
    import numpy as np

    exact = np.empty(rows.shape, dtype=np.float32)
    codes = np.empty(rows.shape, dtype=np.int8)
    scales, errors = np.empty(len(rows), dtype=np.float32), np.empty(len(rows), dtype=np.float32)
    for begin in range(0, len(rows), CACHED_ROWS):
        part = slice(begin, begin + CACHED_ROWS)
        some = exact[part]
        some[:] = rows[part]
        largest = np.maximum(some.max(axis=1, initial=0), -some.min(axis=1, initial=0))
        if not np.isfinite(largest).all():
            some[~np.isfinite(some).all(axis=1)] = 0
            largest = np.abs(some).max(axis=1, initial=0)
        scales[part] = largest / np.float32(127)
        left = some * (1 / np.maximum(scales[part], _TINY))[:, np.newaxis]
        whole = np.rint(left)
        codes[part] = whole
        left -= whole
        errors[part] = np.sqrt(np.vecdot(left, left)) * scales[part]
    halves = rows if np.isfinite(rows).all() else exact.astype(np.float16)
    return {"halves": halves, "codes": codes, "scales": scales, "errors": errors}, exact


class Blocks:
    """A table of ``count`` rows with the columns ``ids``, ``weights`` and those of ``quantise``."""

    def __init__(self, dimensions: int) -> None:
        import numpy as np

        self.count = 0
        self.dimensions = dimensions
        self._blocks: list[Columns] = []
        self._shapes = {
            "ids": ((), np.int64),
            "weights": ((), np.uint8),
            "halves": ((dimensions,), np.float16),
            "codes": ((dimensions,), np.int8),
            "scales": ((), np.float32),
            "errors": ((), np.float32),
        }

    def __len__(self) -> int:
        return self.count

    def append(self, columns: Columns) -> None:
        """Add rows, a column of each name."""
        added = len(columns["ids"])
        self._reserve(self.count + added)
        done = 0
        while done < added:
            number, offset = divmod(self.count, BLOCK_ROWS)
            take = min(BLOCK_ROWS - offset, added - done)
            for name, column in self._blocks[number].items():
                column[offset : offset + take] = columns[name][done : done + take]
            done += take
            self.count += take

    def take(self, name: str, rows: Numbers) -> npt.NDArray[Any]:
        """A column at some rows, in their order."""
        import numpy as np

        shape, kind = self._shapes[name]
        out = np.empty((len(rows), *shape), dtype=kind)
        numbers = rows // BLOCK_ROWS
        for number in np.unique(numbers):
            mine = numbers == number
            out[mine] = self._blocks[number][name][rows[mine] - number * BLOCK_ROWS]
        return out

    def column(self, name: str) -> npt.NDArray[Any]:
        """A whole column."""
        import numpy as np

        shape, kind = self._shapes[name]
        parts = [block[name][: end - begin] for begin, end, block in self._spans()]
        return np.concatenate(parts) if parts else np.empty((0, *shape), dtype=kind)

    def drop(self, rows: Numbers) -> tuple[Numbers, Numbers]:
        """Remove distinct rows: the last ones take their places. Returns the moved ids and their
        new rows."""
        import numpy as np

        rows = np.sort(rows)
        left = self.count - len(rows)
        holes = rows[rows < left]
        movers = np.setdiff1d(np.arange(left, self.count), rows[rows >= left], assume_unique=True)
        moved = self.take("ids", movers)
        for begin in range(0, len(holes), BLOCK_ROWS):
            part = slice(begin, begin + BLOCK_ROWS)
            for name in self._shapes:
                self._put(name, holes[part], self.take(name, movers[part]))
        self._truncate(left)
        return moved, holes

    def look(self, vector: Matrix, rows: Numbers | None) -> tuple[Matrix, Matrix]:
        """A first look at all rows, or at those in the sorted ``rows``: the scores by their codes,
        and by how much each may be wrong."""
        import numpy as np

        total = self.count if rows is None else len(rows)
        scores, wrong = np.empty(total, dtype=np.float32), np.empty(total, dtype=np.float32)
        length = np.float32(np.linalg.norm(vector))
        done = 0
        for begin, end, block in self._spans():
            mine = None
            if rows is not None:
                first, last = np.searchsorted(rows, (begin, end))
                mine = rows[first:last] - begin
            taken = end - begin if mine is None else len(mine)
            if not taken:
                continue
            where: Any = slice(0, taken) if mine is None else mine
            part = slice(done, done + taken)
            _products(block["codes"], vector, mine, scores[part])
            scores[part] *= block["scales"][where]
            # Beyond the rounding of the codes, that of the sums in float32.
            wrong[part] = block["errors"][where] * length + 1e-5 * length
            done += taken
        return scores, wrong

    def _spans(self) -> Iterator[tuple[int, int, Columns]]:
        """First row, end and columns of each block."""
        for number, block in enumerate(self._blocks):
            begin = number * BLOCK_ROWS
            if begin < self.count:
                yield begin, min(begin + BLOCK_ROWS, self.count), block

    def _put(self, name: str, rows: Numbers, values: npt.NDArray[Any]) -> None:
        import numpy as np

        numbers = rows // BLOCK_ROWS
        for number in np.unique(numbers):
            mine = numbers == number
            self._blocks[number][name][rows[mine] - number * BLOCK_ROWS] = values[mine]

    def _reserve(self, count: int) -> None:
        import numpy as np

        while len(self._blocks) * BLOCK_ROWS < count:
            # Pages of zeros cost no memory until they are written to, so a new block is whole.
            self._blocks.append(
                {
                    name: np.zeros((BLOCK_ROWS, *shape), dtype=kind)
                    for name, (shape, kind) in self._shapes.items()
                }
            )

    def _truncate(self, count: int) -> None:
        number, offset = divmod(count, BLOCK_ROWS)
        del self._blocks[number + (offset > 0) :]
        if offset:
            for column in self._blocks[number].values():
                column[offset : self.count - number * BLOCK_ROWS] = 0
        self.count = count


def _products(
    codes: npt.NDArray[np.int8], vector: Matrix, rows: Numbers | None, out: Matrix
) -> None:
    import numpy as np

    buffer = np.empty((CACHED_ROWS, codes.shape[1]), dtype=np.float32)
    for begin in range(0, len(out), CACHED_ROWS):
        end = min(begin + CACHED_ROWS, len(out))
        some = codes[begin:end] if rows is None else codes[rows[begin:end]]
        cached = buffer[: end - begin]
        np.copyto(cached, some)
        np.vecdot(cached, vector, out=out[begin:end])

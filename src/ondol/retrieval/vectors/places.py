"""Which row holds an id: pages of row numbers, four bytes for each id.

Chunk ids are dense whole numbers, so that a page of an array does what a dictionary does in a
thirtieth of the memory, and a thousand ids are looked up at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.int64]

_BITS = 12
_MASK = (1 << _BITS) - 1
NOWHERE = -1


class Places:
    """Row numbers by id."""

    def __init__(self) -> None:
        self._pages: dict[int, npt.NDArray[np.int32]] = {}

    def put(self, ids: Numbers, rows: Numbers) -> None:
        """Say where ``ids`` are; ``NOWHERE`` forgets one."""
        import numpy as np

        for number, mine in _by_page(ids):
            page = self._pages.get(number)
            if page is None:
                page = self._pages[number] = np.full(1 << _BITS, NOWHERE, dtype=np.int32)
            page[ids[mine] & _MASK] = rows[mine]
            if (rows[mine] == NOWHERE).any() and (page == NOWHERE).all():
                del self._pages[number]

    def find(self, ids: Numbers) -> Numbers:
        """The row of each id, ``NOWHERE`` for one that is not here."""
        import numpy as np

        rows = np.full(len(ids), NOWHERE, dtype=np.int64)
        for number, mine in _by_page(ids):
            page = self._pages.get(number)
            if page is not None:
                rows[mine] = page[ids[mine] & _MASK]
        return rows


def _by_page(ids: Numbers) -> list[tuple[int, Numbers]]:
    """The page of each id, with the positions of its ids."""
    import numpy as np

    if not len(ids):
        return []
    pages = ids >> _BITS
    order = np.argsort(pages, kind="stable")
    numbers, begins = np.unique(pages[order], return_index=True)
    return list(zip(numbers.tolist(), np.split(order, begins[1:]), strict=True))

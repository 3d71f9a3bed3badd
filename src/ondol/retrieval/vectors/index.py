"""The seam for vectors in RAM or elsewhere: what every index of a library's vectors can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class VectorIndex(Protocol):
    """Unit vectors by id; a score is a cosine. The seam for a library that outgrows RAM.

    ``add`` takes new ids and vectors of shape (len(ids), dimensions); ``remove`` ignores unknown
    ids; ``search`` gives (id, score), best first, with ``among`` only of these ids (sorted int64);
    ``background`` the mean and standard deviation of the scores of all vectors.
    """

    def __len__(self) -> int: ...
    def add(
        self,
        ids: Sequence[int] | npt.NDArray[np.int64],
        vectors: npt.NDArray[np.float32] | npt.NDArray[np.float16],
    ) -> None: ...
    def remove(self, ids: Sequence[int] | npt.NDArray[np.int64]) -> None: ...
    def search(
        self,
        vector: npt.NDArray[np.float32],
        limit: int,
        *,
        among: npt.NDArray[np.int64] | None = None,
    ) -> list[tuple[int, float]]: ...

    def scores(self, vector: npt.NDArray[np.float32], ids: Sequence[int]) -> dict[int, float]: ...

    def background(self, vector: npt.NDArray[np.float32]) -> tuple[float, float]: ...

    def close(self) -> None: ...

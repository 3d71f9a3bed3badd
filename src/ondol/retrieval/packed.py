"""A chunk's sentences in two blobs: where they are, and a vector for each.

Offsets are pairs of 32-bit integers from the chunk's beginning; vectors are int8, each scaled by
its largest component, because only their direction counts. A cosine differs from that of the
float32 vector by less than 0.01.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ondol.retrieval.sentences import Span

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

_TINY = 1e-12


def pack_spans(spans: Sequence[Span], begin: int) -> bytes:
    """Offsets into the document, kept as offsets into the chunk that begins at ``begin``."""
    return array("i", [offset - begin for span in spans for offset in span]).tobytes()


def unpack_spans(blob: bytes, begin: int) -> list[Span]:
    """The inverse of ``pack_spans``."""
    offsets = array("i", blob)
    return [(begin + s, begin + e) for s, e in zip(offsets[::2], offsets[1::2], strict=True)]


def pack_vectors(vectors: Matrix) -> bytes:
    """Shape (n, dimensions); nothing when all are zero, which says that they cannot be read."""
    import numpy as np

    if not vectors.any():
        return b""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    whole = np.rint(vectors * (127.0 / np.maximum(largest, _TINY)))
    return bytes(whole.astype(np.int8).tobytes())


def cosines(blob: bytes, query: Matrix) -> Matrix:
    """The cosine of each packed vector with the unit vector ``query``, shape (n,); 0 for a zero
    vector. Vectors of other dimensions than ``query`` have no say: the result is empty."""
    import numpy as np

    dimensions = len(query)
    if len(blob) % dimensions:
        return np.zeros(0, dtype=np.float32)
    matrix = np.frombuffer(blob, dtype=np.int8).reshape(-1, dimensions).astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    scores: Matrix = (matrix @ query) / np.maximum(lengths, _TINY)
    return scores

"""How alike two adapters are: how much each changes, in which direction, in which subspace.

The overlap of subspaces is the one of Hu et al. 2021 (arXiv:2106.09685), section 7.2, equation 4:
``||U1^T U2||_F^2 / min(r1, r2)`` with orthonormal bases of what the two products can write; 0 says
that they write into directions that have nothing to do with each other, 1 that one contains the
other. Random subspaces of r of d dimensions overlap by r / d.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ondol.training.architectures import architecture_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ondol.training.lora_file import LoraFile


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of weight over all layers. The norms are Frobenius norms of what is added,
    ``cosine`` the cosine between the two, ``overlap`` the mean overlap of their subspaces; None
    where only one of them changes it."""

    module: str
    norm_a: float
    norm_b: float
    cosine: float | None
    overlap: float | None


def compare(one: LoraFile, other: LoraFile) -> list[Row]:
    """A row for every kind of weight that either changes, and the last, "all", for all of them."""
    modules = {
        tensor: module.rpartition(".")[2]
        for module, tensor in architecture_of(one.architecture, "").weights.items()
    }
    found: dict[str, list[_Pair]] = {}
    for name in sorted({*one.weights(), *other.weights()}):
        kind = name.removesuffix(".weight").rpartition(".")[2]
        found.setdefault(modules.get(kind, kind), []).append(_pair(one, other, name))
    rows = [_row(module, pairs) for module, pairs in sorted(found.items())]
    return [*rows, _row("all", (pair for pairs in found.values() for pair in pairs))]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Squared norms, the inner product of both, the overlap: of one weight."""

    a: float
    b: float
    inner: float
    overlap: float | None


def _pair(one: LoraFile, other: LoraFile, name: str) -> _Pair:
    import numpy as np

    factors = [_factors(file, name) for file in (one, other)]
    # The inner product of B1 @ A1 and B2 @ A2, without making either.
    squares = [float(np.sum((b.T @ b) * (a @ a.T))) for a, b in factors]
    (a1, b1), (a2, b2) = factors
    if not (a1.size and a2.size):
        return _Pair(squares[0], squares[1], 0.0, None)
    inner = float(np.sum((b1.T @ b2) * (a1 @ a2.T)))
    bases = [_basis(a, b) for a, b in factors]
    least = min(basis.shape[1] for basis in bases)
    overlap = float(np.sum((bases[0].T @ bases[1]) ** 2)) / least if least else None
    return _Pair(squares[0], squares[1], inner, overlap)


def _factors(file: LoraFile, name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    import numpy as np

    if f"{name}.lora_a" not in file.tensors:
        return np.zeros((0, 0)), np.zeros((0, 0))
    a = file.tensors[f"{name}.lora_a"].astype(np.float64) * file.scale(name)
    return a, file.tensors[f"{name}.lora_b"].astype(np.float64)


def _basis(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """An orthonormal basis of what B @ A can write, shape (out, its rank)."""
    import numpy as np

    left, triangle = np.linalg.qr(b)
    u, singular, _ = np.linalg.svd(triangle @ a, full_matrices=False)
    rank = int(np.sum(singular > singular.max(initial=0.0) * 1e-6))
    return np.asarray(left @ u[:, :rank])


def _row(module: str, pairs: Iterable[_Pair]) -> Row:
    found = list(pairs)
    a, b = (math.sqrt(max(0.0, sum(x))) for x in ([p.a for p in found], [p.b for p in found]))
    overlaps = [p.overlap for p in found if p.overlap is not None]
    inner = sum(p.inner for p in found)
    return Row(
        module,
        a,
        b,
        inner / (a * b) if a and b and overlaps else None,
        sum(overlaps) / len(overlaps) if overlaps else None,
    )

"""Several adapters as one: the weighted average of what they add, cut to rank r.

What is averaged are the products ``scale * B @ A``, not the factors: averaged factors of adapters
that began differently are an adapter of nothing, and those of different ranks do not fit (FLoRA,
Wang et al. 2024, arXiv:2409.05976; FlexLoRA, Bai et al. 2024, arXiv:2402.11505). The singular value
decomposition gives the nearest matrix of rank r (Eckart and Young 1936). It is taken of the sum of
ranks, not of the weight: the stacked factors are brought to triangles first (QR).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ondol.errors import TrainingError
from ondol.i18n import t

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ondol.training.lora_file import Matrix

Tensors = Mapping[str, "Matrix"]
"""Matrices by their names in a GGUF file: ``blk.0.attn_q.weight.lora_a`` (r, in), ``.lora_b``
(out, r)."""

LARGEST_R = 512


@dataclass(frozen=True, slots=True)
class Merged:
    """``tensors`` are of rank ``r`` and scale 1 (alpha = r). ``kept`` is the share of the average's
    squared Frobenius norm that the cut left, 1.0 where nothing was cut off."""

    tensors: dict[str, Matrix]
    r: int
    kept: float


def merge(
    adapters: Sequence[tuple[Tensors, float]], weights: Sequence[float] | None = None, r: int = 0
) -> dict[str, Matrix]:
    """``average`` without what it cost."""
    return average(adapters, weights, r).tensors


def average(
    adapters: Sequence[tuple[Tensors, float]], weights: Sequence[float] | None = None, r: int = 0
) -> Merged:
    """The average of ``adapters``, each its tensors and the scale of its products (alpha / r).

    ``weights`` say how much each counts (by default all the same) and need not sum to 1. What an
    adapter does not change counts as zero. ``r`` 0 is the largest of the adapters' ranks; a rank
    that no product needs is filled with zeros, so that all have one. Raises ``TrainingError`` for
    shapes that differ, weights or ranks that cannot be.
    """
    counted = [1.0] * len(adapters) if weights is None else [float(w) for w in weights]
    total = sum(counted)
    if len(adapters) < 1 or len(counted) != len(adapters):
        raise _refused("count", adapters=len(adapters), weights=len(counted))
    if any(not math.isfinite(w) or w < 0 for w in counted) or not total > 0:
        raise _refused("weights", weights=", ".join(f"{w:g}" for w in counted))
    shares = [w / total for w in counted]
    names = sorted({_weight(name) for tensors, _ in adapters for name in tensors})
    ranks = [x.shape[0] for tensors, _ in adapters for n, x in tensors.items() if n[-1] == "a"]
    r = r or max(ranks, default=0)
    if not 0 < r <= LARGEST_R or not names:
        raise _refused("rank", r=r, largest=LARGEST_R)
    merged: dict[str, Matrix] = {}
    kept = whole = 0.0
    for name in names:
        parts = [
            (tensors[f"{name}.lora_a"], tensors[f"{name}.lora_b"], share * scale)
            for (tensors, scale), share in zip(adapters, shares, strict=True)
            if f"{name}.lora_a" in tensors
        ]
        a, b, singular = _cut(name, parts, r)
        merged[f"{name}.lora_a"], merged[f"{name}.lora_b"] = a, b
        kept += float((singular[:r] ** 2).sum())
        whole += float((singular**2).sum())
    return Merged(merged, r, kept / whole if whole else 1.0)


def _weight(name: str) -> str:
    weight, _, side = name.rpartition(".")
    if side not in ("lora_a", "lora_b"):
        raise _refused("tensor", tensor=name)
    return weight


def _cut(
    name: str, parts: Sequence[tuple[Matrix, Matrix, float]], r: int
) -> tuple[Matrix, Matrix, npt.NDArray[np.float64]]:
    """The factors (r, in) and (out, r) of the sum of ``factor * B @ A``, and all of its singular
    values."""
    import numpy as np

    shapes = {(b.shape[0], a.shape[1]) for a, b, _ in parts}
    if len(shapes) > 1 or any(a.shape[0] != b.shape[1] for a, b, _ in parts):
        raise _refused("shapes", tensor=name)
    # The sum of products is one product of the factors side by side.
    stacked_b = np.concatenate([b.astype(np.float64) * factor for _, b, factor in parts], axis=1)
    stacked_a = np.concatenate([a.astype(np.float64) for a, _, _ in parts], axis=0)
    left, left_triangle = np.linalg.qr(stacked_b)
    right, right_triangle = np.linalg.qr(stacked_a.T)
    u, singular, vt = np.linalg.svd(left_triangle @ right_triangle.T)
    most = min(r, len(singular))
    root = np.sqrt(singular[:most])
    b = np.zeros((stacked_b.shape[0], r), np.float32)
    a = np.zeros((r, stacked_a.shape[1]), np.float32)
    # Each factor takes the root, so that neither is too large for f16.
    b[:, :most] = (left @ u[:, :most]) * root
    a[:most] = root[:, None] * (vt[:most] @ right.T)
    return a, b, singular


def _refused(why: str, **values: object) -> TrainingError:
    return TrainingError(t(f"merging.{why}", **values), t("merging.hint"))

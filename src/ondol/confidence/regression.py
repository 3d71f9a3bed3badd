"""Logistic regression with an L2 penalty, fitted by Newton's method (iteratively reweighted least
squares: McCullagh & Nelder 1989), small enough to need no library.

The objective is scikit-learn's: penalty/2 · |weights|² + the sum of the log losses, the intercept
free of the penalty; the tests hold it against scikit-learn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float64]

STEPS = 100
SMALLEST_STEP = 1e-9


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x), without overflow."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    grown = math.exp(x)
    return grown / (1.0 + grown)


def logit(p: float, least: float = 1e-6) -> float:
    """The inverse of ``sigmoid``; p is kept ``least`` away from 0 and 1."""
    p = min(max(p, least), 1.0 - least)
    return math.log(p / (1.0 - p))


def fit(
    rows: Sequence[Sequence[float]], targets: Sequence[float], penalty: float = 1.0
) -> tuple[list[float], float]:
    """The weights and the intercept for ``rows`` (n of one length) and ``targets``, each from 0 to
    1: labels, or their smoothed stand-ins. ``penalty`` is scikit-learn's 1/C; above 0, or labels
    that can be told apart have no finite answer."""
    import numpy as np

    x: Any = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
    y: Any = np.asarray(targets, dtype=np.float64)
    x = np.column_stack([x, np.ones(len(x))])
    ridge: Any = np.full(x.shape[1], penalty)
    ridge[-1] = 1e-10  # the intercept is not drawn to 0; this only keeps the matrix invertible
    weights: Any = np.zeros(x.shape[1])
    loss = _loss(x, y, weights, ridge)
    for _ in range(STEPS):
        p = _sigmoids(x @ weights)
        gradient = x.T @ (p - y) + ridge * weights
        hessian = (x.T * (p * (1.0 - p))) @ x + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        # A full step may overshoot where the probabilities are flat: then halve it.
        scale = 1.0
        while _loss(x, y, weights - scale * step, ridge) > loss and scale > SMALLEST_STEP:
            scale /= 2
        weights = weights - scale * step
        loss = _loss(x, y, weights, ridge)
        if float(np.abs(scale * step).max()) < SMALLEST_STEP:
            break
    return [float(w) for w in weights[:-1]], float(weights[-1])


def _sigmoids(x: Vector) -> Vector:
    import numpy as np

    # tanh does not overflow.
    found: Vector = 0.5 * (1.0 + np.tanh(0.5 * x))
    return found


def _loss(x: Vector, y: Vector, weights: Vector, ridge: Vector) -> float:
    import numpy as np

    z = x @ weights
    return float(np.sum(np.logaddexp(0.0, z) - y * z) + 0.5 * np.sum(ridge * weights**2))

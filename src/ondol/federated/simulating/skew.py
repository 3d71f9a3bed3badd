"""Who has which examples: devices whose labels differ, as Dirichlet draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Indices = npt.NDArray[np.int64]


def dirichlet(
    labels: Indices, devices: int, examples: int, alpha: float, seed: int
) -> list[Indices]:
    """For each of ``devices`` the indices of its ``examples``, of a mixture of classes drawn from
    Dirichlet(alpha, ..., alpha), with the rarer classes' alphas smaller by their share: the
    smaller ``alpha``, the fewer classes a device has; infinite, all have the same mixture (Hsu et
    al. 2019, arXiv:1909.06335).
    Every example of a class is given out before one is given out again, so where devices ask for
    more of a class than there is, some have examples in common."""
    import numpy as np

    rng = np.random.default_rng([seed, 4])
    classes = int(labels.max()) + 1
    shares = np.bincount(labels, minlength=classes) / len(labels)
    if np.isinf(alpha):
        mixtures = np.tile(shares, (devices, 1))
    else:
        # Gamma draws of a very small shape are all 0 now and then: then one class is all there is.
        drawn = rng.gamma(np.maximum(alpha * classes * shares, 1e-9), size=(devices, classes))
        empty = drawn.sum(axis=1) == 0
        drawn[empty, rng.choice(classes, int(empty.sum()), p=shares)] = 1
        mixtures = drawn / drawn.sum(axis=1, keepdims=True)
    counts = np.stack([rng.multinomial(examples, mixture) for mixture in mixtures])
    piles = [rng.permutation(np.flatnonzero(labels == one)) for one in range(classes)]
    ends = counts.cumsum(axis=0)
    found = []
    for device in range(devices):
        taken = [
            pile[np.arange(ends[device, one] - counts[device, one], ends[device, one]) % len(pile)]
            for one, pile in enumerate(piles)
            if counts[device, one]
        ]
        found.append(rng.permutation(np.concatenate(taken)))
    return found

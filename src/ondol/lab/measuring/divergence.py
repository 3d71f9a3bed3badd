"""How far a model is from another that has the same tokens: the Kullback-Leibler divergence of what
they foresee, over the whole vocabulary, place by place.

The same weights in another format are the case it is for. Works on two readings, starts nothing.
Raises ``UsageError`` where the two cannot be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.lab.measuring.output_layer import LogSum
from ondol.training.bootstrap import Estimate, mean

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ondol.lab.measuring.perplexity import Reading

    Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Divergence:
    """In nats: the mean over all places with its interval, the median, and what one place in a
    hundred exceeds. ``same_top`` is how often both think the same token the likeliest."""

    mean: Estimate
    median: float
    p99: float
    same_top: Estimate
    places: int


def divergence(base: Reading, other: Reading) -> Divergence:
    """Of ``other`` from ``base``, whose distributions are taken to be the right ones."""
    import numpy as np

    if base.tokens != other.tokens or len(base.layer.weights) != len(other.layer.weights):
        raise UsageError(t("measuring.other_tokens"), t("measuring.other_tokens_hint"))
    found, same = _of_states(base, other)
    groups = [f"{number:06}" for number, window in enumerate(base.tokens) for _ in window]
    return Divergence(
        mean(groups, list(map(float, found))),
        float(np.median(found)),
        float(np.quantile(found, 0.99)),
        mean(groups, list(map(float, same))),
        len(found),
    )


def _of_states(base: Reading, other: Reading) -> tuple[Array, Array]:
    """The divergence of each place, and whether the likeliest token is the same."""
    import numpy as np

    first, second = (np.concatenate(one.states) for one in (base, other))
    ours, theirs = LogSum(len(first)), LogSum(len(first))
    best = [_Likeliest(len(first)), _Likeliest(len(first))]
    for (start, a), (_, b) in zip(
        base.layer.blocks(first), other.layer.blocks(second), strict=True
    ):
        # The mean of a - b under the first distribution, and both sums, make the divergence.
        ours.add(a, a - b)
        theirs.add(b)
        best[0].add(start, a)
        best[1].add(start, b)
    found = ours.mean - ours.log + theirs.log
    # Rounding makes the divergence of a model from itself a hair less than nothing.
    return np.maximum(found, 0.0), best[0].token == best[1].token


class _Likeliest:
    def __init__(self, places: int) -> None:
        import numpy as np

        self.token = np.zeros(places, dtype=np.int64)
        self._logit = np.full(places, -np.inf, dtype=np.float32)

    def add(self, start: int, logits: npt.NDArray[np.float32]) -> None:
        import numpy as np

        here = logits.argmax(axis=1)
        largest = logits[np.arange(len(here)), here]
        better = largest > self._logit
        self.token[better] = here[better] + start
        self._logit[better] = largest[better]

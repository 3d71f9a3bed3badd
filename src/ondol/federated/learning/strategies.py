"""What a federation's strategy asks of a device and of its home.

``Learning`` is the device's side: it trains, measures and exports. ``ServerStrategy`` is home's:
how the shared vector goes on from the mean of what devices learned. The five of ``plan.Strategy``:
FFA-LoRA, RoLoRA, Fed-SB and FedIT move on by the plain mean of the factors that learned, which is
exact where one factor stood still; ``product`` averages the products BA and cuts them to the rank,
and so must see each update. Raises ``ConfigError``, ``TrainingError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ondol.errors import ConfigError
from ondol.federated.learning.layout import Layout, weighted_mean
from ondol.federated.plan import Plan
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.federated.learning.layout import Vector
    from ondol.training.dataset import Example


@dataclass(frozen=True, slots=True)
class Update:
    """What a device learned in a round. ``delta`` is float32 of the length of
    ``Layout.sent(round)``, new minus old, neither clipped nor noisy; ``num_examples`` is how many
    different ones were learned from; the losses are nats a reply token over the
    examples of its first batch, with the vector as it came and as it was learned."""

    delta: Vector
    num_examples: int
    loss_before: float
    loss_after: float


class Learning(Protocol):
    """A device's part. Vectors are as ``layout`` has them; rounds count from 1."""

    def start(self, plan: Plan, base: Path) -> Vector:
        """The vector of the first round."""

    def train(
        self, plan: Plan, round: int, vector: Vector, examples: Sequence[Example], folder: Path
    ) -> Update:
        """Learn from ``examples``, beginning with ``vector``. ``folder`` keeps the checkpoint, no
        example; the same call after a kill goes on, and comes to the same end. Raises
        ``TrainingError`` and its kin."""

    def evaluate(
        self, plan: Plan, vector: Vector, examples: Sequence[Example]
    ) -> tuple[float, int]:
        """The sum of the losses of the reply tokens of ``examples``, in nats, and how many tokens
        they are."""

    def export(self, plan: Plan, vector: Vector, base: Path, file: Path) -> None:
        """``vector`` as an adapter that the engine adds to ``base``."""


class ServerStrategy(Protocol):
    """Home's part."""

    def length(self, round: int) -> int:
        """How many numbers a device sends in ``round``."""

    def next(self, vector: Vector, mean_delta: Vector, round: int) -> Vector:
        """The shared vector after ``round``, whose updates' mean was ``mean_delta``."""

    def combine(
        self, vector: Vector, deltas: Sequence[Vector], weights: Sequence[float], round: int
    ) -> Vector:
        """The same where home sees each update."""


def strategy(plan: Plan, layout: Layout) -> ServerStrategy:
    """Home's part of ``plan``. Raises ``ConfigError`` for one that cannot be summed in secret."""
    if plan.strategy != "product":
        return Mean(layout)
    if plan.aggregation == "secure":
        raise ConfigError(
            t("federated_learning.product_secure"), t("federated_learning.product_secure_hint")
        )
    return Product(layout)


@dataclass(frozen=True, slots=True)
class Mean:
    """The factors that learned move by their mean (McMahan et al. 2017, arXiv:1602.05629). Of
    ``ffa`` (Sun et al. 2024, arXiv:2403.12313), ``fedsb`` (arXiv:2502.15436) and each round of
    ``rolora`` (arXiv:2409.02346) that is the mean of the products too; of ``fedavg`` (FedIT,
    arXiv:2305.05644) it is not."""

    layout: Layout

    def length(self, round: int) -> int:
        return self.layout.length(round)

    def next(self, vector: Vector, mean_delta: Vector, round: int) -> Vector:
        return self.layout.applied(vector, mean_delta, round)

    def combine(
        self, vector: Vector, deltas: Sequence[Vector], weights: Sequence[float], round: int
    ) -> Vector:
        return self.next(vector, weighted_mean(deltas, weights), round)


@dataclass(frozen=True, slots=True)
class Product:
    """The products BA averaged and cut to the rank by SVD (FlexLoRA, arXiv:2402.11505). The SVD
    orders what it keeps, so that a device of a smaller rank takes the first rows and columns."""

    layout: Layout

    def length(self, round: int) -> int:
        return self.layout.length(round)

    def next(self, vector: Vector, mean_delta: Vector, round: int) -> Vector:
        """Of one update: a mean of factors is no mean of products."""
        return self.combine(vector, [mean_delta], [1.0], round)

    def combine(
        self, vector: Vector, deltas: Sequence[Vector], weights: Sequence[float], round: int
    ) -> Vector:
        from ondol.training.merging import average

        adapters = []
        for delta in deltas:
            matrices = self.layout.split(self.layout.applied(vector, delta, round))
            adapters.append(({f"{name}.lora_{s}": x for (name, s), x in matrices.items()}, 1.0))
        merged = average(adapters, weights, self.layout.r).tensors
        # ``rpartition``: names of modules have points of their own.
        found = {(n.rpartition(".")[0], n[-1]): x for n, x in merged.items()}
        return self.layout.join(found)

"""What a round needs of others: who learns, what moves the shared vector, who signs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]
    Ring = NDArray[np.uint32]


class Trained(Protocol):
    """``federated.learning.Update``: ``delta`` (1-D float32) is the change of what is sent in this
    round."""

    @property
    def delta(self) -> Vector: ...
    @property
    def num_examples(self) -> int: ...


class Learner(Protocol):
    """A device's model and data: a strategy of ``federated.learning`` bound to both."""

    @property
    def base_sha256(self) -> str:
        """Of the base's GGUF file as it lies here."""

    @property
    def template_sha256(self) -> str:
        """Of its chat template's text."""

    def train(self, round: int, vector: Vector, folder: Path) -> Trained:
        """Learn from ``vector``. What is in ``folder`` is a killed training's of the same round and
        vector: it goes on there."""

    def evaluate(self, vector: Vector) -> tuple[float, int]:
        """The sum of the losses and the number of tokens of the device's held-out data."""

    def applied(self, vector: Vector, delta: Vector, round: int) -> Vector:
        """``vector`` with what was learned in ``round``."""

    def adopt(self, vector: Vector, about: Mapping[str, Any]) -> None:
        """The last shared vector is here: pass it through the device's own gate. ``about`` is what
        its file says of how it was made (plan digest, rounds, epsilon)."""


class Signer(Protocol):
    """``ondol.identity.Identity``."""

    public_key: bytes

    def sign(self, data: bytes) -> bytes: ...


class Strategy(Protocol):
    """Home's side: ``federated.learning.ServerStrategy``. Rounds count from 1."""

    def length(self, round: int) -> int:
        """How many numbers a device sends in ``round``."""

    def next(self, vector: Vector, mean_delta: Vector, round: int) -> Vector:
        """The shared vector after a round with this mean of the updates."""

    def combine(
        self, vector: Vector, deltas: Sequence[Vector], weights: Sequence[float], round: int
    ) -> Vector:
        """The same where home sees each update."""


Condition = Callable[[], None]
"""Returns when the device may take part now; raises ``RoundRefusedError`` with the reason
(in use, on battery, paused, budget spent)."""

Canary = Callable[["Vector"], float]
"""The loss of a shared vector on data of home's own."""

OnEvent = Callable[[str, Mapping[str, Any]], None]
"""Told what happens: "round", "stage", "refused", "dropped", "finished", with the numbers."""

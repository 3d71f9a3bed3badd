"""What a step of training lowers: the reply's negative log-likelihood, or a preference's loss.

An objective sees the model through ``Losses`` alone, so that the same one learns from token ids and
from kept activations (``cached``). Its items have a length in tokens, and nothing else is asked of
them. ``preference`` has the other objectives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ondol.training.base import Encoded
from ondol.training.lora import parts_of

if TYPE_CHECKING:
    import torch

Losses = Callable[[Sequence[Encoded]], "torch.Tensor"]
"""The negative log-likelihood of every reply token of some sequences, in order: (tokens,)."""


class Share(NamedTuple):
    """What a part adds to a step: the sum of its losses, and of how many of its items the model
    is right about (None: no such thing)."""

    loss: torch.Tensor
    right: int | None = None


class Objective(Protocol):
    """One loss. ``items`` are of one kind; ``len(item)`` is its longest sequence in tokens."""

    reads_reference: int
    """How often ``refer`` has the model read everything."""

    def about(self) -> dict[str, Any]:
        """What a checkpoint must have been made with, in plain values."""

    def sequences(self, items: Sequence[Any]) -> list[Encoded]:
        """Everything the model will read for ``items``."""

    def refer(self, losses: Losses, items: Sequence[Any], part_tokens: int) -> None:
        """Look at ``items`` before anything is learned; gradients are off."""

    def parts(self, batch: Sequence[Any], part_tokens: int) -> list[list[Any]]:
        """``batch`` in parts that the model reads at once, of at most ``part_tokens`` tokens."""

    def begin(self, losses: Losses, batch: Sequence[Any], part_tokens: int) -> None:
        """Look at a whole batch before its parts; gradients are off."""

    def weight(self, batch: Sequence[Any]) -> float:
        """What the sum of a batch's losses is divided by."""

    def share(self, losses: Losses, part: Sequence[Any]) -> Share:
        """The loss of a part, with gradients."""


class Sft:
    """Supervised fine-tuning on the reply alone: the mean over the reply tokens of a batch."""

    reads_reference = 0

    def about(self) -> dict[str, Any]:
        return {"task": "sft"}

    def sequences(self, items: Sequence[Encoded]) -> list[Encoded]:
        return list(items)

    def refer(self, losses: Losses, items: Sequence[Encoded], part_tokens: int) -> None:
        return None

    def parts(self, batch: Sequence[Encoded], part_tokens: int) -> list[list[Encoded]]:
        return parts_of(batch, part_tokens)

    def begin(self, losses: Losses, batch: Sequence[Encoded], part_tokens: int) -> None:
        return None

    def weight(self, batch: Sequence[Encoded]) -> float:
        return float(sum(len(encoded.reply) for encoded in batch))

    def share(self, losses: Losses, part: Sequence[Encoded]) -> Share:
        return Share(losses(part).sum())

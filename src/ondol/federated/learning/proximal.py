"""FedProx (Li et al. 2020, arXiv:1812.06127): a device with data unlike the others' stays near the
shared vector: mu / 2 times the squared distance is added to what it lowers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from ondol.training.steps import Gradients


class Proximal:
    """``steps.Gradients``: adds ``mu * (weights - start)`` to the gradient, after ``inner``, whose
    noise covers only what tells of examples. ``hold`` says what the start is."""

    def __init__(self, mu: float, inner: Gradients | None = None) -> None:
        self.mu, self.inner = mu, inner
        self._start: list[torch.Tensor] = []

    def hold(self, learned: Sequence[torch.nn.Parameter]) -> None:
        """Pull towards ``learned`` as they are now."""
        self._start = [p.detach().clone() for p in learned]

    def after_part(self, learned: Sequence[torch.nn.Parameter]) -> None:
        if self.inner is not None:
            self.inner.after_part(learned)

    def before_step(self, learned: Sequence[torch.nn.Parameter]) -> None:
        import torch

        if self.inner is not None:
            self.inner.before_step(learned)
        with torch.no_grad():
            for p, start in zip(learned, self._start, strict=True):
                assert p.grad is not None
                p.grad.add_(p - start, alpha=self.mu)

"""What a device need not compute anew in every round: what the frozen lower layers say of its
examples, and how likely the base alone finds ordinary text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.training import cached
from ondol.training.anchor import Anchored
from ondol.training.objective import Sft

if TYPE_CHECKING:
    import torch

    from ondol.training.base import Encoded
    from ondol.training.cached import HiddenStates
    from ondol.training.objective import Losses

MOST_KEPT = 2
"""Sets of sequences: those that are learned from, and those that are held out."""

TEXTS = 16


class LowerLayers:
    """``cached.keep`` for one base that is asked for the same sequences again and again."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, tuple[Encoded, ...]], HiddenStates | None] = {}

    def keep(
        self,
        model: Any,
        first_layer: int,
        sequences: Sequence[Encoded],
        reads: float = math.inf,
        *,
        folder: Path | None = None,
        part_tokens: int,
        between: Callable[[], None] = lambda: None,
    ) -> Borrowed | None:
        key = (first_layer, tuple(dict.fromkeys(sequences)))
        if key not in self._kept:
            while len(self._kept) >= MOST_KEPT:
                oldest = self._kept.pop(next(iter(self._kept)))
                if oldest is not None:
                    oldest.destroy()
            self._kept[key] = cached.keep(
                model,
                first_layer,
                sequences,
                math.inf,
                folder=folder,
                part_tokens=part_tokens,
                between=between,
            )
        states = self._kept[key]
        return None if states is None else Borrowed(states, model)


class Borrowed:
    """Hidden states under the adapter of this round, as ``loop.train`` uses them."""

    def __init__(self, states: HiddenStates, model: Any) -> None:
        states.model = model
        self._states = states

    def losses(self, part: Sequence[Encoded]) -> torch.Tensor:
        return self._states.losses(part)

    def destroy(self) -> None:
        """They are needed in the next round."""


class HeldToBase(Anchored):
    """Ordinary text stays as likely as the base alone finds it, and not as it was when the round
    began: over many rounds it would wander off. ``model`` is set before it refers."""

    def __init__(self, texts: Sequence[Encoded], weight: float) -> None:
        super().__init__(Sft(), texts, weight)
        self.model: Any = None

    def refer(self, losses: Losses, items: Sequence[Any], part_tokens: int) -> None:
        if not self._before:
            with without_adapter(self.model):
                super().refer(losses, items, part_tokens)


@contextmanager
def without_adapter(model: Any) -> Iterator[None]:
    """Its products count nothing. PEFT's own way would let everything learn again afterwards."""
    scaled = [m for m in model.modules() if isinstance(getattr(m, "scaling", None), dict)]
    before = [dict(module.scaling) for module in scaled]
    try:
        for module in scaled:
            module.scaling.update(dict.fromkeys(module.scaling, 0.0))
        yield
    finally:
        for module, scaling in zip(scaled, before, strict=True):
            module.scaling.update(scaling)

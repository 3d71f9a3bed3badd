"""What fits beside what is already in memory: models by number, and bytes.

Pure arithmetic over the residents; the machine is read through the callbacks it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from ondol.engine.resident import Resident
from ondol.engine.settings import ModelSpec
from ondol.errors import ModelTooLargeError
from ondol.i18n import t


@dataclass(frozen=True, slots=True)
class Budget:
    """``memory_need(spec, num_ctx)`` and ``available_bytes()``; either may be unknown (None)."""

    max_loaded_models: int
    memory_need: Callable[[ModelSpec, int], int] | None = None
    available_bytes: Callable[[], int] | None = None

    def fits(self, spec: ModelSpec, num_ctx: int, residents: Collection[Resident]) -> bool:
        """Whether one more model may be loaded now."""
        if len(residents) >= self.max_loaded_models:
            return False
        return self._need(spec, num_ctx) <= self._free(residents)

    def too_large(self, spec: ModelSpec, num_ctx: int) -> ModelTooLargeError:
        """The error for a model that does not fit even alone."""
        need, free = self._need(spec, num_ctx), self._free(())
        return ModelTooLargeError(
            t(
                "engine.too_large",
                model=spec.name,
                need=f"{need / 1e9:.1f}",
                free=f"{max(0, free) / 1e9:.1f}",
            ),
            t("engine.too_large_hint"),
        )

    def _need(self, spec: ModelSpec, num_ctx: int) -> int:
        return self.memory_need(spec, num_ctx) if self.memory_need else 0

    def _free(self, residents: Collection[Resident]) -> int:
        if self.available_bytes is None:
            return 2**63
        # Mapped weights count as "available" to the system, and a cache fills only as it is used:
        # what a loaded model has a right to but does not hold privately is not free.
        promised = sum(
            max(0, self._need(r.spec, r.num_ctx) - r.process.private_bytes())
            for r in residents
            if r.process is not None
        )
        return self.available_bytes() - promised

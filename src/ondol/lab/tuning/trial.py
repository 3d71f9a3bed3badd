"""The owner's house, in which one model runs in a way that is being tried.

Everything else is as it serves: context, slots, adapters, evidence. Nothing is written down but
the file that is tried, which goes with the trial. Raises what the engine raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ondol.located import Located
from ondol.models.tuned import NUMBERS
from ondol.parts import Parts

if TYPE_CHECKING:
    from ondol.config import Config
    from ondol.engine.running import Running
    from ondol.engine.settings import ModelSpec
    from ondol.models.adapters import AdapterStore
    from ondol.models.store import ModelStore

TUNED = (*NUMBERS, "flash_attention")
"""What a trial decides; the other fields of ``Running`` stay as the owner has them."""


@dataclass(frozen=True, slots=True)
class Way:
    """A file of a model's weights, and how to compute with it."""

    format: str
    file: Path
    running: Mapping[str, int | str] = field(default_factory=dict)


class TrialHouse(Parts):
    """A house in which ``model`` runs in that ``way``."""

    def __init__(self, config: Config, model: str, way: Way) -> None:
        super().__init__(config)
        self._model, self._way = model, way

    @property
    def located(self) -> Located:
        return self._once("located", self._build_located)

    def spec(self) -> ModelSpec:
        """What the engine is told."""
        return self.located.spec(self._model)

    def _build_located(self) -> Located:
        return _Tried(self.config, self.store, self.adapters, self._model, self._way)


class _Tried(Located):
    def __init__(
        self, config: Config, store: ModelStore, adapters: AdapterStore, model: str, way: Way
    ) -> None:
        super().__init__(config, store, adapters)
        self._model, self._way = model, way

    def spec(self, name: str) -> ModelSpec:
        spec = super().spec(name)
        if spec.name != self._model:
            return spec
        file = self._way.file
        grown = file.stat().st_size - spec.path.stat().st_size
        return replace(
            spec,
            path=file,
            size_bytes=spec.size_bytes + grown,
            running=running(spec.running, self._way.running),
        )


def running(owner: Running, tried: Mapping[str, int | str]) -> Running:
    """``owner``'s, with what is tried in place of what was tuned before. Neither drafts nor saved
    states, which would answer in the model's place."""
    wanted = {name: 0 if name in NUMBERS else "" for name in TUNED} | dict(tried)
    return replace(owner, draft="", draft_model="", states_folder="", **wanted)  # type: ignore[arg-type]

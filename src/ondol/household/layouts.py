"""The layout of a plan's vectors for the base that lies here, read once."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ondol.errors import PlanMismatchError
from ondol.federated.plan import Plan
from ondol.i18n import t
from ondol.models.fingerprints import find
from ondol.parts import Parts

if TYPE_CHECKING:
    from ondol.federated.learning.layout import Layout
    from ondol.models.store import Model


def model_of(parts: Parts, plan: Plan) -> Model:
    """The installed model that ``plan`` is about. Raises ``PlanMismatchError`` where none is."""
    found = find(parts.store, plan.base_sha256, plan.model)
    if found is None:
        raise PlanMismatchError(
            t("household.no_model", model=plan.model),
            t("household.no_model_hint", model=plan.model),
        )
    return found


def layout_for(parts: Parts, plan: Plan) -> Layout:
    """Raises ``PlanMismatchError``, ``TrainingError``."""
    return _layout(plan, parts.store.path(model_of(parts, plan)))


@lru_cache(maxsize=8)
def _layout(plan: Plan, base: Path) -> Layout:
    from ondol.federated.learning.layout import layout_of

    return layout_of(plan, base)

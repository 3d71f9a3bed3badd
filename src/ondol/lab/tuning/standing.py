"""How the tuned models of this machine stand: whether what they were tuned to is here, and was
measured with the engine that serves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ondol.i18n import t
from ondol.models import tuned
from ondol.models.doctor import Check

if TYPE_CHECKING:
    from ondol.parts import Parts


def check_tuned(parts: Parts) -> Iterator[Check]:
    """A line for each; nothing where nothing was tuned."""
    from ondol.lab.tuning.surroundings import engine_name

    for model in parts.store.list():
        record = tuned.recorded(parts.store, model)
        if record is None:
            continue
        said = {"name": model.name, "format": record.format}
        hint = t("tune.doctor_hint", name=model.name)
        if tuned.tuned(parts.store, model) is None:
            yield Check("tuning", None, t("tune.doctor_lost", **said), hint)
        elif record.engine != engine_name(parts):
            told = t("tune.doctor_engine", engine=record.engine, **said)
            yield Check("tuning", None, told, hint)
        else:
            date = record.applied_at[:10]
            yield Check("tuning", True, t("tune.doctor_tuned", date=date, **said))

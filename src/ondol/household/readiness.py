"""Whether this device may take part in a round just now: nobody is answered, it runs on power, its
owner has not paused, something may teach, and the budget is not spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ondol import idle
from ondol.errors import RoundRefusedError
from ondol.household import consent, leaving, power
from ondol.household.federations import Federation, Federations
from ondol.household.promises import TYPICAL_DIMENSION
from ondol.i18n import t
from ondol.models.fingerprints import find
from ondol.parts import Parts
from ondol.personal import standing, training

REASONS = (
    "ended",
    "paused",
    "no_model",
    "no_consent",
    "too_few",
    "budget",
    "in_use",
    "training",
    "on_battery",
)
"""Why not, in codes; ``household.not_CODE`` is the sentence. In the order in which they matter."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """``is_on_power`` is None where nobody knows; ``learned`` and ``held_out`` count examples.
    ``reasons`` are of ``REASONS``; none where it may take part."""

    is_idle: bool
    is_on_power: bool | None
    is_model_here: bool
    is_in_budget: bool
    learned: int
    held_out: int
    reasons: tuple[str, ...]

    @property
    def told(self) -> list[str]:
        """A sentence for each reason; where there is none, one that says so."""
        if not self.reasons:
            is_known = self.is_on_power is not None
            return [t("household.ready" if is_known else "household.ready_unknown_power")]
        numbers = {
            "learned": self.learned,
            "held_out": self.held_out,
            "needed": consent.FEWEST_LEARNED,
            "needed_held_out": consent.FEWEST_HELD_OUT,
        }
        return [t(f"household.not_{code}", **numbers) for code in self.reasons]

    def json(self) -> dict[str, Any]:
        """As the CLI and the API give it."""
        return {
            "is_ready": not self.reasons,
            "reasons": self.told,
            "codes": list(self.reasons),
            "is_idle": self.is_idle,
            "is_on_power": self.is_on_power,
            "is_model_here": self.is_model_here,
            "is_in_budget": self.is_in_budget,
            "learned": self.learned,
            "held_out": self.held_out,
        }


def readiness(parts: Parts, wanted: str = "") -> Readiness:
    """How it stands with the federation of that id or name. Raises
    ``FederationNotFoundError``."""
    with Federations.open() as kept:
        return of(parts, kept.get(wanted))


def of(parts: Parts, one: Federation) -> Readiness:
    """The same of one at hand."""
    learned, held_out = consent.count(parts, one)
    is_answering, is_on_power = idle.is_answering(), power.on_power()
    is_model_here = find(parts.store, one.plan.base_sha256) is not None
    is_consented, is_in_budget = bool(one.sources or one.folders), _is_in_budget(one)
    holds = {
        "ended": one.state == "ended",
        "paused": one.state == "paused",
        "no_model": not is_model_here,
        "no_consent": not is_consented,
        "too_few": learned < consent.FEWEST_LEARNED or held_out < consent.FEWEST_HELD_OUT,
        "budget": not is_in_budget,
        "in_use": is_answering,
        "training": standing.is_held(training.ALONE),
        "on_battery": is_on_power is False,
    }
    reasons = tuple(code for code in REASONS if holds[code])
    return Readiness(
        not is_answering,
        is_on_power,
        is_model_here,
        is_in_budget,
        learned,
        held_out,
        reasons,
    )


def _is_in_budget(one: Federation) -> bool:
    """Whether another round stays within what was agreed to be spent."""
    if not one.plan.epsilon_budget:
        return True
    from ondol.federated.coordinating.contributions import Contributions

    kept = Contributions(leaving.folder(one.id))
    length = kept.length() or TYPICAL_DIMENSION
    return kept.spending(one.plan, length).may_take_part(one.plan.min_clients)


def check(parts: Parts, id: str) -> None:
    """Raise ``RoundRefusedError`` with the reason unless it may take part now."""
    found = readiness(parts, id)
    if found.reasons:
        raise RoundRefusedError(found.told[0])

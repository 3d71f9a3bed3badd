"""What is promised to who takes part, before the first round and after each: what it costs in
privacy, in numbers and in plain words, and what home can see and what it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ondol.federated.plan import Plan
from ondol.i18n import t

# An update's length hardly matters to epsilon; this is that of a small adapter.
TYPICAL_DIMENSION = 100_000


@dataclass(frozen=True, slots=True)
class Promises:
    """``whole`` is the epsilon of all rounds of the plan with as few members as a round may have
    (None: nothing bounds it), ``spent`` that of the rounds so far."""

    plan: Plan
    whole: float | None
    spent: float | None
    words: tuple[str, ...]
    seen: tuple[str, ...]
    unseen: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        """As the CLI and the API give it."""
        return {
            "epsilon": {
                "whole": self.whole,
                "spent": self.spent,
                "delta": self.plan.delta,
                "budget": self.plan.epsilon_budget or None,
            },
            "words": list(self.words),
            "seen": list(self.seen),
            "unseen": list(self.unseen),
        }


def of(
    plan: Plan, num_members: int, spent: float | None = None, dimension: int | None = None
) -> Promises:
    """Those of ``plan`` where ``num_members`` belong to it; ``dimension`` is an update's length,
    where the model is here to tell it."""
    from ondol.federated.privacy.words import plain_words

    dimension = dimension or TYPICAL_DIMENSION
    num_clients = max(num_members, plan.min_clients)
    return Promises(
        plan,
        whole_epsilon(plan, num_clients, dimension),
        spent,
        tuple(plain_words(plan, num_clients, dimension)),
        seen(plan),
        unseen(plan, num_clients),
    )


def whole_epsilon(plan: Plan, num_clients: int, dimension: int = TYPICAL_DIMENSION) -> float | None:
    """What all rounds of ``plan`` cost who takes part in each of them; None: nothing bounds it."""
    if not plan.noise_multiplier:
        return None
    from ondol.federated.privacy.spending import Accountant

    found: float | None = (
        Accountant(plan, dimension).ahead(plan.rounds, num_clients).json()["epsilon"]
    )
    return found


def seen(plan: Plan) -> tuple[str, ...]:
    """What home sees, a sentence each."""
    found = [t("household.sees_taking_part"), t(f"household.sees_{plan.aggregation}")]
    if not plan.noise_multiplier:
        found.append(t("household.sees_losses"))
    return (*found, t("household.sees_adapter"))


def unseen(plan: Plan, num_clients: int) -> tuple[str, ...]:
    """What it does not see of a round that ``num_clients`` begin."""
    from ondol.federated.masking.session import Session

    found = [t("household.sees_no_texts")]
    if plan.aggregation == "secure":
        threshold = Session.threshold_for(num_clients, plan.threshold)
        found.append(t("household.sees_no_update", threshold=threshold))
    return (*found, t("household.sees_no_number"))

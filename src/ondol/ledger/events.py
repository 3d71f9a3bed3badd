"""Entries of what the house does: an answer that was given, something that left or was kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ondol.ledger.entries import Entry
from ondol.types import Answer, Decision, Label, Sensitivity

if TYPE_CHECKING:
    from ondol.ledger.cost import Price
    from ondol.ledger.energy import Energy


class Passage(Protocol):
    """What left, or was kept from leaving, in plain values (``ondol.egress``)."""

    @property
    def purpose(self) -> str: ...
    @property
    def destination(self) -> str: ...
    @property
    def sensitivity(self) -> Sensitivity: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def allowed(self) -> bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def about(self) -> str | None: ...
    @property
    def count(self) -> int: ...


def of_passage(passage: Passage) -> Entry:
    """What leaves is "egress", what is kept from it "refused", what came back "received"."""
    reasons = (passage.reason,) if passage.reason else ()
    if passage.about is not None:
        return Entry(
            "received",
            reasons=reasons,
            destination=passage.destination,
            purpose=passage.purpose,
            bytes_in=passage.bytes_in,
            about=passage.about,
            count=passage.count if passage.count > 1 else None,
        )
    return Entry(
        "egress" if passage.allowed else "refused",
        reasons=reasons,
        sensitivity=passage.sensitivity.name.lower(),
        destination=passage.destination,
        purpose=passage.purpose,
        bytes_out=passage.bytes_out,
        bytes_in=passage.bytes_in or None,
    )


def of_answer(
    answer: Answer,
    decision: Decision | None,
    label: Label | None,
    task: str,
    energy: Energy | None,
    price: Price | None,
) -> Entry:
    """Everything about an answer but its words."""
    sure, cost, usage = answer.confidence, answer.cost, answer.usage
    why = decision.reasons if decision else ()
    return Entry(
        "answer",
        route=answer.route.value,
        reasons=tuple(dict.fromkeys((*answer.reasons, *why))),
        probability=sure.probability if sure else None,
        calibrator=sure.calibrator if sure else "",
        threshold=decision.threshold if decision else None,
        gain=decision.gain if decision else None,
        model=answer.model,
        draft_model=answer.draft.model if answer.draft else "",
        task=task,
        sensitivity=(label.sensitivity if label else answer.sensitivity).name.lower(),
        label_reasons=label.reasons if label else (),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        seconds=answer.seconds.total,
        first_token_seconds=answer.seconds.first_token,
        energy_joules=energy.joules if energy else None,
        energy_source=energy.source if energy else "",
        energy_meter=energy.meter if energy else "",
        cost_krw=cost.here_krw if cost else None,
        cloud_usd=price.usd if price else None,
        cloud_model=price.model if price else "",
        prices=price.date if price else "",
        krw_per_usd=price.krw_per_usd if price else None,
    )

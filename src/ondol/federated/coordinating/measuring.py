"""How good a new shared vector is on the devices' own held-out data, told as a mean of them all.

Where the plan has noise nothing is told: a loss carries none. The devices measure for themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ondol.errors import FederationError
from ondol.federated.coordinating import checks, messages, sums
from ondol.federated.coordinating.holding import Round
from ondol.federated.coordinating.messages import LOSS, Message

if TYPE_CHECKING:
    from ondol.federated.coordinating.protocols import Vector


def measure(
    held: Round,
    clients: Sequence[int],
    vector: Vector,
    roster: Mapping[int, bytes],
    length: int,
) -> dict[str, float]:
    """The mean losses by name (``sums.LOSSES``), or nothing where too few told theirs. ``length``
    is of an update."""
    plan = held.plan
    named = messages.digest(vector)
    body = messages.write(plan, held.number, start=named, **messages.with_vector(vector))

    def check(node: int, said: bytes) -> None:
        message = Message(plan, said)
        checks.current(message, held.number)
        if tells:
            message.array("losses", "<u4", len(sums.LOSSES))

    tells = plan.aggregation == "individual" and sums.sums_losses(plan)
    answers = held.ask(
        messages.EVALUATE, dict.fromkeys(clients, body), check, need=0, is_training=True
    )
    if not sums.sums_losses(plan) or not answers:
        return {}
    if tells:
        told = [Message(plan, said).array("losses", "<u4").tolist() for said in answers.values()]
        return sums.mean_losses([sum(each) for each in zip(*told, strict=True)], len(told)) or {}
    try:
        ring, stayed = held.secret_sum(LOSS, sorted(answers), roster, length=length, vector=named)
    except FederationError:
        return {}
    return sums.mean_losses(ring.tolist(), len(stayed)) or {}

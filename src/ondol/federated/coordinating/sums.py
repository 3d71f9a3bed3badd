"""What is summed in secret in a round, as both sides reckon it for themselves: the session of the
masks, the updates' codec, and how losses are counted.

Home tells a device which round it is and who is in it, and nothing else: the threshold, the bits
and the keys come from the plan and the roster that the device itself holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ondol.errors import RoundRefusedError
from ondol.federated.coordinating.messages import UPDATE
from ondol.federated.plan import Plan
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.federated.coordinating.protocols import Ring
    from ondol.federated.encoding import Codec
    from ondol.federated.masking.session import Session

LOSS_BITS = 32
LOSS_STEPS = 10_000
"""A loss is counted in ten-thousandths of a nat a token."""
MOST_LOSS = 40.0
LOSSES = ("shared", "local")
"""Of the new shared vector, and of what the device had right after its own training."""


def clients_needed(plan: Plan) -> int:
    """Fewer than these make no round."""
    from ondol.federated.masking.session import SMALLEST_SUM

    return max(plan.min_clients, SMALLEST_SUM if plan.aggregation == "secure" else 1)


def sums_losses(plan: Plan) -> bool:
    """Whether the devices' losses are summed. They carry no noise: where epsilon is promised, they
    stay where they are."""
    return plan.noise_multiplier == 0.0


def codec(plan: Plan, round: int, num_clients: int, length: int) -> Codec:
    """How the updates of ``length`` numbers of a round's ``num_clients`` are encoded."""
    from ondol.federated.encoding import Codec

    return Codec.of(plan, num_clients, length, round)


def session(
    plan: Plan,
    round: int,
    what: str,
    nodes: Sequence[int],
    roster: Mapping[int, bytes],
    *,
    length: int,
    vector: str,
) -> Session:
    """The session of the masks for the sum of ``what`` ("update" or "loss") over ``nodes``.

    ``length`` is how many numbers an update has, ``vector`` the digest of the shared vector that
    was learned from, or measured. Who was sent another vector is in another session, whose keys the
    others refuse: a home cannot give all but one of them a vector from which nothing is learned,
    and read that one's update off the sum (Pasquini et al. 2022, arXiv:2111.07380).

    Raises ``RoundRefusedError`` for a node whose key is not pinned, and for fewer than the plan
    promised (home might be all the others), ``MaskingError`` for a session that nobody should take
    part in."""
    from ondol.federated.masking.session import Session

    if len(set(nodes)) < max(len(nodes), clients_needed(plan)):
        needed = clients_needed(plan)
        raise RoundRefusedError(t("federated_rounds.small", count=len(nodes), needed=needed))
    for node in nodes:
        if node not in roster:
            raise RoundRefusedError(t("federated_rounds.unknown_node", node=node))
    count = len(nodes)
    if what == UPDATE:
        how = codec(plan, round, count, length)
        bits, coordinates = how.bits, how.length
    else:
        bits, coordinates = LOSS_BITS, len(LOSSES)
    return Session(
        federation=f"{plan.federation}/{what}/{vector}",
        plan_digest=plan.digest,
        round=round,
        attempt=0,
        threshold=Session.threshold_for(count, plan.threshold),
        bits=bits,
        length=coordinates,
        roster={node: roster[node] for node in nodes},
    )


def encode_losses(losses: Sequence[float]) -> Ring:
    """Each of ``LOSSES``, from 0 to ``MOST_LOSS``; what is no number counts as the most."""
    import numpy as np

    bounded = [min(max(x, 0.0), MOST_LOSS) if math.isfinite(x) else MOST_LOSS for x in losses]
    return np.array([round(x * LOSS_STEPS) for x in bounded], np.uint32)


def mean_losses(totals: Sequence[int], num_clients: int) -> dict[str, float] | None:
    """From the sums of what ``num_clients`` encoded to their means by name; None where somebody
    told what no loss is."""
    means = [total / LOSS_STEPS / num_clients for total in totals]
    if any(mean > MOST_LOSS for mean in means):
        return None
    return dict(zip(LOSSES, means, strict=True))

"""What home takes, and what it does not: of one update, where it sees each; of a sum, where not.

Raises ``UpdateRefusedError``, ``PlanMismatchError``, ``RoundRefusedError`` with the reason.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ondol.errors import PlanMismatchError, RoundRefusedError, UpdateRefusedError
from ondol.federated.coordinating import sums
from ondol.federated.coordinating.messages import Message
from ondol.federated.plan import Plan
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.federated.coordinating.protocols import Vector
    from ondol.federated.encoding import Codec

COPIED = 0.98
"""An update with this cosine to the last mean is that mean, sent back: the free ride of Lin et al.
2019 (arXiv:1911.12560)."""
WORSE = 1.05
"""How much of the best loss on home's own data a new shared vector may have."""
SURPRISE = 1.5
"""How much longer than expected noise may be."""


def ready(plan: Plan, message: Message, round: int) -> str:
    """The digest of the vector that a device holds. Raises where it has another model."""
    current(message, round)
    theirs = (message.text("base_sha256"), message.text("template_sha256"))
    if theirs != (plan.base_sha256, plan.template_sha256):
        raise PlanMismatchError(t("federated_rounds.other_base", model=plan.model))
    return message.text("holds")


def current(message: Message, round: int, start: str | None = None) -> None:
    """Raises for an answer of another round, or to another shared vector: old, or replayed."""
    if message.round != round or (start is not None and message.text("start") != start):
        raise RoundRefusedError(t("federated_rounds.stale", round=message.round))


def one_update(plan: Plan, message: Message, length: int, before: Vector | None) -> Vector:
    """A device's update where home sees it; ``before`` is the mean of the last round."""
    from ondol.federated.squeezing import unsqueeze_ints

    if message.integer("length") != length:
        raise UpdateRefusedError(
            t("federated_rounds.shape", here=message.integer("length"), plan=length)
        )
    codec = sums.codec(plan, message.round, 1, length)
    packed = message.raw("update")
    ring = unsqueeze_ints(packed, codec.bits, codec.length)
    return bounded(plan, codec.decode_sum(ring, 1), before)


def bounded(plan: Plan, update: Vector, before: Vector | None) -> Vector:
    """``update``, no longer than ``clip_norm`` and the noise that is in it. Raises where it is not
    finite, zero (a device that did not learn), or the mean of the last round sent back."""
    import numpy as np

    from ondol.federated.privacy.clipping import clip

    norm = float(np.linalg.norm(update.astype(np.float64)))
    if not math.isfinite(norm):
        raise UpdateRefusedError(t("federated_rounds.not_finite"))
    if norm == 0.0:
        raise UpdateRefusedError(t("federated_rounds.empty"))
    if before is not None and cosine(update, before) > COPIED:
        raise UpdateRefusedError(t("federated_rounds.copied"))
    # With noise an update is longer than what it hides.
    noise = plan.noise_multiplier * math.sqrt(update.size) * SURPRISE
    found: Vector = clip(update, plan.clip_norm * math.hypot(1.0, noise)).astype(np.float32)
    return found


def cosine(one: Vector, other: Vector) -> float:
    """Of the angle between two vectors; 0 where one has no direction, or another length."""
    import numpy as np

    if one.shape != other.shape:
        return 0.0
    lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return float(one @ other) / lengths if lengths > 0 else 0.0


def mean_norm(codec: Codec, mean: Vector, num_clients: int) -> float:
    """The L2 norm of the mean of ``num_clients`` secret updates. Each was clipped on its device, so
    their mean is no longer than one of them, but for rounding and noise. Raises where it is: then
    somebody did not clip."""
    import numpy as np

    norm = float(np.linalg.norm(mean.astype(np.float64)))
    noise = codec.noise_headroom * codec.clip * math.sqrt(codec.length) / num_clients
    bound = math.hypot(codec.norm_bound * codec.step, noise * SURPRISE)
    if not norm <= bound:
        raise UpdateRefusedError(
            t("federated_rounds.too_long", norm=f"{norm:.3g}", bound=f"{bound:.3g}")
        )
    return norm


def is_worse(loss: float, best: float | None) -> bool:
    """Whether a shared vector with ``loss`` on home's own data is not taken. It is held against the
    best so far, not the last: many small steps down lead no further than one."""
    return not math.isfinite(loss) or (best is not None and loss > best * WORSE)

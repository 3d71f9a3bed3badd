"""What a device learned in a round, on its disk, before anything of it is encoded."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ondol.errors import MalformedMessageError, RoundRefusedError
from ondol.federated import wire
from ondol.federated.coordinating import messages, sums
from ondol.federated.coordinating.journal import keep
from ondol.federated.plan import Plan
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.federated.coordinating.protocols import Learner, Ring, Vector
    from ondol.federated.encoding import Randomness

MOST_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Learned:
    """``start`` is the digest of the shared vector that it began with; ``delta`` (float32) is
    neither clipped nor noisy. ``loss_before`` is the held-out loss with the shared vector,
    ``loss_local`` with what was learned from it, nats a token. ``taught`` are the ids of what it
    was learned from, where the learner tells them."""

    start: str
    delta: Vector
    num_examples: int
    loss_before: float
    loss_local: float
    taught: tuple[str, ...] = ()

    @classmethod
    def by(
        cls,
        learner: Learner,
        round: int,
        vector: Vector,
        folder: Path,
        loss_before: float | None = None,
    ) -> Self:
        """Let ``learner`` learn from ``vector``, whose ``loss_before`` is measured where nobody
        knows it. Raises ``RoundRefusedError`` where it came to what is no number."""
        import numpy as np

        if loss_before is None:
            loss_before = _loss(learner, vector)
        update = learner.train(round, vector, folder / "training")
        if not np.isfinite(update.delta).all():
            raise RoundRefusedError(t("federated_rounds.diverged"))
        local = _loss(learner, learner.applied(vector, update.delta, round))
        return cls(
            start=messages.digest(vector),
            delta=update.delta.astype(np.float32),
            num_examples=update.num_examples,
            loss_before=loss_before,
            loss_local=local,
            taught=tuple(getattr(learner, "taught", ())),
        )

    @classmethod
    def of_file(cls, folder: Path) -> Self | None:
        """What ``keep`` wrote, or None."""
        try:
            fields: dict[str, Any] = wire.unpack(_file(folder).read_bytes(), MOST_BYTES)
            taught = tuple(json.loads(fields["taught"]))
            return cls(delta=fields["delta"], taught=taught, **fields["told"])
        except (FileNotFoundError, MalformedMessageError, KeyError, TypeError, ValueError):
            return None

    def keep(self, folder: Path) -> None:
        """Put it on the disk."""
        told = {
            "start": self.start,
            "num_examples": self.num_examples,
            # A loss that is none is the learner's to tell; here it must not stop the round.
            "loss_before": _number(self.loss_before),
            "loss_local": _number(self.loss_local),
        }
        taught = json.dumps(self.taught).encode()
        keep(_file(folder), wire.pack({"delta": self.delta, "told": told, "taught": taught}))

    def may_be_sent(self, learner: Learner) -> bool:
        """Whether all that it was learned from may still teach: nothing was forgotten since, and no
        consent taken back (``learner.still_teach``, where it has that)."""
        still_teach = getattr(learner, "still_teach", None)
        return still_teach is None or bool(still_teach(self.taught))

    def encoded(self, plan: Plan, round: int, num_clients: int, rng: Randomness) -> Ring:
        """Clipped, rounded and with this device's share of the noise, for a sum of
        ``num_clients``. Another one each time: what was masked once is not encoded again."""
        codec = sums.codec(plan, round, num_clients, self.delta.size)
        ring = codec.encode(self.delta, rng)
        if plan.noise_multiplier == 0.0:
            return ring
        from ondol.federated.privacy.noise import noise_share

        return codec.noised(ring, noise_share(codec, plan, rng))


def _file(folder: Path) -> Path:
    return folder / "learned.vector"


def _loss(learner: Learner, vector: Vector) -> float:
    total, tokens = learner.evaluate(vector)
    return _number(total / max(1, tokens))


def _number(value: float) -> float:
    return min(max(value, 0.0), sums.MOST_LOSS) if math.isfinite(value) else sums.MOST_LOSS

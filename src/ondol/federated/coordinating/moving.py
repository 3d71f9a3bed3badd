"""From what devices answer to a new shared vector: by a secret sum, or by updates that home sees.

Raises ``FederationError``, with the reason why a round moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ondol.errors import RoundFailedError, TrainingError, UpdateRefusedError
from ondol.federated.coordinating import checks, messages, sums
from ondol.federated.coordinating.defences import robust_mean
from ondol.federated.coordinating.holding import Round
from ondol.federated.coordinating.messages import UPDATE, Message
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.federated.coordinating.protocols import Strategy, Vector


class Addition:
    """The plain mean is added: federated averaging of differences (McMahan et al. 2017,
    arXiv:1602.05629). All of the vector travels."""

    def __init__(self, size: int) -> None:
        self._size = size

    def length(self, round: int) -> int:
        return self._size

    def next(self, vector: Vector, mean_delta: Vector, round: int) -> Vector:
        moved: Vector = vector + mean_delta
        return moved

    def combine(
        self, vector: Vector, deltas: Sequence[Vector], weights: Sequence[float], round: int
    ) -> Vector:
        import numpy as np

        mean = np.average(np.stack(deltas), axis=0, weights=weights)
        return self.next(vector, mean.astype(np.float32), round)


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a round leads: ``vector`` is as fine as home keeps it, ``mean`` what moved it,
    ``clients`` those whose updates are in it. ``refused`` says why it is not gone there."""

    vector: Vector
    mean: Vector
    norm: float
    clients: tuple[int, ...]
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Standpoint:
    """Where a round begins: ``vector`` as home keeps it, ``start`` the name of what devices have
    of it, ``mean`` what moved it there."""

    vector: Vector
    mean: Vector | None
    strategy: Strategy

    @property
    def start(self) -> str:
        return messages.digest(messages.rounded(self.vector))


def train(held: Round, holds: Mapping[int, str], point: Standpoint) -> dict[int, bytes]:
    """Let those in ``holds`` train, each from the shared vector, which who has it is not sent."""
    start, plan = point.start, held.plan
    short = messages.write(plan, held.number, start=start)
    long = messages.write(plan, held.number, start=start, **messages.with_vector(point.vector))
    need = sums.clients_needed(plan)

    def check(node: int, said: bytes) -> None:
        message = Message(plan, said)
        checks.current(message, held.number, start)
        if plan.aggregation == "individual":
            checks.one_update(plan, message, point.strategy.length(held.number), point.mean)

    bodies = {node: short if it == start else long for node, it in holds.items()}
    return held.ask(messages.TRAIN, bodies, check, need=need, is_training=True)


def secret_move(
    held: Round, trained: Sequence[int], point: Standpoint, roster: Mapping[int, bytes]
) -> Moved:
    """By the sum of the updates, none of which home sees."""
    import numpy as np

    length = point.strategy.length(held.number)
    ring, clients = held.secret_sum(UPDATE, trained, roster, length=length, vector=point.start)
    codec = sums.codec(held.plan, held.number, len(trained), length)
    mean, norm = np.zeros(length, np.float32), 0.0
    try:
        mean = codec.decode_sum(ring, len(clients)) / np.float32(len(clients))
        norm = checks.mean_norm(codec, mean, len(clients))
        vector = _finite(point.strategy.next(point.vector, mean, held.number))
    except (UpdateRefusedError, TrainingError) as error:
        # Who was in it is worth knowing: one of them spoiled it.
        return Moved(point.vector, mean, norm, tuple(clients), error.message)
    return Moved(vector, mean, norm, tuple(clients))


def open_move(held: Round, answers: Mapping[int, bytes], point: Standpoint) -> Moved:
    """By the updates themselves, as the plan's defence has it."""
    import numpy as np

    plan, length = held.plan, point.strategy.length(held.number)
    copies = _copies(answers, held)
    nodes = [node for node in sorted(answers) if node not in copies]
    if len(nodes) < sums.clients_needed(plan):
        needed = sums.clients_needed(plan)
        raise RoundFailedError(
            t("federated_rounds.too_few", stage="train", count=len(nodes), needed=needed)
        )
    updates = np.stack(
        [checks.one_update(plan, Message(plan, answers[n]), length, point.mean) for n in nodes]
    )
    mean, rows = robust_mean(plan.defence, updates)
    held.refuse({n: t("federated_rounds.outlier") for i, n in enumerate(nodes) if i not in rows})
    if plan.defence in ("norm", "krum"):
        chosen = [updates[row] for row in rows]
        vector = point.strategy.combine(point.vector, chosen, [1.0] * len(chosen), held.number)
    else:
        vector = point.strategy.next(point.vector, mean, held.number)
    norm = float(np.linalg.norm(mean.astype(np.float64)))
    return Moved(_finite(vector), mean, norm, tuple(nodes[row] for row in rows))


def _copies(answers: Mapping[int, bytes], held: Round) -> set[int]:
    """Devices that sent the very bytes of another: no two round alike, so one took the other's."""
    seen: dict[bytes, list[int]] = {}
    for node, body in answers.items():
        seen.setdefault(Message(held.plan, body).raw("update"), []).append(node)
    found = {node for nodes in seen.values() if len(nodes) > 1 for node in nodes}
    held.refuse(dict.fromkeys(found, t("federated_rounds.copied")))
    return found


def _finite(vector: Vector) -> Vector:
    """What can be sent down: raises where float16 cannot hold it."""
    import numpy as np

    if not np.isfinite(messages.rounded(vector)).all():
        raise UpdateRefusedError(t("federated_rounds.not_finite"))
    return vector

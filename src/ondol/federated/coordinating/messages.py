"""Questions and answers of a round, read as what they should be: who asks, of which plan and round,
and fields of the right kind. Raises ``MalformedMessageError``, ``PlanMismatchError``.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

from ondol.errors import MalformedMessageError, PlanMismatchError
from ondol.federated import wire
from ondol.federated.plan import Plan
from ondol.i18n import t

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ondol.federated.coordinating.protocols import Vector

READY, TRAIN, EVALUATE, ADOPT = "ready", "train", "evaluate", "adopt"
KEYS, SHARES, MASK, SURVIVORS, UNMASK = "keys", "shares", "mask", "survivors", "unmask"
STAGES = (READY, TRAIN, KEYS, SHARES, MASK, SURVIVORS, UNMASK, EVALUATE, ADOPT)
UPDATE, LOSS = "update", "loss"
"""What is summed in secret: the updates, and the held-out losses."""
SUMS = (UPDATE, LOSS)

MOST_BYTES = 512 * 1024 * 1024
MOST_NODES = 100_000
MOST_LENGTH = 1 << 28
MOST_ROUNDS = 1 << 31


def write(plan: Plan, round: int, **fields: Any) -> bytes:
    """A question or an answer; every one says which plan and round it is of."""
    return wire.pack({"plan": plan.digest, "round": round, **fields})


class Message:
    """One that was read; ``round`` is a positive number."""

    def __init__(self, plan: Plan, body: bytes, most_bytes: int = MOST_BYTES) -> None:
        self._fields = wire.unpack(body, most_bytes)
        if self.text("plan") != plan.digest:
            raise PlanMismatchError(t("federated_rounds.other_plan"))
        self.round = self.integer("round")
        if not 1 <= self.round <= MOST_ROUNDS:
            raise _wrong("round")

    def asked(self) -> bytes:
        """What was asked, whether or not the shared vector came along: two questions with the same
        are the same."""
        came_along = ("vector", "length")
        return wire.pack({name: x for name, x in self._fields.items() if name not in came_along})

    def has(self, name: str) -> bool:
        return name in self._fields

    def integer(self, name: str) -> int:
        value = self._fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong(name)
        return value

    def number(self, name: str) -> float:
        value = self._fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(name)
        if not math.isfinite(value):
            raise _wrong(name)
        return float(value)

    def text(self, name: str, longest: int = 1024) -> str:
        value = self._fields.get(name)
        if not isinstance(value, str) or len(value) > longest:
            raise _wrong(name)
        return value

    def raw(self, name: str) -> bytes:
        value = self._fields.get(name)
        if not isinstance(value, bytes):
            raise _wrong(name)
        return value

    def json(self, name: str) -> dict[str, Any]:
        value = self._fields.get(name)
        if not isinstance(value, dict):
            raise _wrong(name)
        return value

    def nodes(self, name: str) -> tuple[int, ...]:
        """Node ids, ascending, none of them twice."""
        value = self._fields.get(name)
        if not isinstance(value, list) or not 0 < len(value) <= MOST_NODES:
            raise _wrong(name)
        if not all(isinstance(x, int) and not isinstance(x, bool) and x > 0 for x in value):
            raise _wrong(name)
        if value != sorted(set(value)):
            raise _wrong(name)
        return tuple(value)

    def array(self, name: str, dtype: str, length: int | None = None) -> NDArray[Any]:
        """A 1-D array of ``dtype`` ("<f4"), of ``length`` numbers if that is known."""
        value = self._fields.get(name)
        if getattr(value, "ndim", 0) != 1 or value is None or value.dtype.str != dtype:
            raise _wrong(name)
        if length is not None and value.size != length:
            raise _wrong(name)
        found: NDArray[Any] = value
        return found

    def vector(self, longest: int = MOST_LENGTH) -> Vector:
        """The shared vector that came along (``with_vector``). Raises where it is not finite, and
        before it is unpacked where it is longer than ``longest``: zeros take no room on the way."""
        import numpy as np

        from ondol.federated.squeezing import unsqueeze

        length = self.integer("length")
        if not 0 < length <= longest:
            raise _wrong("length")
        came: Vector = unsqueeze(self.raw("vector"), "<f2", length).astype(np.float32)
        if not np.isfinite(came).all():
            raise _wrong("vector")
        return came


def with_vector(vector: Vector) -> dict[str, Any]:
    """The fields that carry a shared vector down."""
    from ondol.federated.squeezing import squeeze

    return {"vector": squeeze(downlink(vector)), "length": vector.size}


def rounded(vector: Vector) -> Vector:
    """As every device gets it: float16's values, in float32. Home and devices start from the same
    numbers, and what home keeps is finer."""
    import numpy as np

    with np.errstate(over="ignore"):
        down = vector.astype(np.float16)
    return down.astype(np.float32)


def downlink(vector: Vector) -> np.ndarray[Any, Any]:
    """``vector`` on its way to devices: two bytes a number."""
    import numpy as np

    with np.errstate(over="ignore"):
        return vector.astype("<f2")


def digest(vector: Vector) -> str:
    """The name of a shared vector: SHA-256 (hex) of its way down."""
    return hashlib.sha256(downlink(vector).tobytes()).hexdigest()


def _wrong(name: str) -> MalformedMessageError:
    return MalformedMessageError(t("federated_rounds.malformed", what=name))

"""Devices that do harm, or nothing: what each sends in the place of an honest update.

An attacker here has all that a member has: the plan, the codec, the shared vector. It is bound by
nothing that only its own software does, so it clips nothing. It does not know others' updates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ondol.federated.encoding import Codec
from ondol.federated.rotation import rotate
from ondol.federated.simulating.scenario import Attack, Scenario

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Labels = npt.NDArray[np.int64]
    Ring = npt.NDArray[np.uint32]

STRENGTH = 10.0


def chosen(scenario: Scenario) -> frozenset[int]:
    """Which of the devices attack."""
    import numpy as np

    rng = np.random.default_rng([scenario.seed, 5])
    many = round(scenario.attackers * scenario.clients)
    return frozenset(int(one) for one in rng.choice(scenario.clients, many, replace=False))


def randomness(scenario: Scenario, device: int, round: int) -> np.random.Generator:
    """What an attacker draws from in a round."""
    import numpy as np

    return np.random.default_rng([scenario.seed, 8, device, round])


def learned_from(labels: Labels, attack: Attack, classes: int) -> Labels:
    """The labels an attacker learns from: each one turned into its opposite by ``flip``."""
    return classes - 1 - labels if attack == "flip" else labels


@dataclass(slots=True)
class Attacker:
    """One device's doings over the rounds. ``is_masked``: home sees sums only, so what was sent
    before is words that nobody can tell from uniform ones. Where it does not, what leaves a
    single update's range would not even be read, so attackers stay within that."""

    attack: Attack
    is_masked: bool
    sent: list[Floats] = field(default_factory=list)

    @property
    def is_broken(self) -> bool:
        """Whether its own software does not let it take part: its training came to no numbers."""
        return self.attack == "nan"

    def ring(self, delta: Floats, moved: Floats, codec: Codec, rng: np.random.Generator) -> Ring:
        """What it sends, in the codec's ring, having learned ``delta`` while the shared vector is
        ``moved`` away from the first one."""
        import numpy as np

        honest = delta
        match self.attack:
            case "garbage":
                return _uniform(codec, rng)
            case "scale":
                return self._unclipped(-STRENGTH * delta, codec)
            case "noise":
                return self._unclipped(
                    _as_long(rng.normal(size=delta.shape), STRENGTH * codec.clip), codec
                )
            case "oppose":
                honest = _as_long(-moved, codec.clip)
            case "zero":
                honest = np.zeros_like(delta)
            case "replay":
                if self.sent and self.is_masked:
                    return _uniform(codec, rng)
                self.sent.append(delta)
                honest = self.sent[0]
            case "flip" | "nan":
                pass
        return codec.encode(honest, rng)

    def _unclipped(self, vector: Floats, codec: Codec) -> Ring:
        """Encoded without the clipping, and, where nobody can look, without the cut."""
        import numpy as np

        ints = np.rint(rotate(vector, codec.rotation) / codec.step).astype(np.int64)
        return codec.wrap(ints if self.is_masked else ints.clip(-codec.most, codec.most))


def _uniform(codec: Codec, rng: np.random.Generator) -> Ring:
    import numpy as np

    return rng.integers(0, 2**codec.bits, codec.length, dtype=np.uint64).astype(np.uint32)


def _as_long(vector: npt.NDArray[np.floating], norm: float) -> Floats:
    import numpy as np

    length = float(np.linalg.norm(vector))
    return (vector * (norm / length if length else 0.0)).astype(np.float32)

"""A device's update as integers modulo a power of two, so that masks hide it and sums stay exact.

A vector x of d coordinates is clipped to the L2 norm ``clip``, rotated, scaled to steps and rounded
to a neighbouring integer at random, without bias:

* The rotation (``rotation.py``) makes every coordinate about as large as ``|x| / sqrt(d)``, so one
  step for all of them wastes no bits on the few large ones (Suresh et al. 2017, arXiv:1611.00429;
  Kairouz, Liu and Steinke 2021, arXiv:2102.06387, section 4).
* A coordinate reaches ``most`` = 2**(value_bits - 1) - 1 steps; what is beyond is cut off. The step
  is ``peak * clip / (most * sqrt(d))``: after the rotation of a vector of norm ``clip`` a
  coordinate is close to normal, and the cut and the rounding err about equally.
* Rounding may lengthen a vector. It is repeated until the integers' norm is at most
  ``norm_bound`` (conditional rounding, arXiv:2102.06387, theorem 1: one trial succeeds with
  probability over ``1 - FAILURE``), and after ``TRIALS`` it goes towards zero. So a device's
  integers never exceed ``norm_bound``, whatever chance does: the sensitivity that the privacy
  accounting counts with.

The ring has room for the sum of ``most_clients`` vectors and for the noise on it. A sum without
noise never wraps around. One with noise does in a coordinate of it with probability below
``OVERFLOW``, which adds less than a thousandth to the noise (the wrap is 10 of its standard
deviations) and saves a bit or two a number; privacy is not concerned (post-processing).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from ondol.errors import FederationError, UpdateRefusedError
from ondol.federated.privacy.clipping import clip as clipped
from ondol.federated.privacy.shares import whole_deviation
from ondol.federated.rotation import rotate, unrotate
from ondol.i18n import t

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ondol.federated.plan import Plan

    Vector = npt.NDArray[np.float32]
    Ring = npt.NDArray[np.uint32]
    Ints = npt.NDArray[np.int64]

MOST_BITS = 32
LEAST_VALUE_BITS, MOST_VALUE_BITS = 2, 16
FAILURE = 1e-6
TRIALS = 8
OVERFLOW = 1e-5


class Randomness(Protocol):
    """Uniform bytes: ``entropy.SYSTEM`` on a device, a seeded ``numpy.random.Generator`` where a
    simulation or a test has to come out the same again."""

    def bytes(self, length: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Codec:
    """``dimension`` is d. ``noise_headroom`` is the standard deviation of all the noise on the sum,
    in units of ``clip`` (0: none). ``rotation`` is public and the same for all of a round."""

    value_bits: int
    clip: float
    most_clients: int
    noise_headroom: float = 0.0
    dimension: int = 1
    rotation: bytes = b""

    def __post_init__(self) -> None:
        if not (
            LEAST_VALUE_BITS <= self.value_bits <= MOST_VALUE_BITS
            and 0 < self.clip < math.inf
            and self.most_clients >= 1
            and 0 <= self.noise_headroom < math.inf
            and self.dimension >= 1
        ):
            raise FederationError(t("federated_privacy.codec"), t("federated_privacy.codec_hint"))
        if self.bits > MOST_BITS:
            raise FederationError(
                t("federated_privacy.ring", bits=self.bits, most=MOST_BITS),
                t("federated_privacy.ring_hint"),
            )

    @classmethod
    def of(cls, plan: Plan, num_clients: int, dimension: int, number: int) -> Self:
        """The one that every member of round ``number`` uses when ``num_clients`` were chosen."""
        noise = whole_deviation(plan, num_clients)
        seed = hashlib.sha256(f"rotation:{plan.digest}:{number}".encode()).digest()
        return cls(plan.value_bits, plan.clip_norm, num_clients, noise, dimension, seed)

    @property
    def length(self) -> int:
        """Of an encoded vector: the dimension, or one more (the rotation pairs coordinates)."""
        return self.dimension + self.dimension % 2

    @property
    def most(self) -> int:
        """The largest integer of one device's coordinate, before noise."""
        return int(2 ** (self.value_bits - 1)) - 1

    @property
    def step(self) -> float:
        """What the integer 1 stands for."""
        peak = min(math.sqrt(2 * math.log(2) * self.value_bits) + 0.5, math.sqrt(self.length))
        return peak * self.clip / (self.most * math.sqrt(self.length))

    @property
    def squared_norm_bound(self) -> int:
        """No device's integers have a larger squared L2 norm."""
        root, norm = math.sqrt(self.length), self.clip / self.step
        likely = norm**2 + self.length / 4
        likely += math.sqrt(2 * math.log(1 / FAILURE)) * (norm + root / 2)
        return math.ceil(min(likely, (norm + root) ** 2, self.length * self.most**2))

    @property
    def norm_bound(self) -> float:
        """L2, in steps."""
        return math.sqrt(self.squared_norm_bound)

    @property
    def noise_room(self) -> int:
        """How far the noise of one coordinate of the sum may reach, in steps: by Bernstein's
        inequality beyond it with probability below ``OVERFLOW``. A Skellam variable of variance v
        is the sum of v / e variables of variance e with values -1, 0 and 1, as e -> 0, so
        P(|X| >= r) <= 2 exp(-r**2 / (2 (v + r / 3)))."""
        if self.noise_headroom == 0:
            return 0
        variance = (self.noise_headroom * self.clip / self.step) ** 2
        surprise = math.log(2 / OVERFLOW)
        return math.ceil(surprise / 3 + math.sqrt((surprise / 3) ** 2 + 2 * surprise * variance))

    def reach(self, num_clients: int) -> int:
        """The largest integer that a coordinate of the sum of ``num_clients`` can be; with noise,
        that it is likely to be."""
        return num_clients * self.most + self.noise_room

    @property
    def bits(self) -> int:
        """The ring is the integers modulo 2**bits."""
        return (2 * self.reach(self.most_clients)).bit_length()

    def encode(self, vector: Vector, rng: Randomness) -> Ring:
        """(dimension,) float32 -> (length,) ring integers. Raises ``UpdateRefusedError`` for
        another shape, or what is not finite."""
        if vector.shape != (self.dimension,):
            raise UpdateRefusedError(
                t("federated_privacy.shape", here=str(vector.shape), plan=self.dimension)
            )
        scaled = rotate(clipped(vector, self.clip), self.rotation) / self.step
        return self.wrap(self._rounded(scaled.clip(-self.most, self.most), rng))

    def _rounded(self, scaled: npt.NDArray[np.float64], rng: Randomness) -> Ints:
        import numpy as np

        floor = np.floor(scaled)
        fraction = scaled - floor
        for _ in range(TRIALS):
            coins = np.frombuffer(rng.bytes(4 * len(scaled)), "<u4") * 2.0**-32
            rounded = (floor + (coins < fraction)).astype(np.int64)
            if int(rounded @ rounded) <= self.squared_norm_bound:
                return rounded
        return np.trunc(scaled).astype(np.int64)

    def wrap(self, ints: Ints) -> Ring:
        """Signed integers into the ring."""
        import numpy as np

        return (ints & np.int64(2**self.bits - 1)).astype(np.uint32)

    def noised(self, encoded: Ring, noise: Ints) -> Ring:
        """``encoded`` with a share of noise (``privacy.noise_share``, (length,)) added."""
        import numpy as np

        return self.wrap(encoded.astype(np.int64) + noise)

    def signed(self, ring: Ring, num_clients: int) -> Ints:
        """What the sum of ``num_clients`` encoded vectors is, in steps. Raises
        ``UpdateRefusedError`` for what no such sum can be."""
        import numpy as np

        if ring.shape != (self.length,) or not 1 <= num_clients <= self.most_clients:
            raise UpdateRefusedError(
                t("federated_privacy.shape", here=str(ring.shape), plan=self.length)
            )
        ints = ring.astype(np.int64)
        if ints.size and (int(ints.min()) < 0 or int(ints.max()) >> self.bits):
            raise UpdateRefusedError(t("federated_privacy.outside"))
        half = np.int64(2 ** (self.bits - 1))
        centred: Ints = np.where(ints >= half, ints - 2 * half, ints)
        if not self.noise_headroom and int(np.abs(centred).max()) > self.reach(num_clients):
            raise UpdateRefusedError(t("federated_privacy.outside"))
        return centred

    def decode_sum(self, ring: Ring, num_clients: int) -> Vector:
        """The sum (not the mean) of the vectors that ``num_clients`` devices encoded."""
        import numpy as np

        turned = self.signed(ring, num_clients).astype(np.float64) * self.step
        total: Vector = unrotate(turned, self.rotation)[: self.dimension].astype(np.float32)
        return total

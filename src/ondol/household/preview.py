"""Exactly what would leave this device in a round, before the first one: how many examples teach,
how many numbers and bytes are sent, what that costs in privacy, and a test vector as it would be
seen on the way and at home.

The test vector is drawn by chance and goes the way of a real one (clipped, rounded, with noise,
masked); nothing is sent. Raises ``FederationNotFoundError``, ``PlanMismatchError``, and what the
parts raise.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondol.federated.plan import Plan
from ondol.household import consent, layouts, promises
from ondol.household.federations import Federation, Federations
from ondol.household.promises import Promises
from ondol.parts import Parts

if TYPE_CHECKING:
    from ondol.federated.encoding import Codec

BINS = 32
TESTED = 1 << 16
"""Numbers of the test vector at most: more only take longer."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often numbers fall between ``edges``, which are one more than ``counts``."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def json(self) -> dict[str, Any]:
        return {"edges": list(self.edges), "counts": list(self.counts)}


@dataclass(frozen=True, slots=True)
class Preview:
    """``length`` numbers of ``bits`` bits leave in a round, and ``bytes_down`` come. Of the test
    vector ``encoded`` is what is masked and ``sent`` what leaves."""

    federation: Federation
    sources: tuple[dict[str, Any], ...]
    num_examples: int
    num_held_out: int
    length: int
    bits: int
    bytes_up: int
    bytes_down: int
    encoded: Histogram
    sent: Histogram
    promises: Promises

    def json(self) -> dict[str, Any]:
        """As the CLI and the API give it."""
        one = self.federation
        return {
            "id": one.id,
            "name": one.name,
            "home": {"url": one.url},
            "plan": one.plan.json() | {"digest": one.plan.digest},
            "num_members": len(one.members),
            "safety_number": one.safety_number,
            "sources": list(self.sources),
            "num_examples": self.num_examples,
            "num_held_out": self.num_held_out,
            "length": self.length,
            "bits": self.bits,
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "encoded": self.encoded.json(),
            "histogram": self.sent.json(),
            **self.promises.json(),
        }


def preview(parts: Parts, wanted: str = "") -> Preview:
    """What a round of the federation with that id or name would take from here."""
    from ondol.federated.encoding import Codec
    from ondol.federated.packing import packed_size

    with Federations.open() as kept:
        one = kept.get(wanted)
    plan, layout = one.plan, layouts.layout_for(parts, one.plan)
    sent = layout.sent(1)
    clients = max(len(one.members), plan.min_clients)
    codec = Codec.of(
        plan, clients if plan.aggregation == "secure" else 1, sent.stop - sent.start, 1
    )
    agreed = [each for each in consent.sources(parts, one.id) if each["is_agreed"]]
    encoded, masked = _tested(plan, codec, clients)
    return Preview(
        one,
        tuple({"name": each["name"], "num_examples": each["num_examples"]} for each in agreed),
        sum(each["num_examples"] for each in agreed),
        sum(each["num_held_out"] for each in agreed),
        codec.length,
        codec.bits,
        packed_size(codec.length, codec.bits),
        # The shared vector comes as float16.
        2 * layout.size,
        encoded,
        masked,
        promises.of(plan, len(one.members), one.epsilon, codec.length),
    )


def _tested(plan: Plan, codec: Codec, num_clients: int) -> tuple[Histogram, Histogram]:
    """A vector drawn by chance, as it is encoded and as it leaves."""
    import numpy as np

    from ondol.federated.encoding import Codec
    from ondol.federated.entropy import SYSTEM
    from ondol.federated.masking import stream
    from ondol.federated.privacy.noise import noise_share

    length = min(codec.length, TESTED)
    clients = num_clients if plan.aggregation == "secure" else 1
    tested = Codec.of(plan, clients, length, 1)
    rng = np.random.default_rng(secrets.randbits(64))
    drawn = rng.standard_normal(length).astype(np.float32)
    # As many numbers of a real one would have this norm.
    share = np.float32(plan.clip_norm * (length / codec.length) ** 0.5)
    drawn *= share / np.linalg.norm(drawn)
    ring = tested.encode(drawn, SYSTEM)
    ring = tested.noised(ring, noise_share(tested, plan, SYSTEM))
    before = _histogram(ring, tested.bits)
    if plan.aggregation == "individual":
        return before, before
    total = stream.checked(ring, len(ring), tested.bits)
    stream.apply(total, secrets.token_bytes(32), adds=True)
    return before, _histogram(stream.reduce(total, tested.bits), tested.bits)


def _histogram(ring: Any, bits: int) -> Histogram:
    import numpy as np

    counts, edges = np.histogram(ring, bins=BINS, range=(0, float(1 << bits)))
    return Histogram(tuple(map(float, edges)), tuple(map(int, counts)))

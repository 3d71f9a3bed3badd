"""A whole masked sum in this process: members by node id, and who leaves before which step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ondol.federated.masking.adder import Adder
from ondol.federated.masking.kept import Memory, Store
from ondol.federated.masking.member import Member
from ondol.federated.masking.session import Session
from ondol.identity import Identity

STEPS = ("keys", "shares", "mask", "survivors", "unmask")
STAYS = len(STEPS)


def identity(number: int) -> Identity:
    """The same device for the same number."""
    return Identity(Ed25519PrivateKey.from_private_bytes(number.to_bytes(32)))


def session(
    count: int = 4,
    *,
    threshold: int = 0,
    bits: int = 12,
    length: int = 8,
    round: int = 1,
    attempt: int = 0,
    federation: str = "family",
) -> Session:
    """A round of devices 1 to ``count``, whose node ids are 11, 12, ..."""
    roster = {10 + number: identity(number).public_key for number in range(1, count + 1)}
    return Session(
        federation=federation,
        plan_digest="ab" * 32,
        round=round,
        attempt=attempt,
        threshold=threshold or Session.threshold_for(count),
        bits=bits,
        length=length,
        roster=roster,
    )


def seeded(session: Session, node: int) -> Memory:
    """A store whose seed is known: the same masks in each run of a test."""
    store = Memory()
    store.first(f"{session.digest.hex()[:32]}/seed", node.to_bytes(32))
    return store


@dataclass
class Round:
    """Goes as far as it is asked to. ``leaves`` says before which step (its index in ``STEPS``) a
    node is gone."""

    session: Session
    leaves: Mapping[int, int] = field(default_factory=dict)
    stores: dict[int, Store | Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pinned = set(self.session.roster.values())
        self.adder = Adder(self.session)
        self.members = {
            node: Member(
                self.session,
                identity(node - 10),
                pinned,
                self.stores.get(node) or seeded(self.session, node),
            )
            for node in self.session.roster
        }
        numbers = np.random.default_rng(5)
        self.vectors = {
            node: numbers.integers(0, 1 << self.session.bits, self.session.length).astype(np.uint32)
            for node in self.session.roster
        }

    def there(self, step: str, nodes: Iterable[int] | None = None) -> list[int]:
        """Who of ``nodes`` (all) is still there at ``step``."""
        among = self.session.roster if nodes is None else nodes
        return [n for n in among if self.leaves.get(n, STAYS) > STEPS.index(step)]

    def keys(self) -> bytes:
        """What home relays of the keys."""
        return self.adder.relay_keys({n: self.members[n].keys() for n in self.there("keys")})

    def shares(self) -> dict[int, bytes]:
        """What home relays of the shares."""
        all_keys = self.keys()
        there = self.there("shares", self.there("keys"))
        return self.adder.relay_shares({n: self.members[n].shares(all_keys) for n in there})

    def mask(self) -> dict[int, np.ndarray]:
        """The masked vectors that came."""
        bundles = self.shares()
        self.masked = {
            n: self.members[n].mask(bundles[n], self.vectors[n])
            for n in self.there("mask", bundles)
        }
        return self.masked

    def survivors(self) -> bytes:
        """What home asks for ``unmask`` with."""
        request = self.adder.ask_survivors(self.mask())
        there = self.there("survivors", self.masked)
        return self.adder.ask_unmask({n: self.members[n].survivors(request) for n in there})

    def sum(self) -> np.ndarray:
        """The sum that home learns."""
        request = self.survivors()
        there = self.there("unmask", self.there("survivors", self.masked))
        answers = {n: self.members[n].unmask(request) for n in there}
        return self.adder.sum(self.masked, answers)

    def plain_sum(self) -> np.ndarray:
        """What the sum must be: of the vectors of those who sent one."""
        total = sum(self.vectors[n].astype(np.uint64) for n in self.adder.stayed)
        return (total & np.uint64((1 << self.session.bits) - 1)).astype(np.uint32)

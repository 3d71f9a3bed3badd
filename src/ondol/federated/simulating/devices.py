"""Simulated devices as a real federation's coordinator meets them: the same ``Participant`` with
keys and a journal of its own, a learner that has a small network in the place of a language model,
and faults."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.federated.coordinating import sums
from ondol.federated.coordinating.device import Participant
from ondol.federated.coordinating.messages import Message
from ondol.federated.grid import Device
from ondol.federated.learning.strategies import Update
from ondol.federated.members import Member
from ondol.federated.simulating import attackers, faults
from ondol.federated.simulating.population import Population, randomness

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ondol.federated.coordinating.learned import Learned
    from ondol.identity import Identity

    Floats = npt.NDArray[np.float32]
    Ring = npt.NDArray[np.uint32]


class SmallLearner:
    """``coordinating.protocols.Learner`` of device number ``device``."""

    def __init__(self, population: Population, device: int) -> None:
        self.base_sha256 = population.plan.base_sha256
        self.template_sha256 = population.plan.template_sha256
        self.given = population.start()
        self._population, self._device = population, device

    def train(self, round: int, vector: Floats, folder: Path) -> Update:
        """One round's; ``folder`` stays empty, since nothing here is worth going on with."""
        import numpy as np

        found, device = self._population, self._device
        self.given = vector
        delta = found.learned(round, vector, [device])[0]
        attacker = found.attackers.get(device)
        if attacker is not None and attacker.attack == "nan":
            delta = np.full_like(delta, np.nan)
        data = found.data(device)
        before, after = (found.network.loss(at, *data) for at in (vector, vector + delta))
        return Update(delta, len(data[1]), before, after)

    def evaluate(self, vector: Floats) -> tuple[float, int]:
        """On what the device holds out."""
        data = self._population.held_out(self._device)
        return self._population.network.loss(vector, *data) * len(data[1]), len(data[1])

    def applied(self, vector: Floats, delta: Floats, round: int) -> Floats:
        moved: Floats = vector + delta
        return moved

    def adopt(self, vector: Floats, about: Mapping[str, Any]) -> None:
        """A simulated device has no use for it."""


class AttackingParticipant(Participant):
    """A device whose owner changed the program: it sends what its ``attackers.Attacker`` makes."""

    def __init__(self, population: Population, device: int, *rest: Any, **named: Any) -> None:
        super().__init__(*rest, **named)
        self._population, self._device = population, device

    def encoded(self, learned: Learned, round: int, num_clients: int) -> Ring:
        found = self._population
        codec = sums.codec(self.plan, round, num_clients, learned.delta.size)
        rng = attackers.randomness(found.scenario, self._device, round)
        assert isinstance(self.learner, SmallLearner)
        moved = self.learner.given - found.start()
        return found.attackers[self._device].ring(learned.delta, moved, codec, rng)


class Unreliable:
    """A device with its faults."""

    def __init__(self, device: Device, population: Population, number: int) -> None:
        self._device, self._population, self._number = device, population, number

    def answer(self, stage: str, body: bytes) -> bytes:
        found = self._population
        if stage in faults.STAGES:
            round = Message(found.plan, body).round
            gone = faults.fault(found.scenario, self._number, round)
            if gone is not None and faults.STAGES.index(stage) >= gone:
                raise ConnectionError
        return self._device.answer(stage, body)


def member(population: Population, device: int) -> tuple[Member, Identity]:
    """A device's place in the federation, and its pen: the same for the same seed."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ondol.identity import Identity

    secret = hashlib.sha256(f"simulated {population.scenario.seed}:{device}".encode()).digest()
    identity = Identity(Ed25519PrivateKey.from_private_bytes(secret))
    return Member(population.plan.federation, identity.public_key), identity


def participant(
    population: Population,
    device: int,
    identity: Identity,
    roster: Mapping[int, bytes],
    folder: Path,
) -> Device:
    """Device number ``device``, with its faults."""
    scenario, plan = population.scenario, population.plan
    learner = SmallLearner(population, device)
    rest = (folder, plan, learner, identity, roster)
    made: Participant
    if device in population.attackers:
        made = AttackingParticipant(population, device, *rest)
    else:
        made = Participant(*rest, randomness=randomness(scenario, device))
    return Unreliable(made, population, device)

"""All devices of a simulation with their data, and what home has: made anew from the seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ondol.federated.plan import Plan
from ondol.federated.simulating import attackers, letters, network, skew
from ondol.federated.simulating.attackers import Attacker
from ondol.federated.simulating.letters import CLASSES, Text
from ondol.federated.simulating.network import Network
from ondol.federated.simulating.scenario import EXAMPLES_A_DEVICE, Scenario

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Labels = npt.NDArray[np.int64]
    Featured = tuple[Floats, Labels]

HELD_OUT = 5
"""Every fifth example of a device is its own held-out one."""


@dataclass(frozen=True, slots=True)
class Population:
    """``examples`` are each device's indices into ``text.devices``. ``attackers`` are by device."""

    scenario: Scenario
    plan: Plan
    text: Text
    network: Network
    examples: list[npt.NDArray[np.int64]]
    attackers: dict[int, Attacker]
    canary: Featured
    measured: Featured
    known: dict[int, Featured] = field(default_factory=dict)
    """What devices learn from, once it was asked for."""

    @property
    def size(self) -> int:
        """Numbers in an update."""
        return self.network.size

    def start(self) -> Floats:
        """The first shared vector: a head that knows nothing."""
        import numpy as np

        return np.zeros(self.size, np.float32)

    def learned(self, round: int, vector: Floats, devices: Sequence[int]) -> Floats:
        """(devices, size): what each learns in ``round``, attackers from what they make of it."""
        data = [self.data(device) for device in devices]
        return network.train(self.network, self.plan, round, vector, devices, data)

    def alone(self, most: int = 20) -> float:
        """The mean accuracy of honest devices (at most ``most``) that learned for themselves, as
        long as the federation did."""
        import numpy as np

        devices = [x for x in range(self.scenario.clients) if x not in self.attackers][:most]
        data = [self.data(device) for device in devices]
        vectors = np.tile(self.start(), (len(devices), 1))
        for round in range(1, self.scenario.rounds + 1):
            vectors += network.train(self.network, self.plan, round, vectors, devices, data)
        return float(np.mean([self.quality(vector)[1] for vector in vectors]))

    def data(self, device: int) -> Featured:
        """What a device learns from."""
        if device not in self.known:
            self.known[device] = self._data(device)
        return self.known[device]

    def _data(self, device: int) -> Featured:
        kept = self.examples[device]
        found = self.text.devices.at(kept[_is_learned(len(kept))])
        labels = found.labels
        if device in self.attackers:
            labels = attackers.learned_from(labels, self.scenario.attack, CLASSES)
        return self.network.features(found), labels

    def held_out(self, device: int) -> Featured:
        """What a device measures with."""
        kept = self.examples[device]
        found = self.text.devices.at(kept[~_is_learned(len(kept))])
        return self.network.features(found), found.labels

    def canary_loss(self, vector: Floats) -> float:
        """On home's own data."""
        return self.network.loss(vector, *self.canary)

    def quality(self, vector: Floats) -> tuple[float, float]:
        """Loss and accuracy on text that nobody in the federation has."""
        return (
            self.network.loss(vector, *self.measured),
            self.network.accuracy(vector, *self.measured),
        )


def population(
    scenario: Scenario, text: Text | None = None, base: Network | None = None
) -> Population:
    """The devices of ``scenario``. ``text`` and ``base`` may be those of another population of the
    same seed: they take seconds to make."""
    plan = scenario.plan()
    text = text or letters.read(scenario.seed)
    base = base or network.pretrained(text.base, plan)
    many = min(EXAMPLES_A_DEVICE, len(text.devices) // scenario.clients)
    return Population(
        scenario,
        plan,
        text,
        base,
        skew.dirichlet(text.devices.labels, scenario.clients, many, scenario.alpha, scenario.seed),
        {
            device: Attacker(scenario.attack, scenario.aggregation == "secure")
            for device in attackers.chosen(scenario)
        },
        (base.features(text.canary), text.canary.labels),
        (base.features(text.measured), text.measured.labels),
    )


def randomness(scenario: Scenario, device: int) -> np.random.Generator:
    """What an honest device rounds and draws its noise with: seeded, so that a simulation comes out
    the same again, with all of its messages or without."""
    import numpy as np

    return np.random.default_rng([scenario.seed, 9, device])


def _is_learned(examples: int) -> npt.NDArray[np.bool_]:
    import numpy as np

    found: npt.NDArray[np.bool_] = np.arange(examples) % HELD_OUT != 0
    return found

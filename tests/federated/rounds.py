"""A small federation in one process: learners that solve a linear problem, keys, participants, and
a coordinator, each of which can be built again from what lies on the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from ondol.federated.coordinating.asking import Patience
from ondol.federated.coordinating.coordinator import Coordinator
from ondol.federated.coordinating.device import Participant
from ondol.federated.coordinating.in_process import InProcessGrid
from ondol.federated.members import Member, keys_of
from ondol.federated.plan import Plan
from ondol.identity import Identity

SIZE = 12
PLAN = Plan(
    federation="fed-1",
    name="family",
    model="tiny",
    base_sha256="a" * 64,
    template_sha256="b" * 64,
    task="style",
    rounds=2,
    value_bits=12,
)
IMPATIENT = Patience(training=30.0, other=30.0, again=0.0, tries=8, grace=1, ready=3, failures=2)

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Update:
    delta: Vector
    num_examples: int = 10
    loss_before: float = 1.0
    loss_after: float = 0.5


@dataclass
class Towards:
    """Learns by going to ``target``, a step of length 1 at most; its loss is how far it is."""

    target: Vector
    base_sha256: str = PLAN.base_sha256
    template_sha256: str = PLAN.template_sha256
    trained: list[int] = field(default_factory=list)
    adopted: list[tuple[Vector, Mapping[str, Any]]] = field(default_factory=list)

    def train(self, round: int, vector: Vector, folder: Path) -> Update:
        self.trained.append(round)
        way = self.target - vector
        return Update((way / max(1.0, float(np.linalg.norm(way)))).astype(np.float32))

    def evaluate(self, vector: Vector) -> tuple[float, int]:
        return 4 * float(np.linalg.norm(self.target - vector)), 4

    def applied(self, vector: Vector, delta: Vector, round: int) -> Vector:
        return vector + delta

    def adopt(self, vector: Vector, about: Mapping[str, Any]) -> None:
        self.adopted.append((vector, about))


def identity(number: int) -> Identity:
    """The same for the same number."""
    return Identity(Ed25519PrivateKey.from_private_bytes(bytes([number + 1]) * 32))


@dataclass
class Household:
    """``count`` devices around different targets, and their home, below ``folder``."""

    folder: Path
    count: int = 4
    plan: Plan = PLAN
    learners: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        draw = np.random.default_rng(3)
        self.identities = [identity(number) for number in range(self.count)]
        members = [Member(self.plan.federation, one.public_key) for one in self.identities]
        self.nodes = [member.node for member in members]
        self.roster = keys_of(members)
        if not self.learners:
            targets = draw.normal(0, 0.2, (self.count, SIZE)).astype(np.float32)
            self.learners = [Towards(target) for target in targets]
        self.grid = InProcessGrid(self.devices())

    def device(self, number: int, **changed: Any) -> Participant:
        """A participant that finds what one before it left."""
        return Participant(
            self.folder / f"device-{number}",
            changed.pop("plan", self.plan),
            changed.pop("learner", self.learners[number]),
            self.identities[number],
            self.roster,
            **changed,
        )

    def devices(self) -> dict[int, Any]:
        return {self.nodes[number]: self.device(number) for number in range(self.count)}

    def coordinator(self, grid: Any = None, **changed: Any) -> Coordinator:
        return Coordinator(
            self.folder / "home",
            self.plan,
            grid or self.grid,
            **{
                "start": lambda: np.zeros(SIZE, np.float32),
                "roster": lambda: self.roster,
                "patience": IMPATIENT,
            }
            | changed,
        )

    def mean_of(self, numbers: Sequence[int], vector: Vector) -> Vector:
        """What the mean of these devices' updates is."""
        ways = [self.learners[number].target - vector for number in numbers]
        return np.mean([w / max(1.0, float(np.linalg.norm(w))) for w in ways], axis=0)

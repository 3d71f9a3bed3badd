"""One simulation from its scenario to what it found out."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from ondol.federated.choosing import Cautious, even
from ondol.federated.simulating.history import Round
from ondol.federated.simulating.population import Population, population
from ondol.federated.simulating.scenario import Scenario

if TYPE_CHECKING:
    from ondol.federated.coordinating.coordinator import Choose
    from ondol.federated.privacy.spending import Epsilon

OnRound = Callable[[Round], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """``before`` and ``alone`` are accuracies: of the first shared vector, and the mean of devices
    that learned by themselves. ``labels`` has a row for each of the first devices: how many of each
    letter it has. ``epsilon`` is the spending of the device that took part most often, ``most``
    times; None without noise."""

    scenario: Scenario
    rounds: list[Round]
    before: float
    alone: float
    numbers: int
    most: int
    epsilon: float | None
    labels: list[list[int]]

    @property
    def accuracy(self) -> float:
        return self.rounds[-1].accuracy

    def count(self, ended: str) -> int:
        """How many rounds ended so."""
        return sum(one.ended == ended for one in self.rounds)

    def json(self) -> dict[str, Any]:
        return {
            "scenario": self.scenario.json(),
            "delta": self.scenario.plan().delta,
            "numbers_in_an_update": self.numbers,
            "accuracy_before": self.before,
            "accuracy_alone": self.alone,
            "accuracy": self.accuracy,
            "loss": self.rounds[-1].loss,
            "taken": self.count("taken"),
            "rolled_back": self.count("rolled_back"),
            "refused": self.count("refused"),
            "failed": self.count("failed"),
            "most_rounds_of_a_device": self.most,
            "epsilon": self.epsilon,
            "rounds": [one.json() for one in self.rounds],
            "labels": self.labels,
        }


class _Choosing:
    """Who is asked, by the scenario; remembers how often, and learns from how it ended."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._cautious = Cautious(scenario.asked, 3, scenario.seed)
        self.times: dict[int, int] = {}
        self.fewest = scenario.asked

    def __call__(self, ready: Sequence[int], round: int) -> Sequence[int]:
        scenario = self._scenario
        random = Random(f"{scenario.seed}:{round}")
        chosen: Sequence[int]
        if scenario.choice == "cautious":
            chosen = self._cautious(ready, round)
        elif scenario.choice == "even":
            chosen = even(ready, self.times, scenario.asked, random)
        else:
            chosen = random.sample(list(ready), min(scenario.asked, len(ready)))
        for node in chosen:
            self.times[node] = self.times.get(node, 0) + 1
        self.fewest = min(self.fewest, len(chosen))
        return chosen

    def learn(self, one: Round) -> None:
        """How a round ended."""
        if one.nodes:
            self._cautious.learn(one.nodes, not one.is_spoiled, one.loss_canary)


def simulate(
    scenario: Scenario, on_round: OnRound = lambda _: None, like: Population | None = None
) -> Outcome:
    """Every round of ``scenario``; each is told when it is over. ``like`` is a population of the
    same seed whose text and base are used again. Raises what a real federation raises."""
    from ondol.federated.simulating import arithmetic, rehearsal

    found = population(scenario, like.text if like else None, like.network if like else None)
    choosing = _Choosing(scenario)

    def over(one: Round) -> None:
        choosing.learn(one)
        on_round(one)

    choose: Choose = choosing
    if scenario.is_whole_protocol:
        with tempfile.TemporaryDirectory(prefix="ondol-simulation-") as folder:
            rounds = rehearsal.rounds(found, choose, over, Path(folder))
    else:
        rounds = arithmetic.rounds(found, choose, over)
    most = max(choosing.times.values(), default=0)
    spent = _spent(found, most, choosing.fewest)
    return Outcome(
        scenario,
        rounds,
        before=found.quality(found.start())[1],
        alone=found.alone(),
        numbers=found.size,
        most=most,
        epsilon=spent.epsilon if math.isfinite(spent.epsilon) else None,
        labels=list(_labels(found)),
    )


def _spent(found: Population, rounds: int, num_clients: int) -> Epsilon:
    from ondol.federated.privacy.spending import Accountant

    return Accountant(found.plan, found.size).ahead(rounds, num_clients)


def _labels(found: Population, most: int = 40) -> Iterable[list[int]]:
    import numpy as np

    from ondol.federated.simulating.letters import CLASSES

    for kept in found.examples[:most]:
        yield np.bincount(found.text.devices.labels[kept], minlength=CLASSES).tolist()

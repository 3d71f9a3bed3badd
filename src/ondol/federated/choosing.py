"""Who is asked for a round, learned from how earlier rounds ended.

Where home sees sums only, a device that spoils them cannot be named, but a round that was spoiled
says that one of its members did it, and a round that did good clears all of them. This is group
testing with a prior (Dorfman 1943, *The detection of defective members of large populations*), told
by nothing but what home knows anyway: who was in which sum, and what became of it. Who spoils only
a little, or only now and then, is not found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

from ondol.federated.coordinating.records import RoundRecord

PRIOR = 0.1
"""The share of devices that are reckoned to spoil rounds, once a round was spoiled."""
FEW = 30
"""Fewer devices are all asked, whatever happened: there is nobody to spare, and people there know
each other."""
LEAST, MOST = 1e-4, 1 - 1e-4
"""Nobody is ever quite cleared: who was honest may be taken over later. Nor quite condemned."""
WANTED = 0.775
"""How likely a round should be to end well, as far as it is on those whom nobody knows, and as far
as it is on the others."""


class Cautious:
    """A ``coordinating.coordinator.Choose`` of at least ``least`` and at most ``most`` devices. As
    long as all went well they are taken at random; then as many of those whom nobody knows as leave
    a chance of ``WANTED`` that none of them spoils the sum, and of those who seem good likewise.
    """

    def __init__(self, most: int, least: int = 3, seed: int = 0) -> None:
        self.most, self.least, self.seed = most, least, seed
        self._suspicion: dict[int, float] = {}
        self._is_calm = True
        self._loss: float | None = None

    def learn(self, clients: Iterable[int], is_taken: bool, loss: float | None) -> None:
        """A sum with the vectors of ``clients`` came; ``loss`` is with it on home's own data."""
        is_spoiled = not is_taken
        if is_taken and loss is not None:
            # Taken, because it is not much worse; but who knows whose doing it is.
            is_spoiled = self._loss is not None and loss > self._loss
            self._loss = loss
        self._is_calm &= is_taken
        found = {node: self.suspicion(node) for node in clients}
        clean = math.prod(1 - bad for bad in found.values())
        for node, bad in found.items():
            # Bayes: a spoiled round had somebody bad in it, a good one had nobody.
            after = bad / (1 - clean) if is_spoiled else LEAST
            self._suspicion[node] = min(max(after, LEAST), MOST)

    def suspicion(self, node: int) -> float:
        """The chance that a device spoils a round that it is in."""
        return self._suspicion.get(node, PRIOR)

    def __call__(self, ready: Sequence[int], round: int) -> Sequence[int]:
        mixed = sorted(ready)
        Random(f"{self.seed}:{round}").shuffle(mixed)
        if self._is_calm or len(mixed) < FEW:
            return sorted(mixed[: self.most])
        others = [node for node in mixed if self.suspicion(node) >= PRIOR]
        seeming = [node for node in mixed if self.suspicion(node) < PRIOR]
        for nodes in (others, seeming):
            nodes.sort(key=self.suspicion)
        tried = self._bearable(others, WANTED if seeming else WANTED**2, self.most)
        chosen = tried + self._bearable(seeming, WANTED, self.most - len(tried))
        left = [node for node in seeming + others if node not in chosen]
        return sorted(chosen + left[: max(0, self.least - len(chosen))])

    def _bearable(self, nodes: Sequence[int], wanted: float, most: int) -> list[int]:
        """As many of the first as leave the ``wanted`` chance."""
        clean, found = 1.0, list[int]()
        for node in nodes[:most]:
            clean *= 1 - self.suspicion(node)
            if clean < wanted:
                break
            found.append(node)
        return found


def even(ready: Sequence[int], times: Mapping[int, int], most: int, by: Random) -> list[int]:
    """Those who took part least often, by chance among equals: with noise a device pays for each of
    its rounds, so nobody should have more of them than the others."""
    mixed = sorted(ready)
    by.shuffle(mixed)
    return sorted(sorted(mixed, key=lambda node: times.get(node, 0))[:most])


def cautious(
    records: Callable[[], Iterable[RoundRecord]], most: int, least: int = 3, seed: int = 0
) -> Callable[[Sequence[int], int], Sequence[int]]:
    """The same for a coordinator, which may be killed at any time: learned anew for each round from
    its ``records``. Rounds that came to no sum tell nothing."""

    turn = 0

    def choose(ready: Sequence[int], round: int) -> Sequence[int]:
        nonlocal turn
        turn += 1  # Those who were chosen first may be busy: others the next time.
        found = Cautious(most, least, seed + turn)
        for one in records():
            if one.clients:
                found.learn(one.clients, not one.rolled_back, one.loss_canary)
        return found(ready, round)

    return choose

"""Who shares masks and secrets with whom: everybody with everybody, and in large rounds each with
``MOST_NEIGHBOURS`` only, at random (Bell et al. 2020, section 3: a Harary graph, permuted).

Everybody computes the same graph from the transcript of the keys, so that home does not choose it.
``docs/secure-aggregation.md`` says what the degree is worth, and a test computes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from ondol.federated.masking.keys import statement
from ondol.federated.masking.rows import id_bytes

MOST_NEIGHBOURS = 300
NEIGHBOURS_THRESHOLD = 191
"""How many of the holders (the neighbours and the member itself) give a secret back in large
rounds. Twice of it is more than all of them and those on home's side together: else home could
withhold from a member the shares of half of its neighbours, say that the other half left, and take
off all of its masks."""


class Graph:
    """The graph of the members who announced keys; ``transcript`` stands for those keys."""

    def __init__(self, transcript: bytes, nodes: Collection[int], threshold: int) -> None:
        self._nodes = sorted(nodes)
        self._is_complete = len(nodes) <= MOST_NEIGHBOURS + 1
        self._ring = self._nodes if self._is_complete else _permuted(transcript, self._nodes)
        self._place = {node: place for place, node in enumerate(self._ring)}
        self.threshold = threshold if self._is_complete else NEIGHBOURS_THRESHOLD
        """How many holders of a secret give it back."""

    def neighbours(self, node: int) -> list[int]:
        """The other members that ``node`` shares masks and secrets with, ascending."""
        if self._is_complete:
            return [other for other in self._nodes if other != node]
        place, reach = self._place[node], MOST_NEIGHBOURS // 2
        steps = [step for step in range(-reach, reach + 1) if step]
        return sorted(self._ring[(place + step) % len(self._ring)] for step in steps)

    def holders(self, node: int) -> list[int]:
        """Who holds shares of the secrets of ``node``: its neighbours and itself, ascending."""
        return sorted([*self.neighbours(node), node])

    def point(self, node: int) -> int:
        """Where the polynomials of all secrets are looked at for ``node``: never 0."""
        return self._place[node] + 1


def _permuted(transcript: bytes, nodes: Collection[int]) -> list[int]:
    def rank(node: int) -> bytes:
        return hashlib.sha256(statement("graph", transcript, id_bytes(node))).digest()

    return sorted(nodes, key=rank)

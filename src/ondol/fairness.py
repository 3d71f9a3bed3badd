"""Who is next, where several callers wait and each may have many requests.

Callers take turns: whoever has waited longest of the caller whose turn it is goes next (round
robin, as in Nagle's fair queueing, RFC 970). So a caller with one request waits for one of each
other caller, not for all of them. No lock and no clock: whoever uses it has its own.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class RoundRobin(Generic[T]):
    """What waits, by caller."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[T]] = {}
        # The callers that wait, the next one first.
        self._turns: deque[str] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def count_of(self, caller: str) -> int:
        """How many of one caller's wait."""
        return len(self._waiting.get(caller, ()))

    def ahead_of(self, caller: str) -> int:
        """How many go before one that ``caller`` would add now."""
        mine = self.count_of(caller)
        # Of each other caller no more than come before ours when turns are taken.
        others = (len(queue) for name, queue in self._waiting.items() if name != caller)
        return mine + sum(min(count, mine + 1) for count in others)

    def add(self, caller: str, item: T) -> None:
        """``item`` waits from now on."""
        if caller not in self._waiting:
            self._waiting[caller] = deque()
            self._turns.append(caller)
        self._waiting[caller].append(item)
        self._count += 1

    def take(self) -> T:
        """The next one; ``IndexError`` where nobody waits."""
        caller = self._turns.popleft()
        item = self._waiting[caller].popleft()
        self._count -= 1
        if self._waiting[caller]:
            self._turns.append(caller)
        else:
            del self._waiting[caller]
        return item

    def remove(self, caller: str, item: T) -> None:
        """``item`` waits no more; ``ValueError`` where it does not wait."""
        queue = self._waiting.get(caller, deque())
        queue.remove(item)
        self._count -= 1
        if not queue:
            del self._waiting[caller]
            self._turns.remove(caller)

    def all(self) -> list[T]:
        """Everything that waits."""
        return [item for queue in self._waiting.values() for item in queue]

"""The parallel slots of one model, given out in the order they were asked for.

Shares the pool's condition; ``proceed`` may raise to end a wait, and returns False when there is
nothing left to wait for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Slots:
    def __init__(self, changed: threading.Condition, count: int) -> None:
        self._changed = changed
        self._count = count
        self._active = 0
        self._queue: deque[object] = deque()

    @contextmanager
    def one(self, proceed: Callable[[], bool]) -> Iterator[None]:
        """Hold a slot inside the block."""
        with self._changed:
            self._wait(proceed)
            self._active += 1
        try:
            yield
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify_all()

    def _wait(self, proceed: Callable[[], bool]) -> None:
        ticket = object()
        self._queue.append(ticket)
        try:
            while proceed() and (self._active >= self._count or self._queue[0] is not ticket):
                self._changed.wait()
        finally:
            self._queue.remove(ticket)
            self._changed.notify_all()

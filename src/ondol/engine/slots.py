"""Who is answered and who waits: how many requests a model has, and its parallel slots, given out
in the order they were asked for.

Shares the pool's condition; ``proceed`` may raise to end a wait, and returns False when there is
nothing left to wait for.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ondol.errors import EngineBusyError
from ondol.i18n import t


class Demand:
    """The requests of every model, answered or waiting; ``count`` is by the model's name."""

    def __init__(self, changed: threading.Condition, limit: int) -> None:
        self.count: Counter[str] = Counter()
        self._changed = changed
        self._limit = limit

    @contextmanager
    def one(self, model: str) -> Iterator[None]:
        """Count as one inside the block; EngineBusyError when there are ``limit`` already."""
        with self._changed:
            if self.count[model] >= self._limit:
                raise EngineBusyError(t("engine.busy", model=model), t("engine.busy_hint"))
            self.count[model] += 1
        try:
            yield
        finally:
            with self._changed:
                self.count[model] -= 1


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

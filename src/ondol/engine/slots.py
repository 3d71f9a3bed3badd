"""Who is answered and who waits: how many requests a model has, and its parallel slots, which
callers are given in turn, however many requests each of them has.

Shares the pool's lock.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ondol import callers, idle
from ondol.engine.generation import Cancellation
from ondol.errors import EngineBusyError
from ondol.fairness import RoundRobin
from ondol.i18n import t

# What part of the places is kept for callers that have none, so that nobody can fill them all.
RESERVED = 1 / 8


def whose_turn() -> str:
    """In whose name the request that runs here waits: programs of one caller wait apart."""
    caller = callers.current()
    return f"{caller.id} {caller.name}"


class Demand:
    """The requests of every model, answered or waiting; ``count`` is by the model's name."""

    def __init__(self, changed: threading.Condition, limit: int) -> None:
        self.count: Counter[str] = Counter()
        self._of_caller: Counter[tuple[str, str]] = Counter()
        self._changed = changed
        self._limit = limit
        self._limit_of_one = limit - int(limit * RESERVED)

    @contextmanager
    def one(self, model: str) -> Iterator[None]:
        """Count as one inside the block; EngineBusyError when there are ``limit`` already, or so
        many of the same caller that only others' places are left."""
        mine = model, whose_turn()
        with self._changed:
            is_full = self.count[model] >= self._limit
            if is_full or self._of_caller[mine] >= self._limit_of_one:
                raise EngineBusyError(t("engine.busy", model=model), t("engine.busy_hint"))
            self.count[model] += 1
            self._of_caller[mine] += 1
        try:
            with idle.answering():
                yield
        finally:
            with self._changed:
                self.count[model] -= 1
                self._of_caller[mine] -= 1
                if not self._of_caller[mine]:
                    del self._of_caller[mine]


@dataclass(slots=True, eq=False)
class _Place:
    caller: str
    has_slot: bool = False
    woken: threading.Event = field(default_factory=threading.Event)


class Slots:
    """``count`` requests are answered at once; the others wait, callers in turn."""

    def __init__(self, changed: threading.Condition, count: int) -> None:
        self._changed = changed
        self.count = count
        self._active = 0
        self._waiting: RoundRobin[_Place] = RoundRobin()

    @contextmanager
    def one(self, cancellation: Cancellation, proceed: Callable[[], bool]) -> Iterator[None]:
        """Hold a slot inside the block. ``proceed`` may raise to end the wait, and returns False
        when there is nothing left to wait for; it is asked again after ``cancellation``."""
        place = _Place(whose_turn())
        with self._changed:
            self._waiting.add(place.caller, place)
            self._call_in()
        try:
            with cancellation.calling(place.woken.set):
                self._wait(place, proceed)
            yield
        finally:
            with self._changed:
                if place.has_slot:
                    self._active -= 1
                    self._call_in()
                else:
                    self._waiting.remove(place.caller, place)

    def wake(self) -> None:
        """Let everybody who waits ask again whether to; called with the lock held."""
        for place in self._waiting.all():
            place.woken.set()

    def _wait(self, place: _Place, proceed: Callable[[], bool]) -> None:
        while True:
            with self._changed:
                if not proceed() or place.has_slot:
                    return
                place.woken.clear()
            place.woken.wait()

    def _call_in(self) -> None:
        while self._active < self.count and len(self._waiting):
            place = self._waiting.take()
            place.has_slot = True
            self._active += 1
            place.woken.set()

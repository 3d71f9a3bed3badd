"""What a generation takes: joules from the counters of the machine, or an estimate that says so.

Measured and estimated joules are never added together. Answers that are given at the same time
share what the counters show.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from weakref import WeakSet

from ondol.ledger.counters import UNREADABLE, WATTS_PER_CORE, Counter, counters, fallback
from ondol.types import EnergySource

CHOICE_SECONDS = 10.0
"""How long it is taken for granted that the machine is on its battery, or is not."""

SAMPLE_SECONDS = 0.5
"""How often a battery is read, which knows watts and no joules."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules, where they come from, and the names of the counters ("rapl+nvml")."""

    joules: float | None = None
    source: EnergySource = "unknown"
    meter: str = ""


class Span:
    """What was used between a start and an end."""

    def __init__(self) -> None:
        self.joules: float | None = 0.0
        self.energy = Energy()


class EnergyMeter:
    """Measures what goes on. One for the whole process, safe to use from several threads."""

    def __init__(self, choose: Callable[[], Sequence[Counter]]) -> None:
        self._choose = choose
        self._lock = threading.Lock()
        # Weak: an answer that nobody waits for any more takes no share.
        self._spans: WeakSet[Span] = WeakSet()
        self._counters: Sequence[Counter] = ()
        self._read: list[float] = []
        self._is_sampling = False

    @classmethod
    def of_this_machine(cls, watts_per_core: float = WATTS_PER_CORE) -> EnergyMeter:
        """The best there is here."""
        # Asking a driver takes a while; whether the battery is in use may change any time.
        found, left, since = cache(counters), list[Counter](), [-math.inf]

        def choose() -> Sequence[Counter]:
            if found():
                return found()
            if time.monotonic() - since[0] > CHOICE_SECONDS:
                left[:], since[0] = fallback(watts_per_core), time.monotonic()
            return left

        return cls(choose)

    def start(self) -> Span:
        """Something begins."""
        with self._lock:
            self._settle()
            if not self._spans:
                self._counters = ()
                with suppress(*UNREADABLE):
                    chosen = self._choose()
                    self._read = [counter.read() for counter in chosen]
                    self._counters = chosen
            span = Span()
            self._spans.add(span)
            if any(c.needs_samples for c in self._counters) and not self._is_sampling:
                self._is_sampling = True
                threading.Thread(target=self._sample, daemon=True, name="ondol-energy").start()
        return span

    def finish(self, span: Span) -> Energy:
        """It ended: what it took."""
        with self._lock:
            self._settle()
            self._spans.discard(span)
            if span.joules is not None and self._counters:
                names = "+".join(counter.name for counter in self._counters)
                span.energy = Energy(span.joules, self._counters[0].source, names)
        return span.energy

    @contextmanager
    def measure(self) -> Iterator[Span]:
        """Around a generation; ``span.energy`` is there afterwards."""
        span = self.start()
        try:
            yield span
        finally:
            self.finish(span)

    def _settle(self) -> None:
        """Share what the counters show since they were last read."""
        spans = list(self._spans)
        if not spans:
            return
        try:
            now = [counter.read() for counter in self._counters]
        except UNREADABLE:
            for span in spans:
                span.joules = None
            self._spans.clear()
            return
        used = sum(now) - sum(self._read)
        self._read = now
        for span in spans:
            if span.joules is not None:
                span.joules += used / len(spans)

    def _sample(self) -> None:
        while True:
            time.sleep(SAMPLE_SECONDS)
            with self._lock:
                self._settle()
                if not self._spans:
                    self._is_sampling = False
                    return

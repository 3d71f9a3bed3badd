"""A queue that is fair between devices, however many requests each has.

Devices take turns, as ``fairness`` says. Raises ``HomeBusyError`` when it is full.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ondol.errors import HomeBusyError
from ondol.fairness import RoundRobin
from ondol.i18n import t

# How much of a new measurement the running mean takes over, and what it begins with.
_WEIGHT = 0.2
_FIRST_GUESS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Load:
    """How busy home is. ``answer_seconds`` is the running mean; ``None`` before an answer."""

    slots: int
    active: int
    waiting: int
    wait_seconds: float
    answer_seconds: float | None


@dataclass(slots=True, eq=False)
class Ticket:
    """A place in the queue, then at work. A context manager around the work: whoever ``wait`` has
    called in must leave."""

    queue: FairQueue
    device: str
    began: float = 0.0
    is_cancelled: bool = False
    changed: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> bool:
        """Until it is this one's turn; False when it was cancelled before."""
        self.changed.wait()
        return self.began > 0

    def cancel(self) -> None:
        """Wait no more. Safe to call from any thread, and more than once."""
        self.queue._cancel(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.queue._leave(self)


class FairQueue:
    """``slots`` requests are at work at once; ``max_waiting`` wait, of one device at most half of
    them, so that none can fill it."""

    def __init__(self, slots: int, max_waiting: int) -> None:
        self._slots = slots
        self._max_waiting = max_waiting
        self._max_of_one = max(1, math.ceil(max_waiting / 2))
        self._waiting: RoundRobin[Ticket] = RoundRobin()
        self._active = 0
        self._mean_seconds: float | None = None
        self._lock = threading.Lock()

    def join(self, device: str) -> Ticket:
        """A place for a request of ``device``, called in at once where there is room."""
        with self._lock:
            ticket = Ticket(self, device)
            if self._active < self._slots and not self._waiting:
                self._call_in(ticket)
                return ticket
            mine = self._waiting.count_of(device)
            if len(self._waiting) >= self._max_waiting or mine >= self._max_of_one:
                seconds = math.ceil(self._wait_seconds(device))
                raise HomeBusyError(
                    t("home.full"), t("home.full_hint"), retry_after_seconds=max(1, seconds)
                )
            self._waiting.add(device, ticket)
            return ticket

    def load(self, device: str) -> Load:
        """How long a request of ``device`` would wait now, and why."""
        with self._lock:
            return Load(
                self._slots,
                self._active,
                len(self._waiting),
                self._wait_seconds(device),
                self._mean_seconds,
            )

    def _wait_seconds(self, device: str) -> float:
        if self._active < self._slots and not self._waiting:
            return 0.0
        ahead = self._waiting.ahead_of(device)
        mean = _FIRST_GUESS_SECONDS if self._mean_seconds is None else self._mean_seconds
        return mean * (ahead + 1) / self._slots

    def _call_in(self, ticket: Ticket) -> None:
        self._active += 1
        ticket.began = time.monotonic()
        ticket.changed.set()

    def _call_next(self) -> None:
        while self._active < self._slots and self._waiting:
            self._call_in(self._waiting.take())

    def _cancel(self, ticket: Ticket) -> None:
        with self._lock:
            if ticket.began or ticket.is_cancelled:
                return
            ticket.is_cancelled = True
            self._waiting.remove(ticket.device, ticket)
            ticket.changed.set()

    def _leave(self, ticket: Ticket) -> None:
        with self._lock:
            if not ticket.began:
                return
            seconds = time.monotonic() - ticket.began
            before = seconds if self._mean_seconds is None else self._mean_seconds
            self._mean_seconds = before + _WEIGHT * (seconds - before)
            ticket.began = 0.0
            self._active -= 1
            self._call_next()

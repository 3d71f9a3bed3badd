"""Requests that were not answered: written down, but never more than one entry a minute for each
device and reason. A device that goes on asking must not fill home's disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ondol.home.service import Served

WINDOW_SECONDS = 60.0


class Refused:
    """``record`` is told the first refusal at once, and when its minute is over all that came
    after it as one, with their number and the sum of their bytes."""

    def __init__(
        self, record: Callable[[Served], None], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._record = record
        self._now = now
        self._lock = threading.Lock()
        # Until when, and what came meanwhile.
        self._waiting: dict[tuple[str, str], tuple[float, Served | None]] = {}

    def note(self, served: Served) -> None:
        """``served`` had no answer, for its ``reason``."""
        self.settle()
        key = served.device.id, served.reason
        with self._lock:
            if key not in self._waiting:
                self._waiting[key] = self._now() + WINDOW_SECONDS, None
                due = served
            else:
                until, before = self._waiting[key]
                self._waiting[key] = until, _together(before, served)
                return
        self._record(due)

    def settle(self, *, all: bool = False) -> None:
        """Write down what came in minutes that are over; ``all`` at the end."""
        with self._lock:
            now = self._now()
            over = [key for key, (until, _) in self._waiting.items() if all or until <= now]
            due = [self._waiting.pop(key)[1] for key in over]
        for served in due:
            if served is not None:
                self._record(served)


def _together(before: Served | None, served: Served) -> Served:
    if before is None:
        return served
    return replace(
        before,
        count=before.count + 1,
        bytes_in=before.bytes_in + served.bytes_in,
        seconds=max(before.seconds, served.seconds),
    )

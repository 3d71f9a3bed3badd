"""When the ledger is told: of a request before its first byte leaves, of the answers in one sum.

A process that is killed, and a ledger that cannot be written, thus leave nothing unsaid but what
came in.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ondol.egress.passage import Passage
from ondol.types import Sensitivity

if TYPE_CHECKING:
    from ondol.egress.door import Egress


class Departure:
    """One request on its way out."""

    def __init__(self, egress: Egress, passage: Passage) -> None:
        self.passage = passage
        self.name: str | None = None
        """What it is called in the ledger, from when it stands there."""
        self._egress = egress

    def announce(self) -> None:
        """Its first byte, or a later one, is about to leave. Raises ``EgressError``."""
        if self.name is None:
            self.name = self._egress.announce(self.passage)

    def fail(self) -> None:
        """No answer came, or nothing left at all."""
        end = replace(self.passage, bytes_out=0, reason="failed", about=self.name)
        # Whatever left is written down already, and the caller has an error to hear of.
        with suppress(Exception):
            self._egress.tell(end)


@dataclass(slots=True)
class _Sum:
    about: str
    num_bytes: int = 0
    count: int = 0


class Receipts:
    """What came back to one client: told when it is closed, one passage for each server, so that
    many requests do not fill the ledger with answers. Safe to use from several threads."""

    def __init__(self, egress: Egress, purpose: str) -> None:
        self._egress = egress
        self._purpose = purpose
        self._sums: dict[str, _Sum] = {}
        self._lock = threading.Lock()

    def add(self, departure: Departure, num_bytes: int) -> None:
        """The answer to ``departure`` is over."""
        with self._lock:
            found = self._sums.setdefault(departure.passage.destination, _Sum(departure.name or ""))
            found.num_bytes += num_bytes
            found.count += 1

    def tell(self) -> None:
        """Have the sums written down."""
        with self._lock:
            sums, self._sums = self._sums, {}
        for destination, one in sums.items():
            passage = Passage(
                purpose=self._purpose,
                destination=destination,
                sensitivity=Sensitivity.PUBLIC,
                bytes_out=0,
                bytes_in=one.num_bytes,
                allowed=True,
                about=one.about,
                count=one.count,
            )
            # Nothing leaves any more: an answer is not lost because the disk is full by now.
            with suppress(Exception):
                self._egress.tell(passage)

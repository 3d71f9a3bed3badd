"""When the ledger is told: of a request before its first byte leaves, of the answers in one sum.

A process that is killed, and a ledger that cannot be written, thus leave nothing unsaid but what
came in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
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


class Allowance:
    """What a client that asks again and again may let out before it is told again: one passage for
    many small requests, written down before the first of them, with their most bytes.
    ``on_renewed`` is called when the next one begins. Safe to use from several threads."""

    SMALL = 32
    """A request of more than one part in so many has a passage of its own."""

    def __init__(
        self, egress: Egress, most_bytes: int, on_renewed: Callable[[], object] = lambda: None
    ) -> None:
        self._egress = egress
        self._most_bytes = most_bytes
        self._on_renewed = on_renewed
        self._left_bytes = 0
        self._name = ""
        self._lock = threading.Lock()

    def is_for(self, passage: Passage) -> bool:
        """Whether ``passage`` is one of the small ones."""
        return not passage.reason and passage.bytes_out * self.SMALL <= self._most_bytes

    def take(self, passage: Passage) -> str:
        """Let ``passage`` out; what the entry that it is part of is called. Raises
        ``EgressError``."""
        with self._lock:
            if passage.bytes_out > self._left_bytes:
                whole = replace(passage, bytes_out=self._most_bytes, reason="standing")
                self._name = self._egress.announce(whole)
                self._left_bytes = self._most_bytes
                self._on_renewed()
            self._left_bytes -= passage.bytes_out
            return self._name


class Small(Departure):
    """A request that is part of an ``Allowance``."""

    def __init__(self, egress: Egress, passage: Passage, allowance: Allowance) -> None:
        super().__init__(egress, passage)
        self._allowance = allowance

    def announce(self) -> None:
        if self.name is None:
            self.name = self._allowance.take(self.passage)

    def fail(self) -> None:
        """The next one is told of in the same entry."""


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

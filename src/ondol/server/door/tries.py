"""How many wrong keys and codes one address may send.

Who guesses from one address shuts out that address and nobody else's. Knows nothing of what is
guessed. Safe to use from several threads.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable

from ondol.egress import is_loopback
from ondol.errors import OndolError
from ondol.i18n import t

MOST_ADDRESSES = 4096


class TooManyTriesError(OndolError):
    """Too many wrong keys from one address; ``retry_after_seconds`` until the next one counts."""

    code = "too_many_tries"
    status = 429

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(t("keys.too_many_tries"), t("keys.too_many_tries_hint"))
        self.retry_after_seconds = retry_after_seconds


class Tries:
    """Wrong guesses of the last ``seconds``, by address: ``most`` of them and no more.
    ``spares_this_machine``: itself, and a proxy on it that speaks for many, is never shut out."""

    def __init__(
        self,
        most: int,
        seconds: float,
        *,
        now: Callable[[], float] = time.monotonic,
        spares_this_machine: bool = True,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._now = now
        self._spares_this_machine = spares_this_machine
        self._lock = threading.Lock()
        self._wrong: dict[str, list[float]] = {}

    def wait_seconds(self, address: str) -> int:
        """How long ``address`` has to wait; 0 where it may guess."""
        with self._lock:
            recent = self._recent(_network(address))
            if len(recent) < self._most:
                return 0
            return max(1, round(recent[0] + self._seconds - self._now()))

    def note(self, address: str) -> None:
        """``address`` guessed wrong."""
        if self._spares_this_machine and is_loopback(address):
            return
        with self._lock:
            network = _network(address)
            recent = self._recent(network)
            self._wrong.pop(network, None)
            self._wrong[network] = [*recent, self._now()][-self._most :]
            while len(self._wrong) > MOST_ADDRESSES:
                self._wrong.pop(next(iter(self._wrong)))

    def _recent(self, network: str) -> list[float]:
        since = self._now() - self._seconds
        return [moment for moment in self._wrong.get(network, ()) if moment > since]


def _network(address: str) -> str:
    """An IPv4 address, or the /64 that one machine has all of (RFC 4291 2.5.4)."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv6Address):
        if known.ipv4_mapped is not None:
            return str(known.ipv4_mapped)
        return str(ipaddress.ip_network((known, 64), strict=False))
    return str(known)

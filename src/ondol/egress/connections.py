"""Connections that go only to the addresses that were checked, and to the one certificate that was
pinned: what an HTTP library opens its sockets with, and what it was opened for.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ondol.egress import guard
from ondol.egress.addresses import Origin, is_loopback
from ondol.egress.purposes import PURPOSES
from ondol.errors import EgressError
from ondol.types import Sensitivity

if TYPE_CHECKING:
    from ondol.egress.door import Egress


class TooSlowError(Exception):
    """A server that keeps us waiting, byte by byte: slower than the ``Pace`` that was asked for."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How slow a server may be: ``grace_seconds`` from when it is connected, then as long as what
    it sent so far takes at ``least_bytes_per_second``. A timeout does not see who sends one byte
    before each (slow retrieval, TUF specification 1.5.2)."""

    grace_seconds: float
    least_bytes_per_second: float


@dataclass(frozen=True, slots=True)
class Errand:
    """What a client was made for; the arguments of ``Egress.client``. ``secrets`` are the
    destination's own keys, which the inspector is not shown; ``allowance_bytes`` of small requests
    are told of in one passage (0: each in its own). ``pace`` is kept by each connection."""

    origin: Origin
    purpose: str
    sensitivity: Sensitivity
    pinned: str | None = None
    verify: Any = True
    secrets: tuple[str, ...] = ()
    allowance_bytes: int = 0
    pace: Pace | None = None


class Backend:
    """Connects to the addresses that were checked, each name asked once; a drop-in for the network
    backend of httpcore."""

    def __init__(self, core: Any, egress: Egress, errand: Errand) -> None:
        self._core = core
        self._egress = egress
        self._errand = errand
        self._inner = import_module(f"{core.__name__}._backends.sync").SyncBackend()
        self._addresses: dict[Origin, tuple[str, ...]] = {}
        self._lock = threading.Lock()
        self._departing = threading.local()

    @contextmanager
    def departing(self, announce: Callable[[], object]) -> Iterator[None]:
        """Have ``announce`` called before each byte that this thread writes inside the block; what
        it raises keeps that byte here."""
        self._departing.announce = announce
        try:
            yield
        finally:
            del self._departing.announce

    def announce(self) -> None:
        """A byte is about to leave. Nothing writes outside of ``departing``."""
        self._departing.announce()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> Any:
        origin = Origin("", host.strip("[]").lower().rstrip("."), port)
        failure: Exception = self._core.ConnectError(host)
        with guard.permit(host, addresses := self._addresses_of(origin), port):
            for address in addresses:
                try:
                    stream = self._inner.connect_tcp(
                        address, port, timeout, local_address, socket_options
                    )
                    return _Stream(stream, self, self._egress, self._errand, origin)
                except (self._core.ConnectError, self._core.ConnectTimeout) as error:
                    failure = error
        raise failure

    def connect_unix_socket(self, *arguments: Any, **keywords: Any) -> Any:
        raise self._core.UnsupportedProtocol("unix")

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)

    def _addresses_of(self, origin: Origin) -> tuple[str, ...]:
        first = self._errand.origin
        is_sent_on = (origin.host, origin.port) != (first.host, first.port)
        with self._lock:
            if origin not in self._addresses:
                try:
                    self._addresses[origin] = self._egress.addresses(
                        origin,
                        self._errand.purpose,
                        is_sent_on=is_sent_on and not is_loopback(first.host),
                    )
                except OSError as error:
                    raise self._core.ConnectError(str(error)) from error
            return self._addresses[origin]


class _Stream:
    """A connection, before TLS and in it. Announces what is written; lets nobody speak to a server
    that shows another certificate."""

    def __init__(
        self, inner: Any, backend: Backend, egress: Egress, errand: Errand, origin: Origin
    ) -> None:
        self._inner = inner
        self._backend = backend
        self._egress = egress
        self._errand = errand
        self._origin = origin
        self._begun_at = time.monotonic()
        self._num_bytes = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._left_seconds()
        if left <= 0:
            raise TooSlowError(str(self._origin))
        wait = left if timeout is None else min(timeout, left)
        try:
            found: bytes = self._inner.read(max_bytes, None if wait == math.inf else wait)
        except Exception as error:
            if self._left_seconds() <= 0:
                raise TooSlowError(str(self._origin)) from error
            raise
        self._num_bytes += len(found)
        return found

    def _left_seconds(self) -> float:
        """How long the server may still take for its next byte."""
        pace = self._errand.pace
        if pace is None:
            return math.inf
        allowed = pace.grace_seconds + self._num_bytes / pace.least_bytes_per_second
        return self._begun_at + allowed - time.monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._backend.announce()
        self._inner.write(buffer, timeout)

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> Any:
        try:
            stream = self._inner.start_tls(ssl_context, server_hostname, timeout)
        except Exception as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise self._lies() from error
            raise
        within = _Stream(stream, self._backend, self._egress, self._errand, self._origin)
        if self._errand.pinned is None:
            return within
        shown = stream.get_extra_info("ssl_object").getpeercert(True) or b""
        expected = self._errand.pinned.replace(":", "").lower()
        if not hmac.compare_digest(hashlib.sha256(shown).hexdigest().encode(), expected.encode()):
            stream.close()
            raise self._lies()
        return within

    def _lies(self) -> EgressError:
        errand = self._errand
        return self._egress.refuse("certificate", errand.purpose, self._origin, errand.sensitivity)


def tls_context(errand: Errand) -> ssl.SSLContext:
    """The pinned certificate speaks for itself; else the system's authorities do, whatever the
    environment names."""
    if errand.pinned is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if isinstance(errand.verify, ssl.SSLContext):
        return errand.verify
    if errand.origin.scheme == "http" and not PURPOSES[errand.purpose].may_follow:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and is never asked
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)

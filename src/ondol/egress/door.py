"""``Egress``: decides for each request whether it may leave, and says so to the ledger.

Default deny: an undeclared purpose or destination is refused, and so is a private text, whatever
the purpose. Raises ``EgressError`` before any byte leaves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ondol.egress import guard
from ondol.egress.addresses import Origin, is_local_name, is_loopback, is_private, resolve
from ondol.egress.passage import Passage
from ondol.egress.purposes import PURPOSES, Purpose
from ondol.errors import EgressError, OndolError
from ondol.i18n import t
from ondol.types import Sensitivity

if TYPE_CHECKING:
    import httpx2

    from ondol.egress.connections import Pace

Record = Callable[[Passage], str | None]
Inspector = Callable[[bytes], Sensitivity]


class Egress:
    """The policy of this process. ``record`` writes each passage down and may give it a name: what
    it cannot write down does not leave. ``inspector`` sees all that is to leave (request line,
    headers, body) and says how far it may travel: the lower label counts.
    Both may be set later. Safe to use from several threads."""

    def __init__(
        self,
        *,
        offline: bool = False,
        record: Record | None = None,
        inspector: Inspector | None = None,
    ) -> None:
        self.offline = offline
        self.record = record
        self.inspector = inspector
        self._declared: set[tuple[str, str, int]] = set()
        self._lock = threading.Lock()
        guard.tell(self)

    def declare(self, purpose: str, url: str) -> None:
        """Let requests for ``purpose`` go to the host and port of ``url``: what the owner set or
        enrolled, never what a text or a server says."""
        origin = Origin.of(url)
        with self._lock:
            self._declared.add((purpose, origin.host, origin.port))

    def check(
        self,
        url: str,
        purpose: str,
        *,
        sensitivity: Sensitivity = Sensitivity.PUBLIC,
        pinned: str | None = None,
    ) -> None:
        """Raise ``EgressError``, and have it recorded, unless a text of ``sensitivity`` may go to
        ``url`` for ``purpose``. A ``pinned`` certificate is an enrolment."""
        origin = Origin.of(url)
        known = PURPOSES.get(purpose)
        reason = self._reason(origin, purpose, known, sensitivity, bool(pinned))
        if reason:
            raise self.refuse(reason, purpose, origin, sensitivity)

    @contextmanager
    def client(
        self,
        url: str,
        purpose: str,
        *,
        sensitivity: Sensitivity = Sensitivity.PUBLIC,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 30.0,
        pinned: str | None = None,
        verify: Any = True,
        allowance_bytes: int = 0,
        pace: Pace | None = None,
    ) -> Iterator[httpx2.Client]:
        """An HTTP client for ``url``'s host and for ``purpose``.

        ``sensitivity`` is the label of what will be sent. ``pinned``: the SHA-256 of the DER of the
        only certificate the server may show (hex, colons allowed); no authority is asked then.
        ``verify`` is an ``ssl.SSLContext`` or ``True`` for the system's authorities. No proxy, no
        cookie, nothing of the environment; the host's name is looked up once. With
        ``allowance_bytes`` small requests are told of together, that many bytes at a time. A server
        that is slower than ``pace`` raises ``TooSlowError`` (``egress.connections``).
        """
        import httpx2

        with httpx2.Client(
            headers=headers,
            timeout=timeout_seconds,
            follow_redirects=True,
            trust_env=False,
            transport=self.transport(
                httpx2,
                url,
                purpose,
                sensitivity=sensitivity,
                pinned=pinned,
                verify=verify,
                secrets=[v for k, v in (headers or {}).items() if k.lower() == "authorization"],
                allowance_bytes=allowance_bytes,
                pace=pace,
            ),
        ) as client:
            yield client

    def transport(
        self,
        library: Any,
        url: str,
        purpose: str,
        *,
        sensitivity: Sensitivity = Sensitivity.PUBLIC,
        pinned: str | None = None,
        verify: Any = True,
        secrets: Sequence[str] = (),
        allowance_bytes: int = 0,
        pace: Pace | None = None,
    ) -> Any:
        """The same as a transport of ``library`` (httpx2, or httpx for clients that others make).
        ``secrets`` are values that belong to the destination and are not shown to the inspector:
        its own key."""
        from ondol.egress.connections import Errand
        from ondol.egress.transport import make_transport

        self.check(url, purpose, sensitivity=sensitivity, pinned=pinned)
        origin = Origin.of(url)
        errand = Errand(
            origin, purpose, sensitivity, pinned, verify, tuple(secrets), allowance_bytes, pace
        )
        return make_transport(library, self, errand)

    def let_out(self, url: str, purpose: str, program: str) -> None:
        """Record that a ``program`` of its own will reach out to ``url``. Raises like ``check`` and
        ``announce``."""
        self.check(url, purpose)
        origin = Origin.of(url)
        if not self.is_inside(origin, PURPOSES[purpose]):
            label = Sensitivity.PUBLIC
            self.announce(Passage(purpose, str(origin), label, 0, 0, True, f"program:{program}"))

    def addresses(self, origin: Origin, purpose: str, *, is_sent_on: bool) -> tuple[str, ...]:
        """What ``origin``'s name stands for, now. A private address behind a public name, or one
        that a server sends us on to, is not where a download goes. Raises ``OSError``."""
        with guard.permit(origin.host, (), origin.port):
            found = resolve(origin.host, origin.port)
        is_suspect = is_sent_on or not is_local_name(origin.host)
        if PURPOSES[purpose].is_named and is_suspect and any(map(is_private, found)):
            raise self.refuse("private_address", purpose, origin, Sensitivity.PUBLIC)
        return found

    def inspect(self, sent: bytes, sensitivity: Sensitivity) -> Sensitivity:
        """The label of ``sent``: ``sensitivity``, or a lower one that the inspector sees in it. An
        inspector that fails has not seen that it may leave; raises what says why, if it can be said
        (a locked library)."""
        if self.inspector is None:
            return sensitivity
        try:
            return min(sensitivity, self.inspector(sent))
        except OndolError:
            raise
        except Exception:
            return Sensitivity.PRIVATE

    def is_inside(self, origin: Origin, purpose: Purpose) -> bool:
        """Whether what goes to ``origin`` has not left the house."""
        return purpose.loopback_is_inside and is_loopback(origin.host)

    def refuse(
        self, reason: str, purpose: str, origin: Origin, sensitivity: Sensitivity
    ) -> EgressError:
        """The error for ``reason``; it stands in the ledger already."""
        self.tell(Passage(purpose, str(origin), sensitivity, 0, 0, False, reason))
        named = t(f"egress.purpose_{purpose.replace('-', '_')}") if purpose in PURPOSES else purpose
        told = {"purpose": named, "host": origin.host or "?"}
        if reason == "offline":
            return EgressError(t("core.offline", **told), t("core.offline_hint"))
        return EgressError(t(f"egress.{reason}", **told), t(f"egress.{reason}_hint", **told))

    def tell(self, passage: Passage) -> str:
        """Have ``passage`` written down; what it is called there, if that is known yet."""
        return (self.record(passage) or "") if self.record is not None else ""

    def announce(self, passage: Passage) -> str:
        """The same for what is about to leave. Raises ``EgressError`` if it cannot be written down:
        then it stays."""
        try:
            return self.tell(passage)
        except Exception as error:
            named = t(f"egress.purpose_{passage.purpose.replace('-', '_')}")
            why = error.message if isinstance(error, OndolError) else type(error).__name__
            raise EgressError(
                t("egress.unwritten", purpose=named, host=passage.destination),
                t("egress.unwritten_hint", why=why),
            ) from error

    def on_refusal(self, passage: Passage) -> None:
        """A library went round the door and was refused (``guard``)."""
        self.tell(passage)

    def _reason(
        self,
        origin: Origin,
        purpose: str,
        known: Purpose | None,
        sensitivity: Sensitivity,
        is_pinned: bool,
    ) -> str:
        """Why not; or ""."""
        is_here = is_loopback(origin.host)
        if known is None:
            return "undeclared_purpose"
        if self.offline and not (is_here and known.loopback_is_inside):
            return "offline"
        if self.is_inside(origin, known) or not origin.host:
            return ""  # of an address that is none, the HTTP library says so
        is_private = sensitivity < known.least or sensitivity == Sensitivity.PRIVATE
        needs_tls = is_pinned or (known.needs_tls and not is_here)
        is_chosen = known.is_named or is_pinned or is_here or self._is_declared(purpose, origin)
        reasons = {
            "label": is_private,
            "no_tls": needs_tls and origin.scheme != "https",
            "undeclared_destination": not is_chosen,
        }
        return next((reason for reason, holds in reasons.items() if holds), "")

    def _is_declared(self, purpose: str, origin: Origin) -> bool:
        with self._lock:
            return (purpose, origin.host, origin.port) in self._declared

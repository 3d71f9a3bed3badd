"""HTTP transports that show each request to ``Egress`` before its first byte leaves.

Made of the HTTP library's own parts with a network backend of ours (``connections``). Works for
httpx2, and for httpx, which other people's clients are made with: the two have the same parts under
other names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ondol.egress.addresses import Origin, is_loopback
from ondol.egress.connections import Backend, Errand, tls_context
from ondol.egress.departures import Allowance, Departure, Receipts, Small
from ondol.egress.passage import Passage
from ondol.egress.purposes import PURPOSES
from ondol.egress.wire import as_seen, as_sent
from ondol.errors import EgressError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.egress.door import Egress

# All that goes along when a server sends us on to another one.
_HARMLESS = {"host", "accept", "accept-encoding", "range", "if-range", "user-agent", "connection"}
_CORE = {"httpx2": "httpcore2", "httpx": "httpcore"}
_REDIRECTS = (301, 302, 303, 307, 308)


def make_transport(library: Any, egress: Egress, errand: Errand) -> Any:
    """A transport for the client of ``library``: the module httpx2 or httpx."""
    core = import_module(_CORE[library.__name__])
    context = tls_context(errand)
    inner = library.HTTPTransport(verify=context, trust_env=False)
    # Neither library lets its transport have another backend. Should the name change, nothing is
    # sent: better than by a backend that checks no address and no certificate.
    if not hasattr(inner, "_pool"):
        raise EgressError(t("egress.unknown_library", library=library.__name__))
    backend = Backend(core, egress, errand)
    inner._pool = core.ConnectionPool(
        ssl_context=context,
        max_connections=100,
        max_keepalive_connections=20,
        keepalive_expiry=5.0,
        network_backend=backend,
    )
    gate = _Gate(library, egress, errand, backend)

    class Transport(library.BaseTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            return gate.pass_through(inner, request)

        def close(self) -> None:
            inner.close()
            gate.receipts.tell()

    return Transport()


class _Gate:
    """Decides on each request of one client, the first and those that servers send us on to."""

    def __init__(self, library: Any, egress: Egress, errand: Errand, backend: Backend) -> None:
        self.receipts = Receipts(egress, errand.purpose)
        self._backend = backend
        self._library = library
        self._egress = egress
        self._errand = errand
        self._announced: set[str] = set()
        most = errand.allowance_bytes
        # A client with one may live for months: what came in is told of as often.
        self._allowance = Allowance(egress, most, self.receipts.tell) if most else None

    def pass_through(self, inner: Any, request: Any) -> Any:
        origin = Origin.of(str(request.url))
        if not origin.host:
            raise self._library.UnsupportedProtocol("no host", request=request)
        errand = self._errand
        is_first = origin == errand.origin
        request.headers.pop("cookie", None)
        if not is_first:
            self._check_redirect(origin, request)
        if PURPOSES[errand.purpose].is_read_only and not _only_reads(request):
            raise self._egress.refuse("not_read_only", errand.purpose, origin, errand.sensitivity)
        if self._egress.is_inside(origin, PURPOSES[errand.purpose]):
            with self._backend.departing(lambda: None):
                return self._heard(inner.handle_request(request), request, None)
        body = bytes(request.read())
        purpose = PURPOSES[errand.purpose]
        seen = as_seen(
            request,
            body,
            errand.secrets,
            is_numbers=purpose.is_numbers,
            is_opaque=purpose.is_opaque,
            names_digests=purpose.names_digests,
        )
        label = self._egress.inspect(seen, errand.sensitivity)
        if label < errand.sensitivity and label < PURPOSES[errand.purpose].least:
            raise self._egress.refuse("seen", errand.purpose, origin, label)
        self._egress.check(
            str(request.url), errand.purpose, sensitivity=label, pinned=errand.pinned
        )
        departure = self._departure(
            Passage(
                purpose=errand.purpose,
                destination=str(origin),
                sensitivity=label,
                bytes_out=len(as_sent(request, body)),
                bytes_in=0,
                allowed=True,
                reason="" if is_first else "redirect",
            )
        )
        try:
            with self._backend.departing(departure.announce):
                response = inner.handle_request(request)
        except EgressError:
            raise  # refused while it connected, and written down; or what could not be
        except BaseException:
            departure.fail()
            raise
        return self._heard(response, request, departure)

    def _departure(self, passage: Passage) -> Departure:
        if self._allowance is not None and self._allowance.is_for(passage):
            return Small(self._egress, passage, self._allowance)
        return Departure(self._egress, passage)

    def _check_redirect(self, origin: Origin, request: Any) -> None:
        """Only what a server said itself, only without a body, and without what was for others."""
        errand, purpose = self._errand, PURPOSES[self._errand.purpose]
        self._egress.check(str(request.url), errand.purpose, sensitivity=errand.sensitivity)
        is_at_home = is_loopback(origin.host) and is_loopback(errand.origin.host)
        if not (
            purpose.may_follow
            and str(request.url.copy_with(fragment=None)) in self._announced
            and _only_reads(request)
            and (origin.scheme == "https" or is_at_home)
        ):
            raise self._egress.refuse("redirect", errand.purpose, origin, errand.sensitivity)
        for name in list(request.headers):
            if name.lower() not in _HARMLESS:
                del request.headers[name]

    def _heard(self, response: Any, request: Any, departure: Departure | None) -> Any:
        if response.status_code in _REDIRECTS and "location" in response.headers:
            with suppress(Exception):  # the client itself says what is wrong with it
                target = request.url.join(response.headers["location"])
                self._announced.add(str(target.copy_with(fragment=None)))
        num_bytes = sum(len(k) + len(v) + 4 for k, v in response.headers.raw) + 19
        response.headers.pop("set-cookie", None)
        if departure is None:
            return response
        receipts, answered = self.receipts, departure

        class Counted(self._library.SyncByteStream):  # type: ignore[misc, name-defined]
            """The body on its way in; counted when it is over, however it ends."""

            def __init__(self, stream: Any) -> None:
                self._stream, self._num_bytes, self._is_told = stream, num_bytes, False

            def __iter__(self) -> Iterator[bytes]:
                for part in self._stream:
                    self._num_bytes += len(part)
                    yield part

            def close(self) -> None:
                try:
                    self._stream.close()
                finally:
                    if not self._is_told:
                        self._is_told = True
                        receipts.add(answered, self._num_bytes)

        return self._library.Response(
            response.status_code,
            headers=response.headers,
            stream=Counted(response.stream),
            extensions=response.extensions,
        )


def _only_reads(request: Any) -> bool:
    return request.method in ("GET", "HEAD") and not request.read()

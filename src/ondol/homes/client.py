"""Requests to one home: signed, over its pinned certificate, with its clock instead of ours.

Home refuses what was not made within a minute of its own clock. A device whose clock is wrong is
told so; it then reckons with home's clock (the Date field of the refusal), signs anew, and asks
once more. Raises ``HomeError``'s kinds, and ``EgressError`` for what the door does not let out.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from ondol.egress import Egress
from ondol.errors import (
    ClockError,
    EgressError,
    HomeError,
    HomeInterruptedError,
    HomeTimeoutError,
    HomeUnreachableError,
)
from ondol.homes.enrolled import Enrolment
from ondol.homes.refusals import error_in, head_of, refusal
from ondol.i18n import language, t
from ondol.identity import Identity
from ondol.signatures import REQUIRED, Request, content_digest, sign
from ondol.types import Sensitivity

PURPOSE = "home"
TAG = "ondol-home"
# Which home this is for (its certificate's SHA-256, so that no home can pass a request on to
# another), which request this is (the same in both ledgers), and how far our ledger has come.
HOME_FIELD = "ondol-home"
REQUEST_FIELD = "ondol-request"
LEDGER_FIELD = "ondol-ledger"
# Who wants to be enrolled, and with which invite.
KEY_FIELD = "ondol-key"
INVITE_FIELD = "ondol-invite"
CONNECT_SECONDS = 5.0
# The keys of all members of a federation are in one.
LONGEST_ANSWER_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class Exchange:
    """One request and what became of it, counted as home counts it: bytes of the bodies, as they
    were before TLS. ``finished``: the whole answer came. No digest of what was said is kept: who
    guesses a short question could prove it by that."""

    request_id: str
    home: str
    url: str
    bytes_out: int = 0
    bytes_in: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    finished: bool = False
    reason: str = ""

    def heard(self, piece: bytes) -> bytes:
        """Count a piece of the answer."""
        self.bytes_in += len(piece)
        return piece


class HomeClient:
    """``on_clock`` is told home's clock less ours, in seconds, when it had to be learned. ``head``
    gives the newest head of the device's ledger, as "size:hash"; home keeps it."""

    def __init__(
        self,
        home: Enrolment,
        identity: Identity,
        egress: Egress,
        *,
        on_clock: Callable[[float], None] = lambda seconds: None,
        head: Callable[[], str] = lambda: "",
    ) -> None:
        self._home = home
        self._identity = identity
        self._egress = egress
        self._on_clock = on_clock
        self._head = head
        self._offset_seconds = home.clock_offset_seconds
        self._fields: dict[str, str] = {}

    def get(self, path: str, *, timeout_seconds: float) -> dict[str, Any]:
        """A JSON object."""
        return self._whole("GET", path, b"", timeout_seconds, Sensitivity.PUBLIC)

    def post(
        self,
        path: str,
        body: object,
        *,
        timeout_seconds: float,
        fields: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """A JSON object for a JSON object that says nothing but who we are. ``fields`` are signed
        along."""
        self._fields = dict(fields or {})
        content = json.dumps(body, separators=(",", ":")).encode()
        return self._whole("POST", path, content, timeout_seconds, Sensitivity.TRUSTED)

    @contextmanager
    def stream(
        self,
        path: str,
        body: bytes,
        exchange: Exchange,
        *,
        sensitivity: Sensitivity,
        timeout_seconds: float,
    ) -> Iterator[Iterator[bytes]]:
        """The pieces of an answer's body, as they come. Leaving the block hangs up."""
        exchange.bytes_out = len(body)
        arguments = (path, body, exchange.request_id, timeout_seconds, sensitivity)
        with self._exchange("POST", *arguments, exchange) as response:
            yield map(exchange.heard, response.iter_bytes())

    def _whole(
        self, method: str, path: str, body: bytes, timeout_seconds: float, label: Sensitivity
    ) -> dict[str, Any]:
        request_id = secrets.token_hex(16)
        with self._exchange(method, path, body, request_id, timeout_seconds, label) as response:
            try:
                said = json.loads(head_of(response, LONGEST_ANSWER_BYTES))
            except ValueError:
                said = None
        if not isinstance(said, dict):
            raise HomeError(t("homes.garbled", home=self._home.name), t("homes.status_hint"))
        return said

    @contextmanager
    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes,
        request_id: str,
        timeout_seconds: float,
        sensitivity: Sensitivity,
        exchange: Exchange | None = None,
    ) -> Iterator[httpx2.Response]:
        url = self._home.url + path
        headers = {
            "Accept-Encoding": "identity",
            "Accept-Language": language(),
            "Content-Type": "application/json",
        }
        timeout = httpx2.Timeout(timeout_seconds, connect=min(timeout_seconds, CONNECT_SECONDS))
        pinned = self._home.fingerprint.hex()
        try:
            with self._egress.client(
                url, PURPOSE, sensitivity=sensitivity, headers=headers, pinned=pinned
            ) as client:
                # The door has looked already; whatever becomes of it, this must not leave.
                if sensitivity < Sensitivity.TRUSTED:
                    raise EgressError(t("homes.private"), t("homes.private_hint"))
                with client.stream(
                    method,
                    url,
                    content=body,
                    auth=_Signing(self, request_id),
                    timeout=timeout,
                    follow_redirects=False,
                ) as response:
                    if response.status_code != 200:
                        raise refusal(response, self._home.name)
                    yield response
        except httpx2.ConnectTimeout:
            raise self._unreachable() from None
        except httpx2.TimeoutException:
            seconds = f"{timeout_seconds:g}"
            raise HomeTimeoutError(
                t("homes.too_slow", home=self._home.name, seconds=seconds), t("homes.slow_hint")
            ) from None
        except httpx2.ConnectError:
            raise self._unreachable() from None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            if exchange is not None and exchange.bytes_in:
                raise self.interrupted() from None
            raise self._unreachable() from None

    def _unreachable(self) -> HomeUnreachableError:
        told = t("homes.unreachable", home=self._home.name, url=self._home.url)
        return HomeUnreachableError(told, t("homes.unreachable_hint"))

    def interrupted(self) -> HomeInterruptedError:
        """The error for an answer that ended too early."""
        told = t("homes.interrupted", home=self._home.name)
        return HomeInterruptedError(told, t("homes.interrupted_hint"))

    def sign(self, request: httpx2.Request, request_id: str) -> None:
        """Add the fields of a signature made now."""
        fields = {
            HOME_FIELD: self._home.fingerprint.hex(),
            REQUEST_FIELD: request_id,
            "content-digest": content_digest(bytes(request.read())),
            **self._fields,
        }
        head = self._head()
        fields |= {LEDGER_FIELD: head} if head else {}
        added = sign(
            self._identity,
            Request(request.method, str(request.url), fields),
            created=max(0, int(time.time() + self._offset_seconds)),
            nonce=secrets.token_urlsafe(18),
            tag=TAG,
            components=(*REQUIRED, *(name for name in fields if name.startswith("ondol-"))),
        )
        request.headers.update({**fields, **added})

    def learn_clock(self, response: httpx2.Response) -> bool:
        """Reckon with the clock that ``response`` shows; whether it shows one."""
        try:
            theirs = parsedate_to_datetime(response.headers["date"]).timestamp()
        except (KeyError, ValueError, TypeError, OverflowError):
            return False
        self._offset_seconds = theirs - time.time()
        self._on_clock(self._offset_seconds)
        return True


class _Signing(httpx2.Auth):
    """Signs a request, and once more where home finds that our clock is wrong."""

    requires_request_body = True

    def __init__(self, client: HomeClient, request_id: str) -> None:
        self._client = client
        self._request_id = request_id

    def sync_auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        self._client.sign(request, self._request_id)
        response = yield request
        if response.status_code != ClockError.status:
            return
        response.read()
        if error_in(response).get("code") == ClockError.code:
            if self._client.learn_clock(response):
                self._client.sign(request, self._request_id)
                yield request

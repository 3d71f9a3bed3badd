"""Who may come in: only requests that an enrolled device signed, now, for this home, once.

The signature covers the whole target, the body's digest, the home it is meant for and the request's
id. It is checked before a byte of the body is read. A clock that differs by more than a minute is
refused with our own time (the Date field), so that the device can make up for it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ondol.errors import ClockError, SignatureError, UsageError
from ondol.home.registry import Device, Registry
from ondol.homes.client import (
    HOME_FIELD,
    INVITE_FIELD,
    KEY_FIELD,
    LEDGER_FIELD,
    REQUEST_FIELD,
    TAG,
)
from ondol.i18n import t, use_language
from ondol.identity import thumbprint
from ondol.server import errors
from ondol.server.door.security import spoken
from ondol.server.streaming import in_thread
from ondol.signatures import MalformedError, Request, Signature, is_digest_of, read

CLOCK_SECONDS = 60
BODY_SECONDS = 60.0
OPEN_PATHS = ("/home/v1/health", "/home/v1/enrol", "/home/v1/federations/look")
LONGEST_OPEN_BYTES = 16 * 1024
DEVICE = "ondol.device"
REQUEST_ID = "ondol.request_id"
BODY_BYTES = "ondol.body_bytes"

_REQUEST_ID = re.compile(r"[0-9a-f]{32}")
_LEDGER = re.compile(r"(\d{1,18}):([0-9a-f]{64})")
# The fields that a signature may cover, and so those that are read.
_FIELDS = (
    "content-digest",
    "signature",
    "signature-input",
    HOME_FIELD,
    REQUEST_FIELD,
    LEDGER_FIELD,
    KEY_FIELD,
    INVITE_FIELD,
)


class SeenNonces:
    """Remembers nonces for as long as their requests could come again. ``size`` bounds the memory
    of each device: one that made that many in two minutes has to wait, and no other one."""

    def __init__(self, *, now: Callable[[], float] = time.time, size: int = 20_000) -> None:
        self._now = now
        self._size = size
        self._until: dict[str, dict[str, float]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return sum(map(len, self._until.values()))

    def is_new(self, device_id: str, nonce: str, created: int) -> bool:
        """Whether this is the first time; from now on it is not."""
        with self._lock:
            now, mine = self._now(), self._until.get(device_id, {})
            if len(mine) >= self._size:
                mine = {one: until for one, until in mine.items() if until > now}
            self._until[device_id] = mine
            if nonce in mine or len(mine) >= self._size:
                return False
            mine[nonce] = created + CLOCK_SECONDS + 1
            return True


@dataclass(frozen=True, slots=True)
class Gate:
    """The rules of one running home. What was made before ``opened_at`` (less a second, for clocks
    that show whole ones) is refused: nobody remembers its nonces."""

    registry: Registry
    fingerprint: bytes
    nonces: SeenNonces
    max_body_bytes: int
    opened_at: float
    now: Callable[[], float] = time.time

    def admit(self, request: Request) -> tuple[Device, Signature]:
        """The device that made ``request``. Raises ``SignatureError``, ``ClockError`` and
        ``DeviceRefusedError``."""
        signature = _read(request)
        device = self.registry.admit(signature.key_id)
        self._check(request, signature, device.public_key)
        if not self.nonces.is_new(signature.key_id, signature.nonce, signature.created):
            raise SignatureError(t("home.replayed"), t("home.unsigned_hint"))
        if found := _LEDGER.fullmatch(request.fields.get(LEDGER_FIELD, "")):
            self.registry.note_ledger(device, int(found[1]), found[2])
        return device, signature

    def check_newcomer(self, request: Request, body: bytes, public_key: bytes) -> None:
        """Raise unless whoever sent ``request`` holds the private half of ``public_key``.
        Nothing is remembered of it: anybody can make a key, and an invite opens only once."""
        signature = _read(request)
        if signature.key_id != thumbprint(public_key):
            raise _unsigned()
        self._check(request, signature, public_key)
        if not is_digest_of(request.fields["content-digest"], body):
            raise _unsigned()

    def _check(self, request: Request, signature: Signature, public_key: bytes) -> None:
        mine = self.fingerprint.hex().encode()
        is_ours = hmac.compare_digest(request.fields[HOME_FIELD].encode(), mine)
        if not (is_ours and signature.is_by(public_key)):
            raise _unsigned()
        now = self.now()
        if abs(now - signature.created) > CLOCK_SECONDS or signature.created < self.opened_at - 1:
            raise ClockError(t("home.wrong_clock"), t("home.wrong_clock_hint"))


class AdmissionMiddleware:
    """Applies ``Gate`` to every request, before any of the app runs. What comes through has its
    device, its id and its size in the scope, under ``DEVICE``, ``REQUEST_ID``, ``BODY_BYTES``."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app = app
        self.gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        with use_language(spoken(headers.get("accept-language", ""))):
            try:
                if scope["path"] in OPEN_PATHS:
                    body = await _body(receive, headers, LONGEST_OPEN_BYTES)
                else:
                    request = request_of(scope, headers)
                    device, _ = await in_thread(lambda: self.gate.admit(request))
                    body = await _body(receive, headers, self.gate.max_body_bytes)
                    if not is_digest_of(request.fields["content-digest"], body):
                        raise _unsigned()
                    found = request.fields[REQUEST_FIELD]
                    scope.update({DEVICE: device, REQUEST_ID: found, BODY_BYTES: len(body)})
            except Exception as error:
                refusal = errors.response(dialect_of(scope["path"]), errors.failure_of(error))
                await refusal(scope, receive, send)
                return
            await self.app(scope, _again(body, receive), send)


def dialect_of(path: str) -> errors.Dialect:
    """How a path's errors are written."""
    return "openai" if path.startswith("/v1/") else "native"


def _read(request: Request) -> Signature:
    try:
        signature = read(request)
    except MalformedError:
        raise _unsigned() from None
    sent = [name for name in request.fields if name.startswith("ondol-")]
    is_for_a_home = signature.tag == TAG and signature.covers(HOME_FIELD, REQUEST_FIELD, *sent)
    if not (is_for_a_home and _REQUEST_ID.fullmatch(request.fields[REQUEST_FIELD])):
        raise _unsigned()
    return signature


def request_of(scope: Scope, headers: Headers) -> Request:
    """What was signed, as it arrived. Raises ``SignatureError`` for a field that came twice."""
    fields: dict[str, str] = {}
    for name in _FIELDS:
        given = headers.getlist(name)
        if len(given) > 1:
            raise _unsigned()
        fields.update({name: given[0]} if given else {})
    path = bytes(scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    query = bytes(scope["query_string"]).decode("latin-1")
    host = headers.get("host", "")
    url = f"{scope['scheme']}://{host}{path}" + (f"?{query}" if query else "")
    return Request(scope["method"], url, fields)


def field_bytes(request: Request, field: str, size: int) -> bytes:
    """The bytes of a field in base64. Raises ``UsageError``."""
    try:
        found = base64.b64decode(request.fields.get(field, ""), validate=True)
    except (ValueError, binascii.Error):
        found = b""
    if len(found) != size:
        raise UsageError(t("server.bad_field", field=field, reason="base64"), param=field)
    return found


async def _body(receive: Receive, headers: Headers, limit: int) -> bytes:
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                body += message.get("body", b"")
                if len(body) > limit:
                    raise _too_large(limit)
                if message["type"] != "http.request" or not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise HTTPException(408, t("home.too_slow")) from None


def _again(body: bytes, receive: Receive) -> Receive:
    """``body`` once, then whatever comes: that the client is gone."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again


def _unsigned() -> SignatureError:
    return SignatureError(t("home.unsigned"), t("home.unsigned_hint"))


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, t("server.body_too_large", megabytes=max(1, limit >> 20)))

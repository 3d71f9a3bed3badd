"""The door: every request passes it before any of the app runs.

In this order: how large its head is, the names it uses for this machine and itself (``access``),
who it comes from (``admission``), whether their key is for this (``scopes``), how large its body
is (``sizes``). What passes is answered on behalf of its caller (``ondol.callers``), until the
caller's key ends (``presence``).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ondol.callers import OWNER, Caller, calling
from ondol.egress import is_loopback
from ondol.i18n import t, use_language
from ondol.server import errors
from ondol.server.door import encodings, scopes
from ondol.server.door.access import HOST, Access
from ondol.server.door.admission import CALLER, DEVICE, PHONE_DOOR, Admission
from ondol.server.door.presence import Presence
from ondol.server.door.sizes import Bodies, check_head
from ondol.server.web import files as web

OPEN_PATHS = ("/", "/ondol/v1/health", *web.TOP)
# A phone has no key before it has given its code, and trusts nobody before it has the certificate.
OPEN_REQUESTS = (("POST", "/ondol/v1/pairing"), ("GET", "/ondol/v1/pairing/certificate"))
# What proxies say of who they pass on.
PASSED_ON = ("forwarded", "x-forwarded-for", "x-real-ip")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}

_FIELD_NAMES = re.compile(r"[a-z0-9_, -]{0,1000}", re.IGNORECASE | re.ASCII)


class SecurityMiddleware:
    """Applies the rules of one server to every request, before any of the app runs."""

    def __init__(self, app: ASGIApp, access: Access, admission: Admission | None = None) -> None:
        self.app = app
        self.access = access
        self.admission = admission or Admission(access)
        self.bodies = Bodies(access)
        self.presence = Presence(self.admission.holds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        dialect = errors.dialect_of(scope["path"])
        language = spoken(headers.get("accept-language", "")) if dialect == "native" else "en"
        with use_language(language):
            reply = _Reply(send)
            try:
                check_head(scope)
                reply.origin = self._check_origin(scope, headers)
                if reply.origin and _is_preflight(scope, headers):
                    return await _preflight(headers)(scope, receive, reply)
                caller = self._caller(scope, headers)
                is_open = (scope["method"], scope["path"]) in OPEN_REQUESTS
                # What is unpacked counts, and nothing is before it is known who asks.
                opened, unpacked = encodings.opened(scope, receive)
                with self.bodies.limited(scope, headers, unpacked, is_open=is_open) as limited:
                    await self._answer(caller, opened, limited, reply)
            except Exception as error:
                if reply.started:
                    raise
                refusal = errors.response(dialect, errors.failure_of(error))
                await refusal(scope, receive, reply)

    async def _answer(
        self, caller: Caller, scope: Scope, receive: Receive, send: Callable[..., Awaitable[None]]
    ) -> None:
        with calling(caller):
            if ":" not in caller.id:
                return await self.app(scope, receive, send)
            with self.presence.of(caller, receive, send) as (receiving, sending):
                await self.app(scope, receiving, sending)
        self.admission.note_used()

    def _check_origin(self, scope: Scope, headers: Headers) -> str | None:
        hosts = headers.getlist("host")
        server = str((scope.get("server") or ("",))[0])
        if len(hosts) != 1 or not self.access.allows_host(hosts[0], server):
            raise errors.ForbiddenError(t("server.foreign_host"), t("server.foreign_host_hint"))
        origin = headers.get("origin")
        if origin is None:
            if headers.get("sec-fetch-site") == "cross-site" and not _is_visit(scope, headers):
                raise errors.ForbiddenError(t("server.cross_site"), t("server.cross_site_hint"))
        elif not self.access.allows_origin(origin, scope["scheme"], hosts[0], scope["path"]):
            raise errors.ForbiddenError(t("server.cross_site"), t("server.cross_site_hint"))
        return origin

    def _caller(self, scope: Scope, headers: Headers) -> Caller:
        """Who asks; refused where that is nobody, or nobody whose key is for this."""
        path, method = scope["path"], scope["method"]
        if path in OPEN_PATHS or path.startswith(web.PREFIX) or (method, path) in OPEN_REQUESTS:
            return OWNER
        origin = headers.get("origin")
        is_own_page = origin is None or self.access.is_own(
            origin, scope["scheme"], headers.get("host", "")
        )
        caller = self.admission.admit(scope, headers, is_own_page=is_own_page)
        scopes.check(caller, method, path)
        return caller


def check_at_this_machine(request: Request) -> None:
    """Refuse (``ForbiddenError``) what does not come from this machine itself: neither a phone, nor
    what a proxy passes on under another name, nor a page of another program."""
    client = request.client.host if request.client else ""
    host = request.headers.get("host", "")
    name = HOST.fullmatch(host)
    is_own = request.headers.get("origin", "") in ("", f"{request.url.scheme}://{host}")
    # A foreign page may have its visitor's browser go anywhere, without an Origin.
    is_own = is_own and request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    is_here = is_loopback(client) and name is not None and is_loopback(name[1].strip("[]").lower())
    is_passed_on = any(name in request.headers for name in PASSED_ON)
    if _is_device(request) or is_passed_on or not (is_here and is_own):
        raise errors.ForbiddenError(t("phone.not_here"), t("phone.not_here_hint"))


def check_no_device(request: Request) -> None:
    """Refuse (``ForbiddenError``) a phone, and a program with a key of its own: they send files,
    and name none of this machine's."""
    if _is_device(request):
        raise errors.ForbiddenError(t("phone.not_here"), t("phone.not_here_hint"))


def _is_device(request: Request) -> bool:
    scope = request.scope
    is_owner = scope.get(CALLER, OWNER).id == OWNER.id
    return bool(scope.get(PHONE_DOOR) or scope.get(DEVICE) or not is_owner)


def spoken(accept_language: str) -> str:
    """The first of our languages that an Accept-Language header prefers; English otherwise."""
    wanted = []
    for part in accept_language.split(","):
        code, _, weight = part.partition(";q=")
        try:
            wanted.append((-float(weight or 1), code.strip().lower()[:2]))
        except ValueError:
            continue
    known = [code for weight, code in sorted(wanted, key=lambda w: w[0]) if weight < 0]
    return next((code for code in known if code in ("en", "ko")), "en")


class _Reply:
    """Sends a response with the security headers, and CORS ones for an allowed origin."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.origin: str | None = None
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.add_vary_header("Origin")
            if self.origin:
                headers["Access-Control-Allow-Origin"] = self.origin
                headers["Access-Control-Expose-Headers"] = "Retry-After, request-id"
        await self._send(message)


def _is_preflight(scope: Scope, headers: Headers) -> bool:
    return scope["method"] == "OPTIONS" and "access-control-request-method" in headers


def _is_visit(scope: Scope, headers: Headers) -> bool:
    return scope["method"] in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"


def _preflight(headers: Headers) -> Response:
    asked = headers.get("access-control-request-headers", "")
    answer = {
        "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "Access-Control-Allow-Headers": asked if _FIELD_NAMES.fullmatch(asked) else "",
        "Access-Control-Max-Age": "600",
    }
    if headers.get("access-control-request-private-network") == "true":
        answer["Access-Control-Allow-Private-Network"] = "true"
    return Response(status_code=204, headers=answer)

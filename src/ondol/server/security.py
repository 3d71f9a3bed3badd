"""Who may talk to this server: the Host, the Origin, the key, the size of the body.

A web page the owner merely visits must not reach it: a foreign Host (DNS rebinding) or Origin is
403 and there is no wildcard. A key, once set, is asked of everyone. Raises ``ConfigError`` when
asked to listen beyond this machine without a key.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ondol.config import Config
from ondol.egress import is_loopback
from ondol.errors import ConfigError
from ondol.i18n import t, use_language
from ondol.server import errors

# Desktop apps; no web page can send these. `null` is what a sandboxed hostile page sends.
LOCAL_APP_SCHEMES = ("app", "capacitor", "tauri", "vscode-file", "vscode-webview")
OPEN_PATHS = ("/", "/ondol/v1/health")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?", re.IGNORECASE | re.ASCII)
_FIELD_NAMES = re.compile(r"[a-z0-9_, -]{0,1000}", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one server."""

    api_key: str = ""
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    max_body_bytes: int = 32 * 1024 * 1024

    @classmethod
    def from_config(cls, config: Config) -> Access:
        """The rules the settings ask for; a wildcard is refused."""
        for name in ("server.hosts", "server.origins"):
            if any("*" in value for value in config[name]):
                raise ConfigError(t("server.wildcard", name=name), t("server.wildcard_hint"))
        return cls(
            config["server.api_key"],
            _lower([*config["server.hosts"], _named_host(config["server.host"])]),
            _lower(origin.rstrip("/") for origin in config["server.origins"]),
            config["server.max_body_mb"] * 1024 * 1024,
        )

    def allows_host(self, host: str, server: str) -> bool:
        """Whether a Host header names this machine; ``server`` is the address it came in on."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].lower().strip("[]")
        return is_loopback(name) or name in self.hosts or _same_address(name, server)

    def allows_origin(self, origin: str, scheme: str, host: str) -> bool:
        """Whether a browser page at ``origin`` may call."""
        origin = origin.lower()
        if origin in self.origins or origin == f"{scheme}://{host}".lower():
            return True
        try:
            parts = urlsplit(origin)
            name = parts.hostname or ""
        except ValueError:
            return False
        if parts.scheme in LOCAL_APP_SCHEMES:
            return True
        return parts.scheme in ("http", "https") and is_loopback(name) and "@" not in origin

    def allows_key(self, authorization: str) -> bool:
        """Whether an Authorization header opens the door."""
        if not self.api_key:
            return True
        scheme, _, key = authorization.partition(" ")
        same = hmac.compare_digest(key.strip(" \t").encode("latin-1"), self.api_key.encode())
        return same and scheme.lower() == "bearer"


def check_bind(host: str, api_key: str) -> None:
    """Refuse to listen beyond this machine unless a key is asked for."""
    if not is_loopback(host) and not api_key:
        raise ConfigError(t("server.open_bind", host=host), t("server.open_bind_hint"))


class SecurityMiddleware:
    """Applies ``Access`` to every request, before any of the app runs."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

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
                reply.origin = self._check_origin(scope, headers)
                if reply.origin and _is_preflight(scope, headers):
                    return await _preflight(headers)(scope, receive, reply)
                self._check_key(scope, headers)
                await self.app(scope, self._limited(headers, receive), reply)
            except Exception as error:
                if reply.started:
                    raise
                refusal = errors.response(dialect, errors.failure_of(error))
                await refusal(scope, receive, reply)

    def _check_origin(self, scope: Scope, headers: Headers) -> str | None:
        hosts = headers.getlist("host")
        server = str((scope.get("server") or ("",))[0])
        if len(hosts) != 1 or not self.access.allows_host(hosts[0], server):
            raise errors.ForbiddenError(t("server.foreign_host"), t("server.foreign_host_hint"))
        origin = headers.get("origin")
        if origin is None:
            if headers.get("sec-fetch-site") == "cross-site" and not _is_visit(scope, headers):
                raise errors.ForbiddenError(t("server.cross_site"), t("server.cross_site_hint"))
        elif not self.access.allows_origin(origin, scope["scheme"], hosts[0]):
            raise errors.ForbiddenError(t("server.cross_site"), t("server.cross_site_hint"))
        return origin

    def _check_key(self, scope: Scope, headers: Headers) -> None:
        if scope["path"] in OPEN_PATHS:
            return
        if not self.access.allows_key(headers.get("authorization", "")):
            raise errors.UnauthorizedError(t("server.no_key"), t("server.no_key_hint"))

    def _limited(self, headers: Headers, receive: Receive) -> Receive:
        limit = self.access.max_body_bytes
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > limit:
            raise _too_large(limit)
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _too_large(limit)
            return message

        return limited


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


def _too_large(limit: int) -> HTTPException:
    # An HTTPException passes through FastAPI's reading of the body; ours would become a 400.
    return HTTPException(413, t("server.body_too_large", megabytes=limit // (1024 * 1024)))


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
                headers["Access-Control-Expose-Headers"] = "Retry-After"
        await self._send(message)


def _is_preflight(scope: Scope, headers: Headers) -> bool:
    return scope["method"] == "OPTIONS" and "access-control-request-method" in headers


def _is_visit(scope: Scope, headers: Headers) -> bool:
    return scope["method"] in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"


def _preflight(headers: Headers) -> Response:
    asked = headers.get("access-control-request-headers", "")
    answer = {
        "Access-Control-Allow-Methods": "GET, HEAD, POST, PATCH, DELETE",
        "Access-Control-Allow-Headers": asked if _FIELD_NAMES.fullmatch(asked) else "",
        "Access-Control-Max-Age": "600",
    }
    if headers.get("access-control-request-private-network") == "true":
        answer["Access-Control-Allow-Private-Network"] = "true"
    return Response(status_code=204, headers=answer)


def _named_host(host: str) -> str:
    # 0.0.0.0 is where a server listens, never what an honest client calls it.
    return "" if host in ("0.0.0.0", "::") else host.strip("[]")


def _same_address(name: str, server: str) -> bool:
    try:
        address = ipaddress.ip_address(name)
        return not address.is_unspecified and address == ipaddress.ip_address(server)
    except ValueError:
        return False


def _lower(values: Iterable[str]) -> frozenset[str]:
    return frozenset(value.lower() for value in values if value)

"""Which programs talked to this server lately: their family, the dialect, when, how often.

In memory only and never what they said, so that the owner sees that a program found its way here. A
program is known by its User-Agent, as far as it says who it is.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ondol.server import errors
from ondol.server.body import json_response

MOST = 100
# The first that matches names the family. A library that many programs use comes after them.
FAMILIES = (
    ("continue", r"\bcontinue\b"),
    ("cursor", r"\bcursor\b"),
    ("open-webui", r"open.?webui"),
    ("n8n", r"\bn8n\b"),
    ("claude-code", r"^claude-(cli|code)"),
    ("codex", r"^codex"),
    ("llm", r"\bllm/"),
    ("ondol", r"^ondol\b"),
    ("ollama-python", r"^ollama-python"),
    ("ollama-js", r"^ollama-js"),
    ("ollama", r"^ollama"),
    ("openai-python", r"(async)?openai/python"),
    ("openai-node", r"openai/(js|node)"),
    ("anthropic-python", r"(async)?anthropic/python"),
    ("anthropic-node", r"anthropic/(js|node)"),
    ("langchain", r"langchain"),
    ("curl", r"^curl/"),
    ("wget", r"^wget/"),
    ("browser", r"^mozilla/"),
    ("aiohttp", r"aiohttp"),
    ("httpx", r"httpx"),
    ("requests", r"python-requests"),
    ("axios", r"axios"),
    ("node", r"\b(node|undici)\b"),
    ("go", r"go-http-client"),
)
_PATTERNS = [(family, re.compile(pattern, re.IGNORECASE)) for family, pattern in FAMILIES]
# What the app asks for itself says nothing of other programs.
_OWN_PATHS = ("/web/", "/openapi.json", "/sw.js", "/manifest.webmanifest")


@dataclass(frozen=True, slots=True)
class Client:
    """A program. ``last_path`` is the endpoint it used last; times are ISO 8601 in UTC."""

    family: str
    dialect: str
    first_at: str
    last_at: str
    count: int
    last_path: str
    is_here: bool

    def json(self) -> dict[str, Any]:
        """As the API gives it."""
        return {name: getattr(self, name) for name in self.__slots__}


class Clients:
    """The programs of one running server. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], Client] = {}

    def note(self, user_agent: str, path: str, *, is_here: bool = True) -> None:
        """A program asked for ``path``."""
        known = (family_of(user_agent), errors.dialect_of(path))
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._lock:
            before = self._seen.pop(known, None)
            # The last one to come is the last one in the table, and the first one leaves it.
            self._seen[known] = (
                replace(
                    before, last_at=now, count=before.count + 1, last_path=path, is_here=is_here
                )
                if before
                else Client(*known, now, now, 1, path, is_here)
            )
            while len(self._seen) > MOST:
                self._seen.pop(next(iter(self._seen)))

    def all(self) -> list[Client]:
        """The latest first."""
        with self._lock:
            return list(reversed(self._seen.values()))


class ClientsMiddleware:
    """Notes who was let in. Stands behind the door: who is refused is no client."""

    def __init__(self, app: ASGIApp, clients: Clients) -> None:
        self.app = app
        self.clients = clients

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _is_program(scope):
            user_agent = Headers(scope=scope).get("user-agent", "")
            client = str((scope.get("client") or ("",))[0])
            self.clients.note(user_agent, _shown(scope), is_here=client in ("127.0.0.1", "::1", ""))
        await self.app(scope, receive, send)


def family_of(user_agent: str) -> str:
    """The family that a User-Agent belongs to, else its first word without a version; "unknown"
    where there is none."""
    for family, pattern in _PATTERNS:
        if pattern.search(user_agent):
            return family
    word = re.match(r"[A-Za-z0-9._-]{1,40}", user_agent)
    return word[0].lower() if word else "unknown"


def add_routes(routes: APIRouter) -> None:
    """Add the route that lists them; the list is the app's (``app.state.clients``)."""

    @routes.get("/clients")
    async def clients(request: Request) -> Response:
        """Which programs talked to this server lately, the latest first; never what they said."""
        seen: Clients | None = getattr(request.app.state, "clients", None)
        found = seen.all() if seen else []
        return json_response({"clients": [one.json() for one in found]})


def _is_program(scope: Scope) -> bool:
    path = scope["path"]
    if path == "/" or path.startswith(_OWN_PATHS):
        # Programs look for Ollama there too, and a browser for the app.
        return False
    is_native = errors.dialect_of(path) == "native"
    return not (is_native and Headers(scope=scope).get("sec-fetch-site") == "same-origin")


def _shown(scope: Scope) -> str:
    """The endpoint: of Ondol's own only the first word, for ids may follow."""
    parts = scope["path"].split("/")
    return "/".join(parts[:4])[:60]

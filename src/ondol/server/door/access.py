"""Which names this server answers to, which pages may call it, and how far it may listen.

A web page the owner merely visits must not reach it: a foreign Host (DNS rebinding) or Origin is
not let in, and there is no wildcard. Raises ``ConfigError`` for a wildcard, and when asked to
listen beyond this machine without a key.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import urlsplit

from ondol.config import Config
from ondol.egress import is_loopback
from ondol.errors import ConfigError
from ondol.i18n import t
from ondol.server import errors

# Desktop apps; no web page can send these. `null` is what a sandboxed hostile page sends.
LOCAL_APP_SCHEMES = ("app", "capacitor", "tauri", "vscode-file", "vscode-webview")
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one server. ``phone_names`` is what phones may call this machine."""

    api_key: str = ""
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    max_body_bytes: int = 32 * 1024 * 1024
    max_file_bytes: int = 64 * 1024 * 1024
    phone_names: Callable[[], Iterable[str]] = field(default=tuple)

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
            config["retrieval.max_file_mb"] * 1024 * 1024,
        )

    def allows_host(self, host: str, server: str) -> bool:
        """Whether a Host header names this machine; ``server`` is the address it came in on."""
        match = HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].lower().strip("[]")
        is_known = is_loopback(name) or name in self.hosts or _same_address(name, server)
        return is_known or name in self.phone_names()

    def allows_origin(self, origin: str, scheme: str, host: str, path: str = "/") -> bool:
        """Whether a browser page at ``origin`` may call ``path``. Other pages of this machine may
        use what programs use, but not Ondol's endpoints: the owner's conversations are there."""
        if self.is_own(origin, scheme, host):
            return True
        try:
            parts = urlsplit(origin.lower())
            name = parts.hostname or ""
        except ValueError:
            return False
        is_local = parts.scheme in ("http", "https") and is_loopback(name) and "@" not in origin
        return is_local and errors.dialect_of(path) != "native"

    def is_own(self, origin: str, scheme: str, host: str) -> bool:
        """Whether a page is Ondol's, a desktop app's, or one that the settings name; any other that
        is let in is let in as a program, and reads no documents."""
        origin = origin.lower()
        if origin in self.origins or origin == f"{scheme}://{host}".lower():
            return True
        try:
            return urlsplit(origin).scheme in LOCAL_APP_SCHEMES
        except ValueError:
            return False

    def allows_key(self, authorization: str) -> bool:
        """Whether an Authorization header opens the door to the owner."""
        if not self.api_key:
            return True
        scheme, _, key = authorization.partition(" ")
        return scheme.lower() == "bearer" and self.is_owners(key.strip(" \t"))

    def is_owners(self, key: str) -> bool:
        """Whether this is the key that the settings ask for; there may be none."""
        # As hashes, so that how long it takes tells nothing of how long the key is.
        said, known = (
            sha256(text).digest()
            for text in (key.encode("latin-1", "replace"), self.api_key.encode())
        )
        return hmac.compare_digest(said, known) and bool(self.api_key)


def check_bind(host: str, api_key: str) -> None:
    """Refuse to listen beyond this machine unless a key is asked for."""
    if not is_loopback(host) and not api_key:
        raise ConfigError(t("server.open_bind", host=host), t("server.open_bind_hint"))


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

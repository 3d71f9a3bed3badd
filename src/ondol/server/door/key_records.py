"""What a program's key is: its name, what it opens, until when, and who asks with it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ondol.callers import Caller
from ondol.errors import UsageError
from ondol.i18n import t

KEY_PREFIX = "ondol-key-"
DIALECTS = ("openai", "ollama", "anthropic", "mcp", "ondol")
# What other programs speak. Ondol's own dialect reaches what no other does: it has to be named.
USUAL_DIALECTS = ("openai", "ollama", "anthropic", "mcp")
LONGEST_NAME = 64
MOST_SCOPES = 100
LONGEST_SCOPE = 400
COLUMNS = (
    "id, name, dialects, models, collections, manages_models, max_running, requests_per_minute, "
    "created_at, expires_at, revoked_at, used_at"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a key opens; ``None`` means any. No ``collections`` at all means that it reads no
    documents."""

    dialects: tuple[str, ...] | None = USUAL_DIALECTS
    models: tuple[str, ...] | None = None
    collections: tuple[str, ...] | None = ()
    manages_models: bool = False
    max_running: int | None = None
    requests_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class ProgramKey:
    """A key as it is listed. Times are ISO 8601 in UTC."""

    id: str
    name: str
    scope: Scope
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None
    used_at: str | None = None

    @property
    def prefix(self) -> str:
        """What the key begins with: enough to tell it from others, and of no use for entering."""
        return f"{KEY_PREFIX}{self.id}"

    def state(self, now: datetime | None = None) -> str:
        """``valid``, ``expired`` or ``revoked``."""
        if self.revoked_at:
            return "revoked"
        moment = now or datetime.now(UTC)
        expired = self.expires_at is not None and datetime.fromisoformat(self.expires_at) <= moment
        return "expired" if expired else "valid"

    @property
    def caller(self) -> Caller:
        """Who asks with this key."""
        scope = self.scope
        return Caller(
            f"key:{self.id}",
            self.name,
            _set(scope.dialects),
            _set(scope.models),
            _set(scope.collections),
            scope.max_running,
            scope.requests_per_minute,
            scope.manages_models,
        )

    def json(self) -> dict[str, Any]:
        """As the API and ``--json`` give it."""
        scope = self.scope
        return {
            "id": self.id,
            "name": self.name,
            "prefix": self.prefix,
            "state": self.state(),
            "dialects": _list(scope.dialects),
            "models": _list(scope.models),
            "collections": _list(scope.collections),
            "manages_models": scope.manages_models,
            "max_running": scope.max_running,
            "requests_per_minute": scope.requests_per_minute,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "revoked_at": self.revoked_at,
            "used_at": self.used_at,
        }


def of_row(row: tuple[Any, ...]) -> ProgramKey:
    dialects, models, collections = (_tuple(text) for text in row[2:5])
    scope = Scope(dialects, models, collections, bool(row[5]), *row[6:8])
    return ProgramKey(row[0], row[1], scope, *row[8:12])


def checked(scope: Scope) -> Scope:
    """``scope``, if it can be kept."""
    unknown = [one for one in scope.dialects or () if one not in DIALECTS]
    if unknown or scope.dialects == ():
        message = t("keys.bad_dialect", name=unknown[0] if unknown else "")
        raise UsageError(
            message, t("keys.bad_dialect_hint", all=", ".join(DIALECTS)), param="dialects"
        )
    for field in ("models", "collections"):
        names = getattr(scope, field) or ()
        if len(names) > MOST_SCOPES or any(not 0 < len(one) <= LONGEST_SCOPE for one in names):
            raise UsageError(t("keys.bad_scope", field=field), param=field)
    for field in ("max_running", "requests_per_minute"):
        value = getattr(scope, field)
        if value is not None and not 0 < value <= 1_000_000:
            raise UsageError(t("keys.bad_limit", field=field), param=field)
    if scope.collections:
        # 한글 typed on a Mac may arrive in other bytes than the library's.
        same = tuple(unicodedata.normalize("NFC", one.strip()) for one in scope.collections)
        scope = replace(scope, collections=same)
    return scope


def plain_name(name: str) -> str:
    """A name that a list can show: one line, nothing that steers a terminal."""
    plain = "".join(c for c in " ".join(name.split()) if c.isprintable())[:LONGEST_NAME]
    if not plain:
        raise UsageError(t("keys.no_name"), param="name")
    return plain


def written(names: Iterable[str] | None) -> str | None:
    return None if names is None else json.dumps(list(names), ensure_ascii=False)


def _tuple(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(json.loads(text))


def _set(names: Iterable[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def _list(names: Iterable[str] | None) -> list[str] | None:
    return None if names is None else list(names)

"""What is wrong with a server's answer to a hostile request, whatever the request was."""

from __future__ import annotations

import json

# Statuses beyond 500 that are an honest answer: too busy, not there, no disk; see docs/errors.md.
HONEST = (501, 503, 507, 529)


def dialect_of(path: str) -> str:
    path = path.partition("?")[0]
    if path.startswith("/v1/messages"):
        return "anthropic"
    if path == "/v1" or path.startswith("/v1/"):
        return "openai"
    return "native" if path == "/ondol" or path.startswith("/ondol/") else "ollama"


def wrong(dialect: str, status: int, kind: str, body: bytes) -> str:
    """What is wrong with a response; "" for one that is as it should be."""
    if status >= 500 and status not in HONEST:
        return f"{status} {body[:300]!r}"
    if status < 400 or not body:
        if kind.startswith("application/json") and body:
            try:
                json.loads(body)
            except ValueError:
                return f"{status} with what is no JSON {body[:200]!r}"
        return ""
    if kind.startswith("text/plain") and body == b"Invalid HTTP request received.":
        return ""
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return f"{status} without an error in it {body[:200]!r}"
    if dialect == "ollama":
        is_right = isinstance(error, str) and bool(error)
    elif dialect == "openai":
        is_right = isinstance(error, dict) and {"message", "type", "param", "code"} <= set(error)
    elif dialect == "anthropic":
        is_right = isinstance(error, dict) and {"type", "message"} <= set(error)
    else:
        is_right = isinstance(error, dict) and {"code", "message", "hint"} <= set(error)
    return "" if is_right else f"{status} in another dialect {body[:200]!r}"

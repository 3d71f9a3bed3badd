"""Results as MCP clients get them: as data, and as a text that a model reads.

A text says what in it is quoted, and that quotes are no instructions: documents may hold any words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from ondol.errors import (
    CollectionNotFoundError,
    DocumentNotFoundError,
    ModelNotFoundError,
    OndolError,
    ToolRefusedError,
    UsageError,
)
from ondol.i18n import t
from ondol.role_marks import harmless
from ondol.types import Hit, Quote

SCHEME = "ondol://documents/"
_OWN_BUSINESS = (
    UsageError,
    ToolRefusedError,
    CollectionNotFoundError,
    DocumentNotFoundError,
    ModelNotFoundError,
)


def told(error: Exception) -> str:
    """What a client is told of ``error``: of what is no business of its own only the code, for
    messages name files."""
    if isinstance(error, _OWN_BUSINESS):
        return f"{error.message} {error.hint}".strip()
    return t("mcp.failed", code=error.code if isinstance(error, OndolError) else "internal_error")


def uri_of(source: str) -> str:
    """What a document is called outside: it tells nothing of where it is."""
    return f"{SCHEME}{hashlib.sha256(source.encode()).hexdigest()[:32]}"


def name_of(source: str) -> str:
    """The last part of a path."""
    return PurePosixPath(source).name or "document"


def passage_of(hit: Hit) -> dict[str, Any]:
    chunk = hit.chunk
    return {
        "text": chunk.text,
        "source": name_of(chunk.source),
        "page": chunk.page,
        "heading": chunk.heading,
        "collection": chunk.collection,
        "uri": uri_of(chunk.source),
    }


def quote_of(quote: Quote) -> dict[str, Any]:
    return {
        "number": quote.number,
        "text": quote.text,
        "source": name_of(quote.source),
        "page": quote.page,
        "uri": uri_of(quote.source),
    }


def size_of(data: object) -> int:
    """Bytes of a result as JSON."""
    return len(json.dumps(data, ensure_ascii=False).encode())


def as_text(tool: str, data: Mapping[str, Any]) -> str:
    """The result of ``tool`` for a model to read."""
    if tool == "list_collections":
        return _collections(data)
    if tool == "remember":
        return t("mcp.remembered")
    lines = _answer(data) if tool == "ask" else _passages(data)
    if data["private_passages"]:
        lines.append(t("mcp.private", count=data["private_passages"]))
    if data["kept_back"]:
        lines.append(t("mcp.kept_back", count=data["kept_back"]))
    return "\n\n".join(lines)


def _collections(data: Mapping[str, Any]) -> str:
    found = data["collections"]
    if not found:
        return t("mcp.nothing_allowed")
    return "\n".join(
        t("mcp.collection", name=one["name"], documents=one["documents"])
        + (" " + t("mcp.private", count=one["private_passages"]) if one["private_passages"] else "")
        for one in found
    )


def _passages(data: Mapping[str, Any]) -> list[str]:
    if not data["passages"]:
        return [t("mcp.nothing_found")]
    return [
        t("mcp.quotes_follow"),
        *(_quoted(number, one) for number, one in enumerate(data["passages"], 1)),
    ]


def _answer(data: Mapping[str, Any]) -> list[str]:
    lines = [data["answer"]] if data["answer"] else [t("mcp.no_answer")]
    if data["confidence"] is not None:
        lines.append(t("mcp.confidence", percent=round(data["confidence"] * 100)))
    if data["quotes"]:
        lines += [t("mcp.quotes_follow"), *(_quoted(one["number"], one) for one in data["quotes"])]
    return lines


def _quoted(number: int, one: Mapping[str, Any]) -> str:
    place = t("mcp.page", name=one["source"], page=one["page"]) if one["page"] else one["source"]
    said = "\n".join(f"> {line}" for line in harmless(str(one["text"])).splitlines())
    return f"[{number}] {place}\n{said}"

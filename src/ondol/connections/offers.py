"""What MCP servers say of their tools, and what their tools say: nobody's words but theirs.

A description is read by a model, so it is as good as a prompt. It gets a length and loses what
nobody sees (controls, letters that turn the order around, tags in which other text can be hidden);
names are prefixed with the server's, so that none is taken for another's.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ondol.connections.servers import SEPARATOR
from ondol.role_marks import harmless
from ondol.types import Tool

MOST_TOOLS = 64
LONGEST_DESCRIPTION = 1024
LARGEST_SCHEMA_BYTES = 16_384
DEEPEST_SCHEMA = 12
LONGEST_RESULT = 16_000

_TOOL = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool of ``server``, there called ``name``; a model gets it as ``tool``. ``digest`` is the
    SHA-256 of all that the server said of it."""

    server: str
    name: str
    tool: Tool
    digest: str


def offers_of(server: str, listed: Iterable[Mapping[str, Any]]) -> tuple[list[Offer], list[str]]:
    """The tools that ``listed`` (as in a ``tools/list`` result) names and a model can be given, and
    the names of those that it cannot."""
    found: dict[str, Offer] = {}
    left_out: list[str] = []
    for raw in listed:
        name = str(raw.get("name", ""))
        schema = raw.get("inputSchema") or {}
        full = f"{server}{SEPARATOR}{name}"
        fits = _TOOL.fullmatch(name) and len(full) <= _LONGEST_NAME and _is_schema(schema)
        if not fits or name in found or len(found) >= MOST_TOOLS:
            left_out.append(visible(name)[:80])
            continue
        said = _read(str(raw.get("description") or ""))
        tool = Tool(full, said, _cleaned(schema))
        found[name] = Offer(server, name, tool, digest_of(raw))
    return list(found.values()), left_out


def digest_of(raw: Mapping[str, Any]) -> str:
    """The digest of everything that a server says of a tool."""
    whole = json.dumps(raw, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(whole.encode()).hexdigest()


def visible(text: str) -> str:
    """``text`` without the characters that nobody sees; line feeds and tabs stay."""
    return "".join(
        letter
        for letter in text
        if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )


def result_text(content: Sequence[Mapping[str, Any]], structured: Any) -> str:
    """What a tool gave, as a model reads it; what is no text is only named."""
    parts = []
    for block in content:
        if block.get("type") == "text":
            parts.append(str(block.get("text", "")))
        elif isinstance(block.get("resource"), Mapping) and "text" in block["resource"]:
            parts.append(str(block["resource"]["text"]))
        else:
            parts.append(f"[{block.get('type', 'content')}]")
    text = "\n".join(parts)
    if not text.strip() and structured is not None:
        text = json.dumps(structured, ensure_ascii=False, default=str)
    text = visible(text)
    if len(text) > LONGEST_RESULT:
        return f"{text[:LONGEST_RESULT]}\n[…{len(text) - LONGEST_RESULT} more characters]"
    return text


def _is_schema(schema: Any) -> bool:
    if not isinstance(schema, Mapping) or schema.get("type", "object") != "object":
        return False
    try:
        return len(json.dumps(schema)) <= LARGEST_SCHEMA_BYTES and _depth(schema) <= DEEPEST_SCHEMA
    except (TypeError, ValueError, RecursionError):
        return False


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | list):
        return 0
    return 1 + max(map(_depth, inner), default=0)


def _read(text: str) -> str:
    """``text`` as a model reads it: it opens nobody's turn."""
    return harmless(visible(text))[:LONGEST_DESCRIPTION]


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _read(value)
    if isinstance(value, Mapping):
        return {_read(str(key)): _cleaned(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    return value

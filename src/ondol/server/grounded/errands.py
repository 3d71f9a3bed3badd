"""What a chat program asks for itself beside what its user asks: a title, tags, follow-ups.

Knows how such requests of Open WebUI's and Continue's begin, and that Open WebUI says in words
which JSON it wants. A small model does not hold to words, or never ends: under a made name it gives
that JSON and no more. A file that was attached there comes in the same form, for a model to read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ondol.types import GenerateOptions

_BEGIN = re.compile(r"\s*(?:### Task:|Given the following\b.{0,80}\bplease reply with a title)")
_SHAPE = re.compile(r"\bJSON format:\s*`?(\{[^{}]*\})")
_FILE = "\n<context>\n"

# Characters that a field's text may have. They bound a title that would go on for pages.
_LONGEST = {"title": 60, "tags": 30, "text": 200, "prompt": 600}
_LONGEST_OTHER = 160
_MOST_TOKENS = 256


def is_errand(text: str) -> bool:
    """Whether a program asks ``text`` for itself, or with a file that its user gave it."""
    return _BEGIN.match(text) is not None


def ordered(text: str, options: GenerateOptions) -> GenerateOptions:
    """``options`` for the errand ``text``: its JSON, and none of the program's tools, which the
    model would read for minutes. A request that says itself what it wants is left with that."""
    if options.tool_choice == "required":
        return options
    options = replace(options, tools=(), tool_choice="auto")
    if options.json_schema is not None or _FILE in text:
        return options
    shape = _schema(text)
    if shape is not None:
        return replace(options, json_schema=shape)
    return replace(options, max_tokens=min(options.max_tokens or _MOST_TOKENS, _MOST_TOKENS))


def _schema(text: str) -> Mapping[str, Any] | None:
    """The JSON that ``text`` gives an example of: an object of texts and lists of texts."""
    found = _SHAPE.search(text)
    if found is None:
        return None
    try:
        example = json.loads(found[1])
    except ValueError:
        return None
    return {
        "type": "object",
        "properties": {name: _field(name, value) for name, value in example.items()},
        "required": list(example),
        "additionalProperties": False,
    }


def _field(name: str, example: object) -> Mapping[str, Any]:
    said = {"type": "string", "minLength": 1, "maxLength": _LONGEST.get(name, _LONGEST_OTHER)}
    return (
        {"type": "array", "items": said, "maxItems": len(example)}
        if isinstance(example, list)
        else said
    )

"""What a chat program asks for itself beside what its user asks: a title, tags, follow-ups.

Knows how such requests of Open WebUI's and Continue's begin, and that Open WebUI says in words
which JSON it wants. A small model does not hold to words, or never ends: under a made name a title
is held to its JSON, and the rest is short. A file that was attached there comes in the same form.
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

# Characters that a field may have: they bound a title that would go on for pages.
_LONGEST = {"title": 60, "text": 200}
_LONGEST_OTHER = 600
_MOST_TOKENS = 400


def is_errand(text: str) -> bool:
    """Whether a program asks ``text`` for itself, or with a file that its user gave it."""
    return _BEGIN.match(text) is not None


def ordered(text: str, options: GenerateOptions) -> GenerateOptions:
    """``options`` for the errand ``text``: without the program's tools, which the model would read
    for minutes. A request that says itself which JSON it wants is left with that."""
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
    """The JSON that ``text`` gives an example of, if that is an object of texts. Lists are left to
    the model: one that cannot make them shows nothing then, held to them it would show junk."""
    found = _SHAPE.search(text)
    try:
        example = json.loads(found[1]) if found else {}
    except ValueError:
        return None
    if not example or not all(isinstance(value, str) for value in example.values()):
        return None
    said = {
        name: {"type": "string", "minLength": 1, "maxLength": _LONGEST.get(name, _LONGEST_OTHER)}
        for name in example
    }
    return {
        "type": "object",
        "properties": said,
        "required": list(said),
        "additionalProperties": False,
    }

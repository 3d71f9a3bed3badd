"""What a model proposes to remember of a conversation. It is given what the owner said and nothing
else, and of what it says only that is taken which the owner's own words say: a suggestion still,
for which a yes is needed.

Knows no engine: ``generate`` is one. Raises what that raises.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from ondol.memory import wording
from ondol.memory.records import LONGEST_LETTERS
from ondol.memory.saying import Said, kind_of
from ondol.role_marks import harmless
from ondol.types import GenerateOptions, Message

Generate = Callable[[Sequence[Message], GenerateOptions], str]

MOST = 5
LONGEST_READ = 4000
INSTRUCTIONS = (
    "Here is what a person wrote in a chat. Write down what is worth remembering about the person"
    " for later chats: lasting facts about them, and how they want to be answered. Use the person's"
    " own words, one short sentence each, at most five. Nothing about the topic of the chat, and"
    " nothing that the person did not say. If there is nothing, write an empty list."
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "memories": {
            "type": "array",
            "maxItems": MOST,
            "items": {"type": "string", "maxLength": 300},
        }
    },
    "required": ["memories"],
    "additionalProperties": False,
}
# Of a proposal's words so many have to be the owner's: what else there is are "I", "is", "user".
OWN_WORDS = 0.7


def propose(said: Sequence[str], generate: Generate) -> list[Said]:
    """What a model finds in what the owner ``said``, the latest of it if it is long."""
    read = "\n".join(f"- {harmless(' '.join(text.split()))}" for text in said)[-LONGEST_READ:]
    if not read:
        return []
    messages = [Message("system", INSTRUCTIONS), Message("user", read)]
    options = GenerateOptions(max_tokens=400, temperature=0, json_schema=SCHEMA)
    try:
        found = json.loads(generate(messages, options))["memories"]
    except (ValueError, KeyError, TypeError):
        # Cut off, or no model that keeps to a schema.
        return []
    texts = [one.strip() for one in found if isinstance(one, str)]
    return [Said(text, kind_of(text)) for text in texts if _is_theirs(text, said)][:MOST]


def _is_theirs(text: str, said: Sequence[str]) -> bool:
    """Whether one message of the owner's has the words of ``text``."""
    words = _words(text)
    if not words or len(text) > LONGEST_LETTERS or "?" in text:
        return False
    return any(len(words & _words(one)) >= OWN_WORDS * len(words) for one in said)


def _words(text: str) -> set[str]:
    plain = "".join(c if c.isalnum() else " " for c in wording.plain(text)).split()
    return {w if w.isascii() else w[:2] for w in plain} - _SMALL


_SMALL = frozenset("the a an i my me you your user person is are am to of in and that they".split())

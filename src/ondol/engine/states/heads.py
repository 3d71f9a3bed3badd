"""What a chat begins with, by which a saved state is found: its system message and its tools.

Pure. Called for every chat that a model is asked to go on with.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ondol.chat_dialect import messages_body, tools_body
from ondol.types import GenerateOptions, Message


@dataclass(frozen=True, slots=True)
class Head:
    """What a chat begins with, whatever is said in it: ``said`` tells it from others, ``opening``
    are its messages."""

    said: str
    opening: tuple[Message, ...]


def head_of(messages: Sequence[Message], options: GenerateOptions) -> Head | None:
    """The system message and tools of a chat; None without, with images, or if nothing is kept."""
    opening = tuple(messages[:1]) if messages and messages[0].role == "system" else ()
    tools = options.tools if options.tool_choice != "none" else ()
    if options.keeps_nothing or not (opening or tools) or any(m.images for m in messages):
        return None
    ways = [options.think, options.tool_choice, options.json_schema is not None]
    said = [tools_body(tools), ways, messages_body(opening)]
    return Head(json.dumps(said, ensure_ascii=False), opening)

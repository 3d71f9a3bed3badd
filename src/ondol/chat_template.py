"""What a chat template can do, read from its Jinja source; the template is never run here.

Families differ in how they write calls and thoughts; these are the signs that their published
templates share. Pure functions; a template without any sign is a plain one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

ToolStyle = Literal["", "tagged", "other"]

# A Jinja expression or statement that names the variable, not a word of the text around it.
_TOOLS = re.compile(r"\{[%{][^%}]*(?<![\w.'\"])tools\b(?!['\"])")
_TAGGED = re.compile(r"<tool_call>.{0,40}?\{\s*\\?[\"']name\\?[\"']", re.S)
_SHORT_IDS = re.compile(r"\|\s*length\s*!=\s*9\b|with length 9\b")
_SWITCH = re.compile(r"\b(enable_thinking|thinking|reasoning_effort|thinking_budget)\b")


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """``tools`` is how the family calls: "tagged" is ``<tool_call>{"name": …, "arguments": …}``
    (Hermes, Qwen 2.5 and 3), "other" is any other way, "" is none. ``thinks``: it knows thoughts;
    ``tags_thoughts``: they stand between ``<think>`` and ``</think>``; ``efforts``: how much can be
    asked for; ``switches``: it thinks unless it is told not to. ``short_ids``: calls have ids of
    nine characters (Mistral)."""

    tools: ToolStyle = ""
    thinks: bool = False
    tags_thoughts: bool = False
    efforts: bool = False
    switches: bool = False
    short_ids: bool = False


def read(source: str) -> ChatTemplate:
    """What the template ``source`` can do."""
    tags = "<think>" in source
    thinks = tags or _SWITCH.search(source) is not None
    efforts = "reasoning_effort" in source
    switches, short_ids = "enable_thinking" in source, _SHORT_IDS.search(source) is not None
    return ChatTemplate(_style(source), thinks, tags, efforts, switches, short_ids)


def _style(source: str) -> ToolStyle:
    if not _TOOLS.search(source):
        return ""
    otherwise = "<function=" in source or "<arg_key>" in source
    return "tagged" if _TAGGED.search(source) and not otherwise else "other"

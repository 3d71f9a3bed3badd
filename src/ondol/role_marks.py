"""The marks by which chat templates say who speaks, taken out of texts that nobody in the
conversation wrote: quotes from documents, what tools answer.

llama.cpp reads a prompt with its marks as one text, so that ``<|im_start|>system`` in a document
would open the owner's own turn. Knows the shapes that families use, not one model's vocabulary.
"""

from __future__ import annotations

import re

_MARKS = re.compile(
    r"""
    <\|[^|<>\s]{1,60}\|>              # <|im_start|>, <|eot_id|>, <|vision_start|>
    | <[|｜][^<>]{1,60}[|｜]>         # <｜User｜>, <｜tool▁calls▁begin｜>
    | <\|[a-z_]{1,30}>                # <|turn>, Gemma 4
    | <[a-z_]{1,30}\|>
    | <(?:start|end)_of_(?:turn|image|audio)>
    | </?s> | <(?:bos|eos|pad|unk|mask|image|audio|video)>
    | <__media__>                     # where llama.cpp puts a picture in
    | \[/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT|TOOL_CONTENT)\]
    | <</?SYS>>
    | </?(?:think|tools|tool_call|tool_calls|tool_response)>
    """,
    re.VERBOSE | re.IGNORECASE,
)


def harmless(text: str) -> str:
    """``text``, with a space in each mark: a person reads the same, a template's mark it is not."""
    return _MARKS.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)

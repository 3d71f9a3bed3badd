"""Samples as JSON lines that trainers read, and that ``importing`` reads again.

Chats for SFT, ``chosen`` and ``rejected`` (DPO), ``completion`` and ``label`` (KTO), each with its
conversation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ondol.samples.records import Sample


def lines(samples: Iterable[Sample]) -> Iterator[str]:
    """One line of JSON for each."""
    for one in samples:
        yield json.dumps(_row(one), ensure_ascii=False) + "\n"


def _row(one: Sample) -> dict[str, Any]:
    prompt = [{"role": m.role, "content": m.content} for m in one.messages]
    reply = {"role": "assistant", "content": one.reply}
    said: dict[str, Any]
    if one.kind == "preference":
        rejected = {"role": "assistant", "content": one.rejected}
        said = {"prompt": prompt, "chosen": [reply], "rejected": [rejected]}
    elif one.kind == "thumb":
        said = {"prompt": prompt, "completion": [reply], "label": one.is_desirable}
    else:
        # Only what was said to be right: the replies before it are no samples of their own.
        before = [{**turn, "weight": 0} if turn["role"] == "assistant" else turn for turn in prompt]
        said = {"messages": [*before, reply]}
    return {**said, "conversation": one.conversation, "is_held_out": one.is_held_out}

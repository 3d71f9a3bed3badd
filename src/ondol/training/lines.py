"""What is learned from as JSON lines: examples, pairs and thumbs, each under its task."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from ondol.training.dataset import Example
from ondol.training.preference import Pair, Thumb
from ondol.types import Message

Task = Literal["sft", "dpo", "kto"]
Item = Example | Pair | Thumb

KINDS: dict[Task, type[Item]] = {"sft": Example, "dpo": Pair, "kto": Thumb}


def to_lines(items: Sequence[Item]) -> str:
    """``items``, a line each; their fields' names are the keys."""
    return "".join(json.dumps(_fields(item), ensure_ascii=False) + "\n" for item in items)


def _fields(item: Item) -> dict[str, Any]:
    messages = [{"role": one.role, "content": one.content} for one in item.messages]
    return {field.name: getattr(item, field.name) for field in fields(item)} | {
        "messages": messages
    }


def from_lines(file: Path, task: Task = "sft") -> list[Any]:
    """What ``to_lines`` wrote into ``file`` for ``task``."""
    return _items(file.read_text("utf-8"), task)


def examples_of(text: str) -> list[Example]:
    """What ``to_lines`` made of examples."""
    return _items(text, "sft")


def _items(text: str, task: Task) -> list[Any]:
    items: list[Item] = []
    # Not splitlines: it also splits at characters that may stand inside a JSON string.
    for line in filter(None, text.split("\n")):
        read = json.loads(line)
        read["messages"] = tuple(Message(m["role"], m["content"]) for m in read["messages"])
        items.append(KINDS[task](**read))
    return items

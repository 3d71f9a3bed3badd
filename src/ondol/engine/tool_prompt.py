"""Tools told to a model whose chat template has no words for them.

They stand in the system message, always in the same words, so that the prompt's beginning stays
the same whatever may be called; earlier calls and their results become text of the other turns.
The format is that of Hermes and Qwen, which other small models have also met in their training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from ondol.role_marks import harmless
from ondol.types import Message, Tool

OPEN, CLOSE = "<tool_call>", "</tool_call>"

_INTRODUCTION = """\
You can use these tools:
{tools}

To use a tool, answer with its name and its arguments as JSON, like this:
<tool_call>
{{"name": "tool_name", "arguments": {{"argument": "value"}}}}
</tool_call>
The result comes back within <tool_response>. Where no tool helps, answer in plain words."""

_CHOICE = """\
Answer with one JSON object: {"tool_calls": [{"name": …, "arguments": …}]} to use tools, or \
{"answer": …} with the answer itself."""


def told(messages: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
    """``messages`` as a plain conversation, with ``tools`` in its system message."""
    plain: list[Message] = []
    for message in messages:
        if message.role == "tool":
            _join(plain, _result(message))
        elif message.tool_calls:
            plain.append(Message("assistant", _with_calls(message), images=message.images))
        else:
            plain.append(message)
    if not tools:
        return plain
    text = _INTRODUCTION.format(tools="\n".join(_described(tool) for tool in tools))
    return _with_system(plain, text)


def choosing(messages: Sequence[Message]) -> list[Message]:
    """``messages`` that also say how to choose between a call and an answer in JSON."""
    return _with_system(messages, _CHOICE)


def _with_system(messages: Sequence[Message], text: str) -> list[Message]:
    if messages and messages[0].role == "system":
        first = replace(messages[0], content=f"{messages[0].content}\n\n{text}")
        return [first, *messages[1:]]
    return [Message("system", text), *messages]


def _described(tool: Tool) -> str:
    about: dict[str, object] = {"name": tool.name}
    if tool.description:
        about["description"] = tool.description
    about["parameters"] = tool.parameters
    return json.dumps(about, ensure_ascii=False)


def _with_calls(message: Message) -> str:
    calls = "\n".join(f"{OPEN}\n{written(call)}\n{CLOSE}" for call in message.tool_calls)
    return f"{message.content}\n{calls}" if message.content else calls


class Written(Protocol):
    """A call, by whoever made it."""

    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> str: ...


def written(call: Written) -> str:
    """A call as a model writes it, without its marks."""
    return f'{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}'


def _result(message: Message) -> Message:
    said = f"<tool_response>\n{harmless(message.content)}\n</tool_response>"
    return Message("user", said, images=message.images)


def _join(plain: list[Message], result: Message) -> None:
    """Results that follow each other are one turn: many templates want users and assistants to
    take turns."""
    last = plain[-1] if plain else None
    if last is not None and last.role == "user" and last.content.endswith("</tool_response>"):
        images = (*last.images, *result.images)
        plain[-1] = replace(last, content=f"{last.content}\n{result.content}", images=images)
    else:
        plain.append(result)

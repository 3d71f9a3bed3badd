"""Items of a conversation in ``/v1/responses``: as clients send them, as they are kept and listed,
and as messages for the engine.

Kept items are whole: each has an id, a status and its content as a list of parts. Reasoning that
is sent back is left out. Raises ``UsageError`` naming the item.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.server.calling import arguments_text
from ondol.server.generation import role_of
from ondol.server.openai.images import image
from ondol.server.responses.tools import as_function, full_name
from ondol.types import Message, ToolCall

Item = dict[str, Any]
Find = Callable[[str], Item | None]

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}
_CALLS = ("function_call", "custom_tool_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_TEXTS = ("input_text", "output_text", "text", "refusal")


def new_id(kind: str) -> str:
    """The id of a new item."""
    return f"{_PREFIXES[kind]}_{secrets.token_hex(16)}"


def items_of(given: str | Sequence[Item] | None, find: Find) -> list[Item]:
    """What a request sends, whole; ``find`` looks up an item that is referred to."""
    if given is None:
        raise UsageError(t("server.field_required", field="input"), param="input")
    if isinstance(given, str):
        return [_message({"role": "user", "content": given}, "input")]
    return [item for place, one in enumerate(given) for item in _read(one, f"input[{place}]", find)]


def messages_of(instructions: str | None, items: Sequence[Item]) -> list[Message]:
    """The conversation as the engine takes it. What a system says before anybody else is one
    message: many templates take no more."""
    found: list[Message] = []
    names: dict[str, str] = {}
    for item in items:
        kind = item["type"]
        if kind in _CALLS:
            call = _call(item)
            names[call.id] = call.name
            found = _with_call(found, call)
        elif kind in _OUTPUTS:
            id = item["call_id"]
            if id not in names:
                raise UsageError(t("responses.no_call", id=id[:80]), param="input")
            text, images = _content(item["output"], "input")
            found.append(Message("tool", text, tool_call_id=id, tool_name=names[id], images=images))
        elif kind == "message":
            text, images = _content(item["content"], "input")
            found.append(Message(role_of(item["role"], "input"), text, images=images))
    return _with_instructions(instructions, found)


def _read(given: Item, param: str, find: Find) -> Iterator[Item]:
    kind = given.get("type")
    if kind is None:
        kind = "message" if "role" in given else "item_reference"
    if kind == "message":
        yield _message(given, param)
    elif kind in _CALLS:
        yield _called(given, kind, param)
    elif kind in _OUTPUTS:
        yield _output(given, kind, param)
    elif kind == "item_reference":
        id = str(given.get("id", ""))
        found = find(id)
        if found is None:
            raise UsageError(t("responses.no_item", id=id[:80]), param=param)
        if found["type"] != "reasoning":
            yield found
    elif kind != "reasoning":
        raise UsageError(t("responses.bad_item", type=str(kind)[:40]), param=param)


def _message(given: Item, param: str) -> Item:
    role, content = given.get("role"), given.get("content")
    if not isinstance(role, str) or role not in ("user", "assistant", "system", "developer"):
        raise UsageError(t("responses.bad_role"), param=param)
    listed = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
    if not isinstance(listed, list):
        raise UsageError(t("responses.bad_content"), param=param)
    parts = [_part(part, role == "assistant", param) for part in listed]
    return {
        "type": "message",
        "id": _id(given, "message"),
        "status": "completed",
        "role": role,
        "content": parts,
    }


def _part(part: Any, is_output: bool, param: str) -> Item:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in _TEXTS:
        text = part.get("refusal" if kind == "refusal" else "text")
        if not isinstance(text, str):
            raise UsageError(t("responses.bad_content"), param=param)
        if is_output:
            return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        return {"type": "input_text", "text": text}
    if kind == "input_image" and not is_output:
        url = part.get("image_url")
        if not isinstance(url, str):
            raise UsageError(t("responses.image_by_id"), param=param)
        image(url, param)
        return {"type": "input_image", "image_url": url, "detail": "auto"}
    raise UsageError(t("server.bad_part", type=str(kind)[:40]), param=param)


def _called(given: Item, kind: str, param: str) -> Item:
    name, call_id = given.get("name"), given.get("call_id")
    if not (isinstance(name, str) and name and isinstance(call_id, str) and call_id):
        raise UsageError(t("responses.bad_call"), param=param)
    item = {"type": kind, "id": _id(given, kind), "call_id": call_id, "name": name}
    if isinstance(given.get("namespace"), str):
        item["namespace"] = given["namespace"]
    if kind == "custom_tool_call":
        item["input"] = str(given.get("input", ""))
        return item
    return item | {
        "arguments": arguments_text(given.get("arguments"), param),
        "status": "completed",
    }


def _output(given: Item, kind: str, param: str) -> Item:
    call_id, output = given.get("call_id"), given.get("output")
    if not (isinstance(call_id, str) and call_id):
        raise UsageError(t("responses.bad_output"), param=param)
    if isinstance(output, list):
        output = [_part(part, False, param) for part in output]
    elif not isinstance(output, str):
        raise UsageError(t("responses.bad_output"), param=param)
    return {
        "type": kind,
        "id": _id(given, kind),
        "call_id": call_id,
        "output": output,
        "status": "completed",
    }


def _id(given: Mapping[str, Any], kind: str) -> str:
    id = given.get("id")
    return id if isinstance(id, str) and 0 < len(id) <= 128 else new_id(kind)


def _call(item: Item) -> ToolCall:
    name = full_name(item["name"], item.get("namespace", ""))
    if item["type"] == "custom_tool_call":
        return as_function(item["call_id"], name, item["input"])
    return ToolCall(item["call_id"], name, item["arguments"])


def _with_call(messages: list[Message], call: ToolCall) -> list[Message]:
    """``messages`` with ``call`` in the assistant's turn, which its text may have begun."""
    last = messages[-1] if messages else None
    if last is None or last.role != "assistant":
        return [*messages, Message("assistant", "", tool_calls=(call,))]
    return [
        *messages[:-1],
        Message("assistant", last.content, tool_calls=(*last.tool_calls, call)),
    ]


def _content(content: str | Sequence[Item], param: str) -> tuple[str, tuple[bytes, ...]]:
    if isinstance(content, str):
        return content, ()
    texts = [part["text"] for part in content if part["type"] != "input_image"]
    images = [image(p["image_url"], param) for p in content if p["type"] == "input_image"]
    return "\n".join(texts), tuple(images)


def _with_instructions(instructions: str | None, messages: list[Message]) -> list[Message]:
    count = next((n for n, m in enumerate(messages) if m.role != "system"), len(messages))
    said = [instructions or "", *(message.content for message in messages[:count])]
    told = "\n\n".join(text for text in said if text)
    rest = messages[count:]
    return [Message("system", told), *rest] if told else rest

"""What OpenAI's chat dialect looks like on the wire, for whoever speaks it: the engine to models,
a device to its home. Pure functions; opens no connection.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.role_marks import harmless
from ondol.types import Alternative, FinishReason, GenerateOptions, Message, Tool, ToolCall

_IMAGES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/bmp": b"BM",
}


class LineTooLong(ValueError):
    """A line that no answer has."""


def sendable(text: str) -> str:
    """``text`` with every lone surrogate (half a character, from a file name or a sloppy client)
    replaced by ``?``: it has no UTF-8."""
    return text.encode(errors="replace").decode()


def messages_body(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """A conversation as JSON, with its calls, their results and images."""
    return [_message(message) for message in messages]


def _message(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role, "content": sendable(message.content)}
    if message.images:
        words = [{"type": "text", "text": body["content"]}] if message.content else []
        body["content"] = [*words, *map(_image, message.images)]
    if message.tool_calls:
        body["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.reasoning:
        body["reasoning_content"] = sendable(message.reasoning)
    if message.role == "tool":
        body["content"] = harmless(str(body["content"]))
        named = {"tool_call_id": message.tool_call_id, "name": message.tool_name}
        body |= {name: sendable(value) for name, value in named.items() if value}
    return body


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": sendable(call.name), "arguments": sendable(call.arguments)}
    return {"id": sendable(call.id), "type": "function", "function": function}


def _image(image: bytes) -> dict[str, Any]:
    data = base64.b64encode(image).decode()
    url = f"data:{image_type(image) or 'application/octet-stream'};base64,{data}"
    return {"type": "image_url", "image_url": {"url": url}}


def tools_body(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Tools as JSON."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": sendable(tool.description),
                "parameters": {"type": "object", "properties": {}, **tool.parameters},
            },
        }
        for tool in tools
    ]


def image_type(image: bytes) -> str | None:
    """The media type of an image file, by its first bytes; ``None`` for any other file."""
    for media_type, start in _IMAGES.items():
        if image.startswith(start):
            return media_type
    return "image/webp" if image[:4] == b"RIFF" and image[8:12] == b"WEBP" else None


def options_body(options: GenerateOptions, names: Sequence[str]) -> dict[str, Any]:
    """A streamed request without its messages: those ``names`` of ``options`` that are given, what
    ends the answer, and the schema that it follows. Raises ``UsageError`` for what is no number."""
    body: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    body |= sampled(options, names)
    if options.stop:
        body["stop"] = [sendable(stop) for stop in options.stop]
    if options.json_schema is not None:
        schema = {"name": "answer", "schema": dict(options.json_schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if options.tools and options.tool_choice != "none":
        body["tools"] = tools_body(options.tools)
        body["tool_choice"] = options.tool_choice
        body["parallel_tool_calls"] = options.parallel_tool_calls
    return body


def sampled(options: GenerateOptions, names: Sequence[str]) -> dict[str, Any]:
    """Those ``names`` of ``options`` that are given; ``UsageError`` for what is no number."""
    given = {name: getattr(options, name) for name in names}
    return {name: finite(name, value) for name, value in given.items() if value is not None}


def finite(name: str, value: float) -> float:
    """``value`` of the option ``name``, which JSON has a number for."""
    if not math.isfinite(value):
        raise UsageError(t("engine.not_finite", option=name, value=value), param=name)
    return value


def lines(parts: Iterable[bytes], longest_bytes: int) -> Generator[bytes]:
    """The lines of an event stream. Raises ``LineTooLong``."""
    # Not iter_lines(): it also breaks at U+2028 and U+0085, which are legal inside JSON strings.
    rest = b""
    for part in parts:
        *found, rest = (rest + part).split(b"\n")
        if len(rest) > longest_bytes:
            raise LineTooLong
        for line in found:
            yield line.removesuffix(b"\r")
    if rest:
        yield rest


def finish_reason(choice: Mapping[str, Any]) -> FinishReason | None:
    """Why an answer ended; ``None`` as long as it has not."""
    reason = choice.get("finish_reason")
    if not reason:
        return None
    if reason in ("tool_calls", "function_call"):
        return "tool_calls"
    return "length" if reason == "length" else "stop"


def steps(
    logprobs: Mapping[str, Any], most: int | None = None
) -> list[tuple[str, float, tuple[Alternative, ...]]]:
    """Each token's text, its logprob and ``most`` of its alternatives (all of them)."""
    return [
        (
            str(entry["token"]),
            float(entry["logprob"]),
            tuple(
                Alternative(a["token"], a["logprob"])
                for a in (entry.get("top_logprobs") or [])[:most]
            ),
        )
        for entry in logprobs.get("content") or []
    ]

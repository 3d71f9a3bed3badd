"""What Ollama's clients send to chat and generate, and what that means to an engine.

The fields that are read; all others are accepted and ignored (api/types.go of ollama/ollama).
Raises ``UsageError`` naming the field.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.server.body import Flag, Lenient
from ondol.server.calling import arguments_text, name_in, tools_of
from ondol.server.generation import (
    Count,
    Real,
    Stop,
    alternatives,
    limit_of,
    role_of,
    seed_of,
    stops,
)
from ondol.types import GenerateOptions, Message, ToolCall

KeepAlive = float | str | None
# One of the two is needed, which only the document has to be told: we say it in Ollama's words.
NAME: JsonDict = {"type": "string", "pattern": r"\S"}
NAMED: JsonDict = {"required": ["model"], "properties": {"model": NAME}}
OLD_NAMED: JsonDict = {"required": ["name"], "properties": {"name": NAME}}
THINKING_LEVELS = ("low", "medium", "high", "max")


class Options(Lenient):
    """Everything else that Ollama ever had is accepted and ignored."""

    num_ctx: Annotated[int, Field(ge=0, le=1_048_576)] | None = None
    num_predict: Count | None = None
    temperature: Real | None = None
    top_k: Count | None = None
    top_p: Real | None = None
    min_p: Real | None = None
    typical_p: Real | None = None
    repeat_last_n: Count | None = None
    repeat_penalty: Real | None = None
    presence_penalty: Real | None = None
    frequency_penalty: Real | None = None
    seed: int | None = None
    stop: Stop = None


class ModelRequest(Lenient):
    """``name`` is what old clients write."""

    model_config = ConfigDict(
        **Lenient.model_config, json_schema_extra={"anyOf": [NAMED, OLD_NAMED]}
    )

    model: str | None = None
    name: str | None = None

    @property
    def asked(self) -> str:
        return self.model or self.name or ""


class GenerationRequest(ModelRequest):
    """``truncate`` false: a prompt that is too long is an error. ``shift`` is accepted: an answer
    that fills the context ends there either way, with the reason "length"."""

    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    options: Options | None = None
    keep_alive: KeepAlive = None
    think: bool | str | None = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: Flag = False
    top_logprobs: int | None = None
    ondol: Flag = False
    wanted: Literal["auto", "here", "home"] = "auto"


class ChatMessage(Lenient):
    """``name`` is how some clients write ``tool_name``."""

    role: str = ""
    content: str | None = None
    thinking: str | None = None
    images: list[Any] | None = None
    tool_calls: list[Any] | None = None
    tool_name: str | None = None
    name: str | None = None
    tool_call_id: str | None = None


class ChatRequest(GenerationRequest):
    messages: list[ChatMessage] | None = None
    tools: list[Any] | None = None


class GenerateRequest(GenerationRequest):
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    raw: Flag = False
    images: list[Any] | None = None
    context: list[int] | None = None


def options_of(body: GenerationRequest) -> GenerateOptions:
    """How ``body`` wants to be answered, its tools too."""
    o = body.options or Options()
    return GenerateOptions(
        max_tokens=limit_of(o.num_predict),
        temperature=o.temperature,
        top_k=o.top_k,
        top_p=o.top_p,
        min_p=o.min_p,
        typical_p=o.typical_p,
        repeat_penalty=o.repeat_penalty,
        repeat_last_n=o.repeat_last_n,
        presence_penalty=o.presence_penalty,
        frequency_penalty=o.frequency_penalty,
        seed=seed_of(o.seed),
        stop=stops(o.stop),
        json_schema=_schema(body.format),
        logprobs=alternatives(body.logprobs, body.top_logprobs),
        tools=tools_of(body.tools) if isinstance(body, ChatRequest) else (),
        think=think_of(body.think),
    )


def _schema(wanted: str | dict[str, Any] | None) -> dict[str, Any] | None:
    if isinstance(wanted, dict):
        return wanted
    if wanted == "json":
        return {"type": "object"}
    if wanted:
        raise UsageError(t("server.bad_format", format=wanted[:40]), param="format")
    return None


def think_of(wanted: bool | str | None) -> bool | str | None:
    """Whether, or how much, to think."""
    if isinstance(wanted, str) and wanted not in THINKING_LEVELS:
        raise UsageError(t("server.bad_think", think=wanted[:40]), param="think")
    return wanted


def turns_of(given: Sequence[ChatMessage]) -> list[Message]:
    """A conversation. A tool's result that names no call belongs to the first one of its tool that
    has none, in the latest turn that has such a call."""
    messages: list[Message] = []
    for index, one in enumerate(given):
        param = f"messages[{index}]"
        role = role_of(one.role.lower())
        tool = (one.tool_name or one.name or "") if role == "tool" else ""
        messages.append(
            Message(
                role,
                one.content or "",
                tool_calls=_calls(one.tool_calls or (), index) if role == "assistant" else (),
                tool_call_id=(one.tool_call_id or _open_call(messages, tool))
                if role == "tool"
                else "",
                tool_name=tool,
                reasoning=(one.thinking or "") if role == "assistant" else "",
                images=images_of(one.images, param),
            )
        )
    return messages


def images_of(given: Sequence[Any] | None, param: str) -> tuple[bytes, ...]:
    """Pictures, which Ollama's clients send as bare base64; an address is none, and is not
    fetched."""
    return tuple(_image(one, f"{param}.images[{index}]") for index, one in enumerate(given or ()))


def _image(given: Any, param: str) -> bytes:
    try:
        # Go's decoder, too, overlooks line breaks and nothing else.
        picture = base64.b64decode("".join(given.splitlines()), validate=True)
    except (AttributeError, ValueError, binascii.Error):
        picture = b""
    if not picture:
        raise UsageError(t("ollama.bad_image", field=param), param="images")
    return picture


def _calls(given: Sequence[Any], turn: int) -> tuple[ToolCall, ...]:
    calls = []
    for index, one in enumerate(given):
        where = f"messages[{turn}].tool_calls[{index}]"
        function = one.get("function") if isinstance(one, dict) else None
        if not isinstance(function, dict):
            raise UsageError(t("calling.not_a_function", field=where), param="messages")
        id_ = one.get("id")
        calls.append(
            ToolCall(
                id_ if isinstance(id_, str) and id_ else f"call_{turn}_{index}",
                name_in(function, where),
                arguments_text(function.get("arguments"), where),
            )
        )
    return tuple(calls)


def _open_call(messages: Sequence[Message], tool: str) -> str:
    """The id of a call of ``tool`` that has no result yet; of any tool, where that is not said."""
    answered = {m.tool_call_id for m in messages if m.role == "tool"}
    for message in reversed(messages):
        for call in message.tool_calls:
            if call.id not in answered and tool in ("", call.name):
                return call.id
    return ""

"""Anthropic's conversations, tools and settings, as the engine takes them.

Written after the types of their SDK. Raises ``UsageError`` naming the field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.server.anthropic.blocks import system_text, turns
from ondol.server.anthropic.requests import (
    MessagesRequest,
    OutputFormat,
    PromptRequest,
    ToolParam,
)
from ondol.server.generation import cannot, stops
from ondol.types import GenerateOptions, Message, Role, Tool, ToolChoice

if TYPE_CHECKING:
    from ondol.models.store import Model

MOST_TOOLS = 512
MOST_IMAGES = 64

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_CHOICES: dict[str, ToolChoice] = {"any": "required", "tool": "required", "none": "none"}
_THINKING = ("enabled", "adaptive")
_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "max"}


def messages_of(body: PromptRequest, model: Model) -> list[Message]:
    """The conversation that ``model`` is to go on with. Many templates want the system's words at
    the beginning and nowhere else: what it says before the first answer stands there, and what it
    says later is told with the user's turn, so that what was read before stays as it was."""
    if body.mcp_servers:
        raise UsageError(t("anthropic.mcp_servers"), t("anthropic.mcp_hint"), param="mcp_servers")
    found: list[Message] = []
    systems = [system_text(body.system)]
    names: dict[str, str] = {}
    for place, message in enumerate(body.messages):
        field = f"messages.{place}"
        if message.role not in _ROLES:
            raise UsageError(t("anthropic.bad_role", role=message.role[:40]), param=f"{field}.role")
        if message.role == "system":
            text = system_text(message.content, f"{field}.content")
            if text and any(turn.role == "assistant" for turn in found):
                _join(found, Message("user", f"<system-reminder>\n{text}\n</system-reminder>"))
            else:
                systems.append(text)
            continue
        for turn in turns(_ROLES[message.role], message.content, names, f"{field}.content"):
            _join(found, turn)
    if not found:
        raise UsageError(t("anthropic.no_messages"), param="messages")
    if system := "\n\n".join(text for text in systems if text):
        found.insert(0, Message("system", system))
    count = sum(len(message.images) for message in found)
    if count and "vision" not in model.capabilities:
        raise cannot(body.model, t("server.deed_vision"), "messages")
    if count > MOST_IMAGES:
        raise UsageError(t("anthropic.too_many_images", most=MOST_IMAGES), param="messages")
    return found


def prompt_options(body: PromptRequest, model: Model) -> GenerateOptions:
    """What of the options changes the prompt, or what may follow it."""
    tools, choice = _tools(body.tools), body.tool_choice
    if choice is not None and choice.type in ("any", "tool") and not tools:
        raise UsageError(t("anthropic.no_tools"), param="tool_choice")
    if choice is not None and choice.type == "tool":
        tools = tuple(tool for tool in tools if tool.name == choice.name)
        if not tools:
            raise UsageError(t("anthropic.no_such_tool"), param="tool_choice.name")
    config = body.output_config
    return GenerateOptions(
        tools=tools,
        tool_choice=_CHOICES.get(choice.type, "auto") if choice else "auto",
        parallel_tool_calls=not (choice and choice.disable_parallel_tool_use),
        think=_think(body, model),
        json_schema=_schema((config and config.format) or body.output_format),
    )


def options_of(body: MessagesRequest, model: Model) -> GenerateOptions:
    """How to generate."""
    return replace(
        prompt_options(body, model),
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=stops(body.stop_sequences),
    )


def shows_thinking(body: PromptRequest) -> bool:
    """Whether the answer may have blocks of thinking: many clients take the first block for the
    text, unless they asked for thinking."""
    return body.thinking is not None and body.thinking.type in _THINKING


def _think(body: PromptRequest, model: Model) -> bool | str | None:
    """Clients ask models for thinking that have none: to those every setting is the same."""
    if "thinking" not in model.capabilities:
        return None
    thinking = body.thinking
    if thinking is None or thinking.type not in _THINKING:
        return False
    effort = body.output_config.effort if body.output_config else None
    if effort in _EFFORTS:
        return _EFFORTS[effort]
    return True if thinking.type == "enabled" else None


def _schema(wanted: OutputFormat | None) -> dict[str, Any] | None:
    if wanted is None:
        return None
    if wanted.type != "json_schema" or wanted.schema_ is None:
        raise UsageError(t("anthropic.bad_format"), param="output_config.format")
    return wanted.schema_


def _tools(given: Sequence[ToolParam] | None) -> tuple[Tool, ...]:
    tools = tuple(_tool(one, f"tools.{place}") for place, one in enumerate(given or ()))
    if len({tool.name for tool in tools}) < len(tools):
        raise UsageError(t("anthropic.same_tool_twice"), param="tools")
    if len(tools) > MOST_TOOLS:
        raise UsageError(t("anthropic.too_many_tools", most=MOST_TOOLS), param="tools")
    return tools


def _tool(given: ToolParam, field: str) -> Tool:
    if given.type not in (None, "custom"):
        kind = given.type[:60]
        raise UsageError(
            t("anthropic.server_tool", type=kind), t("anthropic.server_tool_hint"), param=field
        )
    if not _NAME.fullmatch(given.name):
        raise UsageError(t("anthropic.bad_tool_name"), param=f"{field}.name")
    if given.input_schema is None:
        raise UsageError(
            t("server.field_required", field=f"{field}.input_schema"), param=f"{field}.input_schema"
        )
    return Tool(given.name, given.description or "", given.input_schema)


def _join(found: list[Message], turn: Message) -> None:
    """Add ``turn``; where it goes on with the last one, as one turn: many templates want them to
    alternate."""
    last = found[-1] if found else None
    is_more = last is not None and last.role == turn.role and turn.role != "tool"
    if last is None or not is_more:
        found.append(turn)
        return
    text = "\n\n".join(part for part in (last.content, turn.content) if part)
    thoughts = "\n\n".join(part for part in (last.reasoning, turn.reasoning) if part)
    calls, images = last.tool_calls + turn.tool_calls, last.images + turn.images
    found[-1] = replace(last, content=text, tool_calls=calls, images=images, reasoning=thoughts)

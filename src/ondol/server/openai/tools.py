"""Tools as OpenAI's clients offer them, as the engine takes them, in chats and in responses.

A choice by name offers that one tool and requires it. Raises ``UsageError`` naming the field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.server.calling import tools_of
from ondol.server.openai.requests import ChatCompletionRequest
from ondol.types import Tool, ToolChoice

MOST_TOOLS = 512

PLAIN_CHOICES = ("auto", "none", "required")


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools of a request, whether one must be called, and whether several may be."""

    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = "auto"
    parallel: bool = True

    @property
    def options(self) -> dict[str, Any]:
        """The fields of ``GenerateOptions`` that say so."""
        return {
            "tools": self.tools,
            "tool_choice": self.choice,
            "parallel_tool_calls": self.parallel,
        }


def checked(tools: tuple[Tool, ...], param: str) -> tuple[Tool, ...]:
    """``tools``, no two of which have one name."""
    if len({tool.name for tool in tools}) < len(tools):
        raise UsageError(t("openai.same_tool_twice"), param=param)
    if len(tools) > MOST_TOOLS:
        raise UsageError(t("openai.too_many_tools", most=MOST_TOOLS), param=param)
    return tools


def chosen(
    tools: tuple[Tool, ...],
    choice: str | Mapping[str, Any] | None,
    parallel: bool | None,
    named: Callable[[Mapping[str, Any]], str],
    param: str = "tool_choice",
) -> Offer:
    """What is offered of ``tools`` by ``choice``; ``named`` reads the tool's name in a choice."""
    is_parallel = parallel is not False
    if choice is None:
        return Offer(tools, "auto", is_parallel)
    if isinstance(choice, str):
        if choice not in PLAIN_CHOICES:
            raise UsageError(t("openai.bad_choice"), param=param)
        if choice == "required" and not tools:
            raise UsageError(t("openai.choice_without_tools"), param=param)
        return Offer(tools, cast(ToolChoice, choice), is_parallel)
    if choice.get("type") == "allowed_tools":
        return _allowed(tools, choice, is_parallel, named, param)
    return Offer(_named(tools, [named(choice)], param), "required", is_parallel)


def chat_offer(body: ChatCompletionRequest) -> Offer:
    """The tools of a chat, or its ``functions``, as they were called first."""
    if body.functions and not body.tools:
        given = [{"function": function} for function in body.functions]
        functions = checked(tools_of(given, "functions"), "functions")
        choice = body.function_call
        return chosen(functions, choice, False, lambda c: str(c.get("name", "")), "function_call")
    offered = checked(tools_of(body.tools), "tools")
    return chosen(offered, body.tool_choice, body.parallel_tool_calls, _function)


def _function(choice: Mapping[str, Any]) -> str:
    function = choice.get("function")
    return str(function.get("name", "")) if isinstance(function, dict) else ""


def _allowed(
    tools: tuple[Tool, ...],
    choice: Mapping[str, Any],
    parallel: bool,
    named: Callable[[Mapping[str, Any]], str],
    param: str,
) -> Offer:
    # Chats have the list one level deeper than responses.
    inner = choice.get("allowed_tools", choice)
    listed = inner.get("tools") if isinstance(inner, dict) else None
    mode = inner.get("mode") if isinstance(inner, dict) else None
    if not isinstance(listed, list) or not listed or mode not in ("auto", "required"):
        raise UsageError(t("openai.bad_choice"), param=param)
    names = [named(one) if isinstance(one, dict) else "" for one in listed]
    return Offer(_named(tools, names, param), cast(ToolChoice, mode), parallel)


def _named(tools: Sequence[Tool], names: Sequence[str], param: str) -> tuple[Tool, ...]:
    known = {one.name: one for one in tools}
    for name in names:
        if name not in known:
            raise UsageError(t("openai.no_such_tool", name=name[:80]), param=param)
    return tuple(known[name] for name in dict.fromkeys(names))

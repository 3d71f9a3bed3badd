"""Tools and calls as OpenAI's and Ollama's clients write them, and calls put together again.

A tool is ``{"type": "function", "function": {"name", "description", "parameters"}}`` in both.
Raises ``UsageError`` naming the field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.types import Token, Tool, ToolCall

LONGEST_NAME = 256


def tools_of(given: Sequence[Any] | None, param: str = "tools") -> tuple[Tool, ...]:
    """The tools that a request offers."""
    return tuple(_tool(one, f"{param}[{index}]") for index, one in enumerate(given or ()))


def _tool(given: Any, param: str) -> Tool:
    if not isinstance(given, Mapping) or given.get("type", "function") != "function":
        raise UsageError(t("calling.not_a_function", field=param), param=param)
    function = given.get("function")
    if not isinstance(function, Mapping):
        raise UsageError(t("calling.not_a_function", field=param), param=param)
    parameters = function.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        raise UsageError(t("calling.not_a_schema", field=param), param=param)
    description = function.get("description")
    name = name_in(function, param)
    return Tool(name, description if isinstance(description, str) else "", dict(parameters))


def name_in(function: Mapping[str, Any], param: str) -> str:
    """The name of a function, or of a call of it."""
    name = function.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME:
        raise UsageError(t("calling.no_name", field=param), param=param)
    return name


def arguments_text(given: Any, param: str) -> str:
    """The JSON text of a call's arguments, which clients send as an object or as its text."""
    if isinstance(given, Mapping):
        return json.dumps(given, ensure_ascii=False)
    text = given if isinstance(given, str) else "{}" if given is None else ""
    if arguments_of(ToolCall("", "", text or "{}")) is None or not (text or given == ""):
        raise UsageError(t("calling.bad_arguments", field=param), param=param)
    return text or "{}"


def arguments_of(call: ToolCall) -> dict[str, Any] | None:
    """The arguments of ``call`` as an object; ``None`` where they are none, because the answer was
    cut off in the middle of them."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None


class CallsInStream:
    """Puts the pieces of calls together as they come: a call is whole when the next one begins, or
    when the answer ends."""

    def __init__(self) -> None:
        self._open: tuple[int, ToolCall] | None = None

    def after(self, token: Token) -> Iterator[tuple[int, ToolCall]]:
        """The calls that are whole now, each with its place among the calls."""
        piece = token.tool_call
        if piece is not None:
            if self._open is None or self._open[0] != piece.index:
                yield from self._take()
                self._open = (piece.index, ToolCall("", "", ""))
            call = self._open[1]
            self._open = (
                piece.index,
                ToolCall(
                    call.id or piece.id, call.name or piece.name, call.arguments + piece.arguments
                ),
            )
        if token.finish_reason is not None:
            yield from self._take()

    def _take(self) -> Iterator[tuple[int, ToolCall]]:
        whole, self._open = self._open, None
        if whole is not None:
            yield whole

"""Tools of ``/v1/responses``: functions, functions in a namespace, and custom tools, whose input is
a plain text: the engine takes these as functions with one argument.

Tools that OpenAI's own servers run (web_search, …) are run by nobody here. A request for nothing
else is refused; agents that offer them beside their functions whatever the server get on with
these, and the response lists the tools that were offered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.server.calling import tools_of
from ondol.server.openai.tools import Offer, checked, chosen
from ondol.server.responses.requests import ResponseRequest
from ondol.types import Tool, ToolCall

_INPUT = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
SEPARATOR = "__"


@dataclass(frozen=True, slots=True)
class Origin:
    """What the client calls a tool; ``is_custom`` where its input is a plain text."""

    name: str
    namespace: str = ""
    is_custom: bool = False


@dataclass(frozen=True, slots=True)
class Offered:
    """``listed`` is what the response repeats, ``origins`` are by the engine's names."""

    offer: Offer
    listed: list[dict[str, Any]] = field(default_factory=list)
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def origin(self, name: str) -> Origin:
        """Where the tool ``name`` comes from."""
        return self.origins.get(name, Origin(name))


def offered(body: ResponseRequest) -> Offered:
    """What the request offers. Raises ``UsageError``."""
    tools: list[Tool] = []
    listed: list[dict[str, Any]] = []
    origins: dict[str, Origin] = {}
    foreign = ""
    for place, given in enumerate(body.tools or ()):
        found = list(_read(given, f"tools[{place}]"))
        if not found:
            foreign = foreign or str(given.get("type"))[:40]
            continue
        listed.append(_as_listed(given))
        tools += [tool for tool, _ in found]
        origins |= {tool.name: origin for tool, origin in found}
    if foreign and not tools:
        raise _foreign(foreign, "tools")
    choice = body.tool_choice
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind is not None and kind not in ("function", "custom", "allowed_tools"):
        raise _foreign(str(kind)[:40], "tool_choice")
    offer = chosen(checked(tuple(tools), "tools"), choice, body.parallel_tool_calls, _named)
    return Offered(offer, listed, origins)


def full_name(name: str, namespace: str = "") -> str:
    """The engine's name of a tool."""
    return f"{namespace}{SEPARATOR}{name}" if namespace else name


def as_function(call_id: str, name: str, input: str) -> ToolCall:
    """A call of a custom tool, as the engine's model made it."""
    return ToolCall(call_id, name, json.dumps({"input": input}, ensure_ascii=False))


def plain_input(arguments: str) -> str:
    """The text that a custom tool was called with."""
    try:
        given = json.loads(arguments)
    except ValueError:
        # Cut off in the middle.
        return arguments
    return str(given.get("input", "")) if isinstance(given, dict) else arguments


def _read(given: Mapping[str, Any], param: str) -> Iterator[tuple[Tool, Origin]]:
    kind = given.get("type")
    if kind == "function":
        tool = tools_of([{"function": given}], param)[0]
        yield tool, Origin(tool.name)
    elif kind == "custom":
        told = {**given, "description": _description(given), "parameters": _INPUT}
        tool = tools_of([{"function": told}], param)[0]
        yield tool, Origin(tool.name, is_custom=True)
    elif kind == "namespace":
        namespace, inner = given.get("name"), given.get("tools")
        if not isinstance(namespace, str) or not namespace or not isinstance(inner, list):
            raise UsageError(t("responses.bad_namespace"), param=param)
        for one in inner:
            if not isinstance(one, dict) or one.get("type") not in ("function", "custom"):
                continue
            for tool, origin in _read(one, param):
                name = full_name(tool.name, namespace)
                yield (
                    Tool(name, tool.description, tool.parameters),
                    Origin(tool.name, namespace, origin.is_custom),
                )


def _as_listed(given: Mapping[str, Any]) -> dict[str, Any]:
    if given.get("type") != "function":
        return dict(given)
    told = {"description": None, "parameters": None, "strict": None, **given}
    names = ("type", "name", "description", "parameters", "strict")
    return {name: told[name] for name in names}


def _description(given: Mapping[str, Any]) -> str:
    """Of a custom tool, with the grammar of its input, which is told and not enforced."""
    description = given.get("description")
    told = description if isinstance(description, str) else ""
    form = given.get("format")
    grammar = form.get("definition") if isinstance(form, dict) else None
    return f"{told}\n\n{grammar}".strip() if isinstance(grammar, str) else told


def _named(choice: Mapping[str, Any]) -> str:
    return full_name(str(choice.get("name", "")), str(choice.get("namespace") or ""))


def _foreign(kind: str, param: str) -> UsageError:
    return UsageError(t("responses.foreign_tool", type=kind), param=param)

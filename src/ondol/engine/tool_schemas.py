"""Tools as JSON Schema: which may be offered, and the schema that every call of them fits.

Raises ``UsageError`` that names the field, in OpenAI's words ("tools", "tools[2].function.name").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ondol.engine.schemas import check as check_schema
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.types import Tool

MOST_TOOLS = 128
LONGEST_BYTES = 256 * 1024

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# llguidance's own: what it has no grammar for is left out instead of undoing the whole, and no
# white space but what a person would write. Other runtimes ignore it.
GUIDANCE = {
    "lenient": True,
    "whitespace_flexible": False,
    "key_separator": ": ",
    "item_separator": ", ",
}
# Below these are names, and no words of JSON Schema.
_NAMES = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_VALUES = ("enum", "const", "default", "examples", "required")
# With one of these beside "properties", others may name further properties.
_OPENING = (
    "additionalProperties unevaluatedProperties patternProperties allOf anyOf oneOf not if $ref "
    "propertyNames minProperties"
).split()


def check(tools: Sequence[Tool]) -> None:
    """Raise unless all ``tools`` may be offered, together."""
    if len(tools) > MOST_TOOLS:
        raise _refused(t("tools.too_many", most=MOST_TOOLS), "tools")
    names: set[str] = set()
    for number, tool in enumerate(tools):
        field = f"tools[{number}].function"
        if not _NAME.fullmatch(tool.name):
            raise _refused(t("tools.bad_name", name=tool.name[:80]), f"{field}.name")
        if tool.name in names:
            raise _refused(t("tools.same_name", name=tool.name), f"{field}.name")
        names.add(tool.name)
        if tool.parameters.get("type", "object") != "object":
            raise _refused(t("tools.not_an_object", name=tool.name), f"{field}.parameters")
        _checked(_parameters(tool), f"{field}.parameters")
    if tools:
        _checked(call_schema(tools), "tools")


def call_schema(tools: Sequence[Tool]) -> dict[str, Any]:
    """Of one call: ``{"name": …, "arguments": …}`` of one of ``tools``."""
    definitions = {f"tool{n}": _moved(_parameters(tool), n) for n, tool in enumerate(tools)}
    calls = [_call(tool, n) for n, tool in enumerate(tools)]
    return {"anyOf": calls, "$defs": definitions, "x-guidance": GUIDANCE}


def call_or_answer_schema(tools: Sequence[Tool], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Of ``{"tool_calls": [call]}`` or ``{"answer": …}`` that fits ``answer``."""
    schema = call_schema(tools)
    calls = {
        "type": "array",
        "items": {"anyOf": schema.pop("anyOf")},
        "minItems": 1,
        "maxItems": 1,
    }
    schema["$defs"]["answer"] = _rebased(answer, "#/$defs/answer")
    schema["anyOf"] = [
        _object({"tool_calls": calls}),
        _object({"answer": {"$ref": "#/$defs/answer"}}),
    ]
    return schema


def guided(schema: Mapping[str, Any]) -> dict[str, Any]:
    """``schema`` for a raw completion: what the bundled runtime has no grammar for must not leave
    the answer without any."""
    return {**schema, "x-guidance": {"lenient": True}}


def _call(tool: Tool, number: int) -> dict[str, Any]:
    arguments = {"$ref": f"#/$defs/tool{number}"}
    return _object({"name": {"type": "string", "const": tool.name}, "arguments": arguments})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _parameters(tool: Tool) -> dict[str, Any]:
    """A tool's arguments, which are an object of what it names and nothing else."""
    given = {"type": "object", "properties": {}, **tool.parameters}
    given.pop("$schema", None)
    closed = _closed(given)
    assert isinstance(closed, dict)
    return closed


def _closed(schema: object) -> object:
    """``schema`` without room for properties that it does not name, where it does not ask for such:
    what fits it fits the other too, and a small model does not lose itself in inventions."""
    if not isinstance(schema, Mapping):
        return schema
    made = dict(schema)
    if isinstance(made.get("properties"), Mapping):
        made["properties"] = {k: _closed(v) for k, v in made["properties"].items()}
        if not any(word in made for word in _OPENING):
            made["additionalProperties"] = False
    if "items" in made:
        made["items"] = _closed(made["items"])
    return made


def _moved(parameters: Mapping[str, Any], number: int) -> object:
    return _rebased(parameters, f"#/$defs/tool{number}")


def _rebased(value: object, root: str, *, names: bool = False) -> object:
    """A schema whose references into itself point to where it now lies."""
    if isinstance(value, list):
        return [_rebased(one, root) for one in value]
    if not isinstance(value, Mapping):
        return value
    made: dict[str, object] = {}
    for word, inner in value.items():
        if names:
            made[word] = _rebased(inner, root)
        elif word == "$ref" and isinstance(inner, str) and inner.startswith("#"):
            made[word] = root + inner[1:]
        elif word in _VALUES:
            made[word] = inner
        else:
            made[word] = _rebased(inner, root, names=word in _NAMES)
    return made


def _checked(schema: Mapping[str, Any], field: str) -> None:
    try:
        check_schema(schema, longest_bytes=LONGEST_BYTES)
    except UsageError as error:
        raise UsageError(error.message, error.hint, param=field) from None
    except RecursionError:
        raise _refused(t("engine.schema_too_deep", most=100), field) from None


def _refused(message: str, field: str) -> UsageError:
    return UsageError(message, t("tools.hint"), param=field)

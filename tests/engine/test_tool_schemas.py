"""Which tools may be offered, and the schema that their calls follow."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from ondol.engine.schemas import MOST_ALTERNATIVES
from ondol.engine.tool_prompt import choosing, told
from ondol.engine.tool_schemas import MOST_TOOLS, call_or_answer_schema, call_schema, check
from ondol.errors import UsageError
from ondol.types import Message, Tool, ToolCall

TREE = {
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/node"}},
    "required": ["root"],
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["name"],
        }
    },
}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = (Tool("weather", "Weather", CITY), Tool("tree", "", TREE), Tool("now"))


@pytest.mark.parametrize(
    ("tools", "field"),
    [
        ([Tool("with space")], "tools[0].function.name"),
        ([Tool("")], "tools[0].function.name"),
        ([Tool("a" * 65)], "tools[0].function.name"),
        ([Tool("도구")], "tools[0].function.name"),
        ([Tool("a"), Tool("a")], "tools[1].function.name"),
        ([Tool("a"), Tool("b", "", {"type": "array"})], "tools[1].function.parameters"),
        ([Tool(f"t{n}") for n in range(MOST_TOOLS + 1)], "tools"),
        (
            [Tool("a", "", {"properties": {"x": {"type": "string", "pattern": "(x?){300}y"}}})],
            "tools[0].function.parameters",
        ),
        (
            [Tool("a", "", {"properties": {f"p{n}": {} for n in range(MOST_ALTERNATIVES + 1)}})],
            "tools[0].function.parameters",
        ),
    ],
)
def test_tools_that_cannot_be_offered_are_refused_by_their_field(
    tools: list[Tool], field: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check(tools)
    assert caught.value.param == field


@pytest.mark.parametrize("name", ["a", "a.b-c_D9", "a" * 64])
def test_names_of_openai_and_mcp_are_taken(name: str) -> None:
    check([Tool(name)])


@pytest.mark.parametrize(
    ("call", "fits"),
    [
        ({"name": "weather", "arguments": {"city": "Paris"}}, True),
        ({"name": "weather", "arguments": {}}, False),
        ({"name": "weather", "arguments": {"city": "Paris", "invented": 1}}, False),
        ({"name": "now", "arguments": {}}, True),
        ({"name": "now", "arguments": {"city": "Paris"}}, False),
        ({"name": "other", "arguments": {}}, False),
        ({"name": "tree", "arguments": {"root": {"name": "a", "children": [{"name": "b"}]}}}, True),
        ({"name": "tree", "arguments": {"root": {"name": "a", "children": [{}]}}}, False),
    ],
)
def test_a_call_fits_its_own_tool(call: dict[str, Any], fits: bool) -> None:
    assert jsonschema.Draft202012Validator(call_schema(TOOLS)).is_valid(call) is fits


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ({"tool_calls": [{"name": "now", "arguments": {}}]}, True),
        ({"tool_calls": []}, False),
        ({"tool_calls": [{"name": "now", "arguments": {}}] * 2}, False),
        ({"answer": {"city": "Paris"}}, True),
        ({"answer": {"city": 5}}, False),
        ({"answer": {"city": "Paris"}, "tool_calls": []}, False),
    ],
)
def test_calls_or_an_answer_and_never_anything_else(said: dict[str, Any], fits: bool) -> None:
    schema = call_or_answer_schema(TOOLS, CITY)
    assert jsonschema.Draft202012Validator(schema).is_valid(said) is fits


def test_objects_that_ask_for_other_properties_keep_them() -> None:
    free = {"type": "object", "properties": {}, "additionalProperties": {"type": "integer"}}
    mixed = {"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}
    schema = call_schema([Tool("free", "", free), Tool("mixed", "", mixed)])
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"name": "free", "arguments": {"x": 1}})
    assert not validator.is_valid({"name": "free", "arguments": {"x": "1"}})


def test_model_without_words_for_tools_reads_them_as_text() -> None:
    asked = [
        Message("system", "Be brief."),
        Message("user", "Weather in Paris?"),
        Message("assistant", "Let me see.", (ToolCall("call_1", "weather", '{"city": "Paris"}'),)),
        Message("tool", "Rain", tool_call_id="call_1"),
        Message("tool", "12 degrees", tool_call_id="call_2"),
    ]
    system, user, assistant, results = told(asked, TOOLS)
    assert system.content.startswith("Be brief.\n\n")
    assert '"name": "weather", "description": "Weather"' in system.content
    assert user == asked[1]
    assert '{"name": "weather", "arguments": {"city": "Paris"}}' in assistant.content
    assert assistant.content.startswith("Let me see.") and not assistant.tool_calls
    assert results.role == "user"
    assert results.content.index("Rain") < results.content.index("12 degrees")


def test_prompt_begins_the_same_whatever_may_be_called() -> None:
    first, *_ = told([Message("user", "Hello")], TOOLS)
    again, *_ = told([Message("user", "Hello"), Message("assistant", "Hi")], TOOLS)
    assert first == again
    assert choosing(told([Message("user", "Hello")], TOOLS))[0].content.startswith(first.content)


def test_conversation_without_tools_stays_as_it_is() -> None:
    asked = [Message("user", "Hello"), Message("assistant", "Hi"), Message("user", "Bye")]
    assert told(asked, ()) == asked

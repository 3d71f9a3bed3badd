"""Calls that a server parsed are told when they are whole and fit, and made anew when not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import pytest

from ondol.answering import gather
from ondol.chat_dialect import messages_body, options_body
from ondol.engine.dialect import tokens_of
from ondol.engine.generation import Cancellation
from ondol.engine.native_calls import checked, fits, with_readable_arguments, with_short_ids
from ondol.types import (
    FinishReason,
    GenerateOptions,
    Message,
    Token,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
)

ADD = Tool(
    "add",
    "",
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    },
)
GOOD, BAD = '{"a": 1}', '{"a": "one"}'


def stream(
    *calls: tuple[str, str], finish: FinishReason = "tool_calls", text: str = ""
) -> list[Token]:
    """A server's tokens: some text, then calls in two pieces each."""
    found = [Token(text)] if text else []
    for index, (name, arguments) in enumerate(calls):
        middle = len(arguments) // 2
        found.append(Token("", tool_call=ToolCallDelta(index, arguments[:middle], "abc", name)))
        found.append(Token("", tool_call=ToolCallDelta(index, arguments[middle:])))
    return [*found, Token("", finish_reason=finish, usage=Usage(10, 5))]


def never(tools: Sequence[Tool]) -> Iterable[Token]:
    raise AssertionError("nothing was to be made anew")


def again(tools: Sequence[Tool]) -> Iterable[Token]:
    yield Token("", tool_call=ToolCallDelta(0, '{"a": 2}', "call_new", tools[0].name))
    yield Token("", finish_reason="tool_calls", usage=Usage(10, 7))


def test_whole_calls_pass_with_words_before_them() -> None:
    said = gather(list(checked(stream(("add", GOOD), ("add", GOOD), text="So: "), [ADD], never)))
    assert said.text == "So: " and said.finish_reason == "tool_calls"
    assert [(call.name, call.arguments) for call in said.tool_calls] == [("add", GOOD)] * 2
    assert all(call.id.startswith("call_") for call in said.tool_calls)
    assert len({call.id for call in said.tool_calls}) == 2


@pytest.mark.parametrize("wrong", [("add", BAD), ("add", "{"), ("unknown", GOOD), ("add", "[]")])
def test_call_that_does_not_fit_is_not_told_but_made_anew(wrong: tuple[str, str]) -> None:
    said = gather(list(checked(stream(("add", GOOD), wrong), [ADD], again)))
    assert [call.arguments for call in said.tool_calls] == [GOOD, '{"a": 2}']
    assert said.usage.completion_tokens == 12


@pytest.mark.parametrize("finish", ["length", "cancelled"])
def test_call_that_was_cut_off_is_neither_told_nor_made_anew(finish: FinishReason) -> None:
    cut = stream(("add", GOOD), ("add", '{"a"'), finish=finish)
    said = gather(list(checked(cut, [ADD], never)))
    assert [call.arguments for call in said.tool_calls] == [GOOD]
    assert said.finish_reason == finish


def test_words_alone_stay_as_they_are() -> None:
    tokens = stream(text="Hello.", finish="stop")
    assert list(checked(tokens, [ADD], never)) == tokens


def test_schema_that_nobody_can_check_is_its_authors_word() -> None:
    odd = Tool("odd", "", {"type": "object", "properties": {"a": {"type": "strin"}}})
    assert fits(ToolCall("", "odd", "{}"), {"odd": odd})


def test_no_arguments_are_an_empty_object() -> None:
    said = gather(list(checked(stream(("now", "")), [Tool("now")], never)))
    assert [call.arguments for call in said.tool_calls] == ["{}"]


def test_short_ids_still_say_what_answers_what() -> None:
    call = ToolCall("call_0123456789abcdef", "add", GOOD)
    talk = [Message("assistant", "", (call,)), Message("tool", "2", tool_call_id=call.id)]
    made, result = with_short_ids(talk)
    assert made.tool_calls[0].id == result.tool_call_id
    assert len(result.tool_call_id) == 9 and result.tool_call_id.isalnum()


def test_calls_on_the_wire_are_those_of_openais_dialect() -> None:
    (made, result) = messages_body(
        [
            Message("assistant", "", (ToolCall("call_1", "add", GOOD),)),
            Message("tool", "2", tool_call_id="call_1", tool_name="add"),
        ]
    )
    function = {"name": "add", "arguments": GOOD}
    assert made["tool_calls"] == [{"id": "call_1", "type": "function", "function": function}]
    assert (result["role"], result["tool_call_id"], result["name"]) == ("tool", "call_1", "add")
    body = options_body(GenerateOptions(tools=(ADD,), tool_choice="required"), ())
    assert body["tool_choice"] == "required" and body["parallel_tool_calls"] is True
    assert body["tools"][0]["function"]["parameters"] == ADD.parameters
    assert "tools" not in options_body(GenerateOptions(tools=(ADD,), tool_choice="none"), ())


def test_pieces_of_calls_are_read_from_events() -> None:
    def event(finish: str | None = None, **delta: object) -> dict[str, object]:
        return {"choices": [{"delta": delta, "finish_reason": finish}]}

    events = [
        event(tool_calls=[{"index": 0, "id": "x", "function": {"name": "add", "arguments": ""}}]),
        event(tool_calls=[{"index": 0, "function": {"arguments": GOOD}}]),
        event("tool_calls"),
    ]
    said = gather(list(tokens_of(events, GenerateOptions(), Cancellation())))
    assert said.finish_reason == "tool_calls"
    assert [json.loads(call.arguments) for call in said.tool_calls] == [{"a": 1}]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (GOOD, {"a": 1}),
        ("", {}),
        ("not json", {"input": "not json"}),
        ("[1]", {"input": [1]}),
        ("[" * 100_000, {"input": "[" * 100_000}),
    ],
)
def test_templates_get_objects_whatever_a_client_sent(sent: str, read: object) -> None:
    (made,) = with_readable_arguments([Message("assistant", "", (ToolCall("1", "add", sent),))])
    assert json.loads(made.tool_calls[0].arguments) == read

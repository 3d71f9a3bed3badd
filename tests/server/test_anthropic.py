"""Anthropic's dialect, by its own client and by the byte."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import pytest
from house import CHAT, EMBEDDING, REPLY, GatedEngine, House, scripted_house
from pydantic import BaseModel

from ondol.engine.generation import Generation
from ondol.engine.scripted import Said, ScriptedEngine
from ondol.errors import (
    ContextLengthError,
    EngineBusyError,
    EngineCrashedError,
    EngineError,
    EngineTimeoutError,
)
from ondol.types import Token, Tool, ToolCall, Usage

QUESTION: list[Any] = [{"role": "user", "content": "What keeps a house warm?"}]
BODY: dict[str, Any] = {"model": CHAT, "max_tokens": 100, "messages": QUESTION}
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
CLOCK: dict[str, Any] = {"name": "clock", "input_schema": {"type": "object", "properties": {}}}
CALLING = Said(
    "Let me look.",
    tool_calls=(
        ToolCall("call_1", "get_weather", '{"city": "Seoul — 서울"}'),
        ToolCall("call_2", "clock", ""),
    ),
)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
def client(house: House) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=house.url, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def engine(house: House) -> ScriptedEngine:
    """An engine that answers in a word and keeps what it was asked."""
    house.pool.engines[CHAT] = ScriptedEngine(["yes"], model=CHAT)
    return house.pool.engines[CHAT]


def script(house: House, *replies: str | Said) -> ScriptedEngine:
    house.pool.engines[CHAT] = ScriptedEngine(replies, model=CHAT)
    return house.pool.engines[CHAT]


def post(house: House, body: object, path: str = "/v1/messages", **how: Any) -> Any:
    with house.client() as client:
        return client.post(path, json=body, **how)


def events(house: House, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a stream; each has its type as its name too."""
    response = post(house, {**body, "stream": True})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    found = []
    *blocks, rest = response.text.split("\n\n")
    assert rest == ""
    for block in blocks:
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def kinds(found: list[dict[str, Any]]) -> list[str]:
    """The types of events, those of pieces once for each block."""
    named = [e["type"] for e in found]
    return [n for n, before in zip(named, ["", *named], strict=False) if n != before]


def test_a_message_is_answered(client: anthropic.Anthropic) -> None:
    message = client.messages.create(model=CHAT, max_tokens=100, messages=QUESTION)
    assert [(block.type, block.text) for block in message.content] == [("text", REPLY)]
    assert (message.role, message.type, message.model) == ("assistant", "message", CHAT)
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert message.id.startswith("msg_")
    assert message.usage.input_tokens == 5 and message.usage.output_tokens > 5
    assert (message._request_id or "").startswith("req_")


def test_a_message_is_streamed(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model=CHAT, max_tokens=100, messages=QUESTION) as stream:
        assert "".join(stream.text_stream) == REPLY
        message = stream.get_final_message()
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens == 5 and message.usage.output_tokens > 5
    assert (stream.request_id or "").startswith("req_")


def test_a_stream_has_exactly_the_events_of_the_real_api(house: House) -> None:
    found = events(house, BODY)
    assert kinds(found) == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    start, end = found[0]["message"], found[-2]
    assert (start["content"], start["stop_reason"], start["stop_sequence"]) == ([], None, None)
    assert start["usage"]["output_tokens"] == 0
    assert found[1] == {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    assert end["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert end["usage"]["input_tokens"] == 5 and end["usage"]["output_tokens"] > 5
    assert found[-1] == {"type": "message_stop"}


def test_the_async_client_gets_the_same_answer(house: House) -> None:
    async def ask() -> tuple[str, str, int]:
        async with anthropic.AsyncAnthropic(base_url=house.url, api_key="any") as client:
            whole = await client.messages.create(model=CHAT, max_tokens=100, messages=QUESTION)
            async with client.messages.stream(
                model=CHAT, max_tokens=100, messages=QUESTION
            ) as stream:
                streamed = await stream.get_final_message()
            count = await client.messages.count_tokens(model=CHAT, messages=QUESTION)
        return whole.content[0].text, streamed.content[0].text, count.input_tokens

    assert asyncio.run(ask()) == (REPLY, REPLY, 5)


def test_calls_come_as_blocks_with_objects(house: House, client: anthropic.Anthropic) -> None:
    script(house, CALLING)
    message = client.messages.create(
        model=CHAT, max_tokens=100, messages=QUESTION, tools=[WEATHER, CLOCK]
    )
    assert message.stop_reason == "tool_use"
    text, weather, clock = message.content
    assert (text.type, text.text) == ("text", "Let me look.")
    assert (weather.name, weather.input) == ("get_weather", {"city": "Seoul — 서울"})
    assert (clock.name, clock.input) == ("clock", {})
    assert weather.id.startswith("toolu_") and weather.id != clock.id


def test_streamed_calls_are_put_together_by_the_client(
    house: House, client: anthropic.Anthropic
) -> None:
    script(house, CALLING)
    pieces = []
    with client.messages.stream(
        model=CHAT, max_tokens=100, messages=QUESTION, tools=[WEATHER, CLOCK]
    ) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        message = stream.get_final_message()
    assert message.stop_reason == "tool_use"
    assert [block.type for block in message.content] == ["text", "tool_use", "tool_use"]
    assert message.content[1].input == {"city": "Seoul — 서울"}
    assert message.content[2].input == {}
    assert len(pieces) > 3, "the arguments come as they are written"


def test_a_streamed_call_has_its_own_block(house: House) -> None:
    script(house, CALLING)
    found = events(house, BODY | {"tools": [WEATHER, CLOCK]})
    opened = [e for e in found if e["type"] == "content_block_start"]
    assert [e["index"] for e in opened] == [0, 1, 2]
    assert [e["content_block"]["type"] for e in opened] == ["text", "tool_use", "tool_use"]
    assert opened[1]["content_block"]["input"] == {}
    # A block is closed before the next one is opened.
    assert [
        (e["type"], e["index"])
        for e in found
        if e["type"].endswith(("_start", "_stop")) and "index" in e
    ] == [(f"content_block_{what}", i) for i in range(3) for what in ("start", "stop")]
    assert [e["type"] for e in found].count("ping") == 1


def test_a_call_that_was_cut_off_is_not_passed_on(
    house: House, client: anthropic.Anthropic
) -> None:
    script(house, Said("Hm.", tool_calls=(ToolCall("call_1", "get_weather", '{"city": "Se'),)))
    message = client.messages.create(model=CHAT, max_tokens=100, messages=QUESTION, tools=[WEATHER])
    assert [block.type for block in message.content] == ["text"]


def test_results_of_calls_go_back_to_the_model(
    house: House, client: anthropic.Anthropic, engine: ScriptedEngine
) -> None:
    client.messages.create(
        model=CHAT,
        max_tokens=10,
        tools=[WEATHER],
        messages=[
            *QUESTION,
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "Let me look."},
                    {
                        "type": "tool_use",
                        "id": "toolu_1",
                        "name": "get_weather",
                        "input": {"city": "서울"},
                    },
                    {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Snow"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_2",
                        "is_error": True,
                        "content": [
                            {"type": "text", "text": "no"},
                            {"type": "text", "text": "clock"},
                        ],
                    },
                    {"type": "text", "text": "Well?"},
                ],
            },
        ],
    )
    _, calling, snow, error, asked = engine.requests[-1].messages
    assert (calling.role, calling.content) == ("assistant", "Let me look.")
    assert calling.tool_calls[0] == ToolCall("toolu_1", "get_weather", '{"city": "서울"}')
    assert (snow.role, snow.content) == ("tool", "Snow")
    assert (snow.tool_call_id, snow.tool_name) == ("toolu_1", "get_weather")
    assert (error.content, error.tool_name) == ("Error: no\nclock", "clock")
    assert (asked.role, asked.content) == ("user", "Well?")


@pytest.mark.parametrize(
    ("choice", "offered", "wanted", "parallel"),
    [
        (None, ["get_weather", "clock"], "auto", True),
        ({"type": "auto"}, ["get_weather", "clock"], "auto", True),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            ["get_weather", "clock"],
            "auto",
            False,
        ),
        ({"type": "any"}, ["get_weather", "clock"], "required", True),
        ({"type": "tool", "name": "clock"}, ["clock"], "required", True),
        ({"type": "none"}, ["get_weather", "clock"], "none", True),
    ],
)
def test_a_tool_choice_is_what_the_engine_is_told(
    house: House,
    engine: ScriptedEngine,
    choice: Any,
    offered: list[str],
    wanted: str,
    parallel: bool,
) -> None:
    how = {"tools": [WEATHER, CLOCK]} | ({"tool_choice": choice} if choice else {})
    assert post(house, BODY | how).status_code == 200
    options = engine.requests[-1].options
    assert [tool.name for tool in options.tools] == offered
    assert (options.tool_choice, options.parallel_tool_calls) == (wanted, parallel)


def test_a_tool_is_offered_as_it_is_described(house: House, engine: ScriptedEngine) -> None:
    tool = WEATHER | {"type": "custom", "cache_control": {"type": "ephemeral"}, "strict": True}
    assert post(house, BODY | {"tools": [tool]}).status_code == 200
    (offered,) = engine.requests[-1].options.tools
    assert offered == Tool("get_weather", "The weather in a city", WEATHER["input_schema"])


def test_the_system_and_blocks_become_turns(house: House, engine: ScriptedEngine) -> None:
    body = BODY | {
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=a1b2c;"},
            {"type": "text", "text": "You are brief.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "You are kind."},
        ],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}],
            },
            {"role": "user", "content": "three"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm", "signature": "x"},
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "text", "text": "four"},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "title": "House",
                        "source": {
                            "type": "text",
                            "media_type": "text/plain",
                            "data": "It is warm.",
                        },
                    },
                    {
                        "type": "document",
                        "source": {
                            "type": "content",
                            "content": [{"type": "text", "text": "A stove."}],
                        },
                    },
                    {
                        "type": "search_result",
                        "source": "notes",
                        "title": "Heat",
                        "content": [{"type": "text", "text": "Floors."}],
                    },
                    {"type": "text", "text": "five"},
                ],
            },
        ],
    }
    assert post(house, body).status_code == 200
    said = [(m.role, m.content) for m in engine.requests[-1].messages]
    assert engine.requests[-1].messages[2].reasoning == "Hm"
    assert said == [
        ("system", "You are brief.\n\nYou are kind."),
        ("user", "One\ntwo\n\nthree"),
        ("assistant", "four"),
        ("user", "House\nIt is warm.\nA stove.\nHeat\nnotes\nFloors.\nfive"),
    ]


def test_what_the_system_says_in_between_suits_every_template(
    house: House, engine: ScriptedEngine
) -> None:
    """Claude Code speaks as the system after the first turn, and later again."""
    messages = [
        {"role": "user", "content": "One"},
        {"role": "system", "content": "It is Sunday."},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
        {"role": "system", "content": [{"type": "text", "text": "It is late."}]},
    ]
    assert post(house, BODY | {"system": "Be kind.", "messages": messages}).status_code == 200
    assert [(m.role, m.content) for m in engine.requests[-1].messages] == [
        ("system", "Be kind.\n\nIt is Sunday."),
        ("user", "One"),
        ("assistant", "two"),
        ("user", "three\n\n<system-reminder>\nIt is late.\n</system-reminder>"),
    ]


def test_a_prompt_that_is_too_long_is_told_in_words_that_clients_know(house: House) -> None:
    full = ContextLengthError(
        "The prompt has 700 tokens, but the context holds 512.", "Shorten it."
    )
    house.pool.engines[CHAT] = Failing(full)
    response = post(house, BODY)
    assert response.status_code == 400
    said = response.json()["error"]["message"]
    assert said == "prompt is too long: 700 tokens > 512 maximum. Shorten it."


def test_every_setting_reaches_the_engine(house: House, engine: ScriptedEngine) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    how = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 7,
        "stop_sequences": ["END", ""],
        "output_config": {"format": {"type": "json_schema", "schema": schema}, "effort": "low"},
        "metadata": {"user_id": "someone"},
        "service_tier": "auto",
        "context_management": {"edits": []},
        "tools": None,
        "tool_choice": None,
    }
    assert post(house, BODY | how).status_code == 200
    options = engine.requests[-1].options
    assert (options.temperature, options.top_p, options.top_k) == (0.5, 0.9, 7)
    assert (options.max_tokens, options.stop, options.json_schema) == (100, ("END",), schema)


def test_the_clients_own_output_format_is_a_schema(
    house: House, client: anthropic.Anthropic
) -> None:
    class Stove(BaseModel):
        place: str

    engine = script(house, '{"place":"under the floor"}')
    message = client.messages.parse(
        model=CHAT, max_tokens=50, messages=QUESTION, output_format=Stove
    )
    assert message.parsed_output == Stove(place="under the floor")
    schema = engine.requests[-1].options.json_schema
    assert schema is not None and schema["properties"]["place"] == {
        "title": "Place",
        "type": "string",
    }


def test_an_end_says_why(house: House) -> None:
    script(house, "one two END three")

    def ended(**how: Any) -> tuple[Any, Any]:
        whole = post(house, BODY | how).json()
        streamed = events(house, BODY | how)[-2]["delta"]
        assert streamed == {k: whole[k] for k in ("stop_reason", "stop_sequence")}
        return whole["stop_reason"], whole["stop_sequence"]

    assert ended() == ("end_turn", None)
    assert ended(max_tokens=2) == ("max_tokens", None)
    assert ended(stop_sequences=["###"]) == ("end_turn", None)
    assert ended(stop_sequences=["###", " END"]) == ("stop_sequence", " END")


def test_a_context_that_is_full_before_max_tokens_is_said_to_be(house: House) -> None:
    class Full(ScriptedEngine):
        def generate(self, messages, options):
            return super().generate(messages, replace(options, max_tokens=3))

    house.pool.engines[CHAT] = Full([REPLY], model=CHAT)
    assert post(house, BODY).json()["stop_reason"] == "model_context_window_exceeded"


def test_no_tokens_fill_the_cache_and_say_nothing(house: House) -> None:
    body = post(house, BODY | {"max_tokens": 0}).json()
    assert (body["content"], body["stop_reason"]) == ([], "max_tokens")


THOUGHTFUL = Said("Warm floors.", reasoning="The stove is below.")


def able_to_think(house: House, monkeypatch: pytest.MonkeyPatch, *able: str) -> ScriptedEngine:
    """The chat model can do more than chat."""
    from ondol.server.anthropic import routes as endpoints

    ask = endpoints.asked

    def asked(*args: Any) -> Any:
        what = ask(*args)
        return replace(what, model=replace(what.model, capabilities=("completion", *able)))

    monkeypatch.setattr(endpoints, "asked", asked)
    return script(house, THOUGHTFUL)


@pytest.mark.parametrize(
    ("how", "think", "blocks"),
    [
        ({}, False, ["text"]),
        ({"thinking": {"type": "disabled"}}, False, ["text"]),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, True, ["thinking", "text"]),
        ({"thinking": {"type": "adaptive"}}, None, ["thinking", "text"]),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
            "high",
            ["thinking", "text"],
        ),
        ({"output_config": {"effort": "max"}}, False, ["text"]),
    ],
)
def test_thinking_is_a_block_where_it_is_asked_for(
    house: House, monkeypatch: pytest.MonkeyPatch, how: Any, think: Any, blocks: list[str]
) -> None:
    engine = able_to_think(house, monkeypatch, "thinking")
    assert [b["type"] for b in post(house, BODY | how).json()["content"]] == blocks
    assert engine.requests[-1].options.think == think


def test_a_model_that_cannot_think_is_not_told_to(house: House, engine: ScriptedEngine) -> None:
    how = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    assert post(house, BODY | how).status_code == 200
    assert engine.requests[-1].options.think is None


def test_streamed_thinking_is_signed(
    house: House, monkeypatch: pytest.MonkeyPatch, client: anthropic.Anthropic
) -> None:
    able_to_think(house, monkeypatch, "thinking")
    with client.messages.stream(
        model=CHAT,
        max_tokens=2000,
        messages=QUESTION,
        thinking={"type": "enabled", "budget_tokens": 1024},
    ) as stream:
        thought = "".join(event.thinking for event in stream if event.type == "thinking")
        message = stream.get_final_message()
    thinking, text = message.content
    assert thought == thinking.thinking == "The stove is below."
    assert thinking.signature and text.text == "Warm floors."
    # A client sends it back as it is.
    again = client.messages.create(
        model=CHAT,
        max_tokens=10,
        messages=[*QUESTION, {"role": "assistant", "content": message.content}, *QUESTION],
    )
    assert again.stop_reason == "end_turn"


def test_thinking_may_be_left_out_of_the_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    able_to_think(house, monkeypatch, "thinking")
    how = {"thinking": {"type": "adaptive", "display": "omitted"}}
    thinking, _ = post(house, BODY | how).json()["content"]
    assert thinking["thinking"] == "" and thinking["signature"]
    said = [e for e in events(house, BODY | how) if e["type"] == "content_block_delta"]
    kinds_of = [e["delta"]["type"] for e in said]
    assert "thinking_delta" not in kinds_of and "signature_delta" in kinds_of


def image(source: dict[str, Any]) -> list[Any]:
    return [{"role": "user", "content": [{"type": "image", "source": source}]}]


def test_a_model_that_sees_gets_the_image(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = able_to_think(house, monkeypatch, "vision")
    data = base64.b64encode(PNG).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    assert post(house, BODY | {"messages": image(source)}).status_code == 200
    assert engine.requests[-1].messages[0].images == (PNG,)


def test_a_result_may_hold_an_image(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = able_to_think(house, monkeypatch, "vision")
    data = base64.b64encode(PNG).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    result = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": image(source)[0]["content"],
    }
    messages = [*QUESTION, {"role": "user", "content": [result]}]
    assert post(house, BODY | {"messages": messages}).status_code == 200
    assert engine.requests[-1].messages[1].images == (PNG,)


def count(house: House, **how: Any) -> int:
    body = {"model": CHAT, "messages": QUESTION} | how
    response = post(house, body, "/v1/messages/count_tokens")
    assert response.status_code == 200, response.text
    assert response.headers["request-id"].startswith("req_")
    return response.json()["input_tokens"]


def test_tokens_are_counted_as_they_would_be_read(
    house: House, client: anthropic.Anthropic
) -> None:
    counted = client.messages.count_tokens(
        model=CHAT, messages=QUESTION, system="Be brief.", tools=[WEATHER]
    )
    read = client.messages.create(
        model=CHAT, max_tokens=5, messages=QUESTION, system="Be brief.", tools=[WEATHER]
    )
    assert counted.input_tokens == read.usage.input_tokens
    assert count(house) < count(house, system="Be brief.") < counted.input_tokens


def test_what_the_cache_had_is_not_counted_twice(house: House) -> None:
    class Warm(ScriptedEngine):
        def generate(self, messages, options):
            usage = Usage(prompt_tokens=50, completion_tokens=1, cached_tokens=40)
            tokens = [Token("yes"), Token("", finish_reason="stop", usage=usage)]
            return Generation(lambda cancellation: (token for token in tokens))

    house.pool.engines[CHAT] = Warm(model=CHAT)
    usage = post(house, BODY).json()["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (10, 40)
    assert usage["cache_creation_input_tokens"] == 0
    assert events(house, BODY)[-2]["usage"] == usage


def block(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [fields]}]}


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "assistant", "content": [{"type": "thinking"}]}]}, "at least one"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "There is no role tool"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": "hi"}, "messages"),
        (
            block(type="image", source={"type": "url", "url": "http://169.254.169.254/"}),
            "no address",
        ),
        (block(type="image", source={"type": "file", "file_id": "x"}), "no file is kept"),
        (block(type="image", source={"type": "base64", "data": "?"}), "not an image"),
        (block(type="image"), "not an image"),
        (
            block(type="image", source={"type": "base64", "data": base64.b64encode(PNG).decode()}),
            "does not support vision",
        ),
        (block(type="document", source={"type": "url", "url": "http://10.0.0.1/"}), "type text"),
        (block(type="document", source={"type": "base64", "data": "eA=="}), "type text"),
        (block(type="server_tool_use", id="x", name="web_search"), "server_tool_use"),
        (block(type="tool_result", content="x"), "tool_use_id is required"),
        (block(type="tool_use", id="x", name="y"), "tool_use"),
        ({"system": [{"type": "image"}]}, "image"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "bash_20250124"),
        ({"tools": [{"name": "no good", "input_schema": {}}]}, "1 to 128 letters"),
        ({"tools": [{"name": "x"}]}, "input_schema is required"),
        ({"tools": [CLOCK, CLOCK]}, "same name"),
        ({"tools": [CLOCK | {"name": f"t{i}"} for i in range(513)]}, "512 tools"),
        ({"tools": [CLOCK], "tool_choice": {"type": "tool", "name": "x"}}, "not offered"),
        ({"tool_choice": {"type": "any"}}, "no tools are offered"),
        ({"tool_choice": {"type": "perhaps"}}, "tool_choice"),
        ({"output_config": {"format": {"type": "xml"}}}, "json_schema"),
        ({"output_format": {"type": "json_schema"}}, "json_schema"),
        ({"mcp_servers": [{"type": "url", "url": "http://x"}]}, "MCP servers"),
        ({"temperature": 3}, "temperature"),
        ({"thinking": {"type": "much"}}, "thinking"),
        ({"model": EMBEDDING}, "does not support chat"),
        ({"model": " "}, "model is required"),
    ],
)
def test_what_cannot_be_done_is_a_400_that_says_why(
    house: House, how: dict[str, Any], says: str
) -> None:
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        if path.endswith("tokens") and {"max_tokens", "temperature"} & set(how):
            continue
        response = post(house, BODY | how, path)
        body = response.json()
        assert response.status_code == 400, body
        assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
        assert says in body["error"]["message"]
        assert body["request_id"] == response.headers["request-id"]


class Failing(ScriptedEngine):
    """Fails before its first word."""

    def __init__(self, error: Exception) -> None:
        super().__init__(["yes"], model=CHAT, fail_after=0, error=error)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "status", "kind", "raised"),
    [
        (ContextLengthError("too long"), 400, "invalid_request_error", anthropic.BadRequestError),
        (EngineBusyError("full"), 529, "overloaded_error", anthropic.APIStatusError),
        (EngineCrashedError("gone"), 500, "api_error", anthropic.InternalServerError),
        (EngineError("bad"), 500, "api_error", anthropic.InternalServerError),
        (EngineTimeoutError("slow"), 504, "timeout_error", anthropic.APIStatusError),
    ],
)
def test_failures_are_the_clients_own_exceptions(
    house: House, client: anthropic.Anthropic, error: Any, status: int, kind: str, raised: Any
) -> None:
    house.pool.engines[CHAT] = Failing(error)
    for stream in (False, True):
        with pytest.raises(raised) as failure:
            client.messages.create(model=CHAT, max_tokens=10, messages=QUESTION, stream=stream)
        assert (failure.value.status_code, failure.value.type) == (status, kind)
        assert (failure.value.request_id or "").startswith("req_")


def test_a_busy_server_is_asked_again_by_the_client(house: House) -> None:
    class BusyOnce(ScriptedEngine):
        times = 0

        def generate(self, messages, options):
            BusyOnce.times += 1
            if BusyOnce.times == 1:
                raise EngineBusyError("full", retry_after_seconds=0)
            return super().generate(messages, options)

    house.pool.engines[CHAT] = BusyOnce([REPLY], model=CHAT)
    with anthropic.Anthropic(base_url=house.url, api_key="any", max_retries=1) as client:
        message = client.messages.create(model=CHAT, max_tokens=100, messages=QUESTION)
    assert message.content[0].text == REPLY and BusyOnce.times == 2


def test_a_model_that_is_not_here_is_not_found(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as failure:
        client.messages.create(model="claude-nowhere", max_tokens=10, messages=QUESTION)
    assert failure.value.type == "not_found_error"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.count_tokens(model="claude-nowhere", messages=QUESTION)


def test_a_failure_in_the_middle_ends_the_stream_with_an_error(
    house: House, client: anthropic.Anthropic
) -> None:
    house.pool.engines[CHAT] = GatedEngine(error=EngineCrashedError("The model process ended."))
    found = events(house, BODY)
    assert found[-1]["type"] == "error"
    assert found[-1]["error"] == {"type": "api_error", "message": "The model process ended."}
    house.pool.engines[CHAT] = GatedEngine(error=EngineCrashedError("The model process ended."))
    with (
        pytest.raises(anthropic.APIStatusError, match="The model process ended"),
        client.messages.stream(model=CHAT, max_tokens=10, messages=QUESTION) as stream,
    ):
        stream.until_done()


def test_a_client_that_hangs_up_stops_the_model(house: House, client: anthropic.Anthropic) -> None:
    engine = house.pool.engines[CHAT] = GatedEngine()
    with client.messages.stream(model=CHAT, max_tokens=1000, messages=QUESTION) as stream:
        next(iter(stream))
    assert engine.closed.wait(10)


def test_errors_of_the_door_have_the_clients_shape(house: House) -> None:
    for path, method, status, kind in (
        ("/v1/messages", "GET", 405, "invalid_request_error"),
        ("/v1/messages/batches", "POST", 404, "not_found_error"),
    ):
        with house.client() as client:
            response = client.request(method, path, json={})
        assert (response.status_code, response.json()["error"]["type"]) == (status, kind)
    with house.client() as client:
        response = client.post(
            "/v1/messages", json=BODY, headers={"Origin": "https://evil.example"}
        )
    assert (response.status_code, response.json()["error"]["type"]) == (403, "permission_error")


def test_a_request_as_claude_code_sends_it_is_answered(house: House) -> None:
    """System blocks, many tools, cache marks, beta headers, and a query that says so."""
    engine = script(house, CALLING)
    tools = [WEATHER, CLOCK, *({**CLOCK, "name": f"Tool{i}"} for i in range(30))]
    body = {
        "model": CHAT,
        "max_tokens": 32000,
        "stream": True,
        "metadata": {"user_id": "user_x_account__session_y"},
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=00000;"},
            {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<system-reminder>\nBe kind.\n</system-reminder>"},
                    {
                        "type": "text",
                        "text": "What is the weather?",
                        "cache_control": {"type": "ephemeral", "ttl": "1h"},
                    },
                ],
            }
        ],
        "tools": [{**tool, "eager_input_streaming": True} for tool in tools],
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
    }
    headers = {
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,next-2030-01-01",
        "x-api-key": "any",
        "x-app": "cli",
        "anthropic-dangerous-direct-browser-access": "true",
    }
    response = post(house, body, "/v1/messages?beta=true", headers=headers)
    assert response.status_code == 200
    assert response.text.count('"tool_use"') >= 2
    assert len(engine.requests[-1].options.tools) == 32
    assert engine.requests[-1].messages[0].content == "You are an agent."
    counted = {name: body[name] for name in ("model", "messages", "system", "tools", "thinking")}
    path = "/v1/messages/count_tokens?beta=true"
    assert post(house, counted, path, headers=headers).json()["input_tokens"] > 30


def test_the_beta_client_speaks_too(client: anthropic.Anthropic) -> None:
    message = client.beta.messages.create(
        model=CHAT, max_tokens=100, messages=QUESTION, betas=["interleaved-thinking-2025-05-14"]
    )
    assert message.content[0].text == REPLY


def test_what_is_known_of_an_answer_comes_where_it_is_asked_for(house: House) -> None:
    plain = post(house, BODY)
    assert "ondol" not in plain.json() and plain.headers["Ondol-Route"] == "local"
    assert post(house, BODY | {"ondol": True}).json()["ondol"]["route"] == "local"
    assert events(house, BODY | {"ondol": True})[-1]["ondol"]["route"] == "local"


def test_models_are_listed_for_the_client(client: anthropic.Anthropic) -> None:
    page = client.models.list()
    assert EMBEDDING not in [model.id for model in page.data]
    found = next(model for model in page.data if model.id == CHAT)
    assert (found.type, found.display_name, found.lifecycle) == ("model", CHAT, "active")
    assert found.created_at.tzinfo is not None
    assert found.max_input_tokens == 2048
    assert found.capabilities is not None and not found.capabilities.image_input.supported
    assert client.models.retrieve(CHAT).id == CHAT


def test_models_come_page_by_page(
    house: House, client: anthropic.Anthropic, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = house.parts.store.get(CHAT)
    many = [(replace(model, name=f"m{number}"), "") for number in range(5)]
    monkeypatch.setattr("ondol.server.openai.routes.listed", lambda parts: many)
    names = [found.name for found, _ in many]
    for limit in (1, 2, 5, 20):
        assert [found.id for found in client.models.list(limit=limit)] == names
    back = client.models.list(limit=2, before_id="m4")
    assert ([found.id for found in back.data], back.has_more) == (["m2", "m3"], True)
    assert [found.id for found in back.get_next_page().data] == ["m0", "m1"]
    assert client.models.list(after_id="m4").data == []


@pytest.mark.parametrize("wrong", ["limit=0", "limit=x", "limit=1001", "after_id=nobody"])
def test_a_page_that_there_is_not_is_a_400(house: House, wrong: str) -> None:
    with house.client(headers={"anthropic-version": "2023-06-01"}) as raw:
        response = raw.get(f"/v1/models?{wrong}")
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_model_that_cannot_chat_is_none_of_the_clients(client: anthropic.Anthropic) -> None:
    for name in (EMBEDDING, "nobody"):
        with pytest.raises(anthropic.NotFoundError) as failure:
            client.models.retrieve(name)
        assert failure.value.type == "not_found_error"


def test_others_still_get_the_models_as_openai_has_them(house: House) -> None:
    with house.client() as raw:
        assert raw.get("/v1/models").json()["object"] == "list"
        assert raw.get(f"/v1/models/{CHAT}").json()["object"] == "model"


def test_the_clients_key_opens_the_door_and_another_does_not(tmp_path: Path) -> None:
    how: dict[str, Any] = {"model": CHAT, "max_tokens": 10, "messages": QUESTION}
    with scripted_house(tmp_path, {"ONDOL_API_KEY": "secret"}) as house:
        for key in ({"api_key": "secret"}, {"auth_token": "secret"}):
            with anthropic.Anthropic(base_url=house.url, max_retries=0, **key) as client:
                assert client.messages.create(**how).role == "assistant"
                assert client.models.list().data
        with anthropic.Anthropic(base_url=house.url, api_key="wrong", max_retries=0) as stranger:
            for ask in (lambda: stranger.messages.create(**how), stranger.models.list):
                with pytest.raises(anthropic.AuthenticationError):
                    ask()
            with pytest.raises(anthropic.AuthenticationError) as failure:
                stranger.messages.create(**how)
    assert failure.value.type == "authentication_error"

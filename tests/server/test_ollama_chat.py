"""Ollama's chat and generate beyond plain text: tools, thinking, pictures, what does not fit."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import ollama
import pytest
from house import CHAT, EMBEDDING, House
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.engine.scripted import Said, ScriptedEngine
from ondol.errors import ContextLengthError
from ondol.server.calling import CallsInStream, arguments_of, arguments_text
from ondol.types import GenerateOptions, Message, Token, ToolCall, ToolCallDelta

QUESTION = [{"role": "user", "content": "What is the weather in Busan and in Seoul?"}]
CHAT_BODY = {"model": CHAT, "messages": QUESTION}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
CALLS = (
    ToolCall("call_1", "weather", '{"city": "Busan"}'),
    ToolCall("call_2", "weather", '{"city": "서울", "days": 3}'),
)
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\nnot much of one").decode()


class Engine(ScriptedEngine):
    """A scripted one that fills in the middle too, and takes ``most`` messages besides the system's
    where it is told to."""

    most: int | None = None
    infilled: tuple[str, str] | None = None

    def infill(self, prefix: str, suffix: str, options: GenerateOptions) -> Any:
        self.infilled = (prefix, suffix)
        return self.complete(prefix, options)

    def generate(self, messages: Any, options: GenerateOptions) -> Any:
        turns = [m for m in messages if m.role != "system"]
        if self.most is not None and len(turns) > self.most:
            return self._refusing()
        return super().generate(messages, options)

    def _refusing(self) -> Iterator[Token]:
        raise ContextLengthError("The prompt has 9 tokens; the context holds 5.")
        yield


@pytest.fixture
def engine(house: House) -> Iterator[Engine]:
    """A model that can do everything."""
    store = house.parts.store
    before = store.get(CHAT)
    can = ("completion", "tools", "thinking", "vision", "insert")
    with store.lock():
        store.put(replace(before, capabilities=can))
    house.pool.engines[CHAT] = engine = Engine(
        [Said("Let me look.", "hm", CALLS), "It is sunny."], model=CHAT
    )
    yield engine
    with store.lock():
        store.put(before)


@pytest.fixture
def client(house: House):
    with ollama.Client(host=house.url, trust_env=False, verify=False) as client:
        yield client


def post(house: House, path: str, body: object) -> Any:
    with house.client() as client:
        return client.post(path, json=body)


def lines(house: House, path: str, body: object) -> list[Any]:
    response = post(house, path, body)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def test_calls_come_with_their_arguments_as_objects(client: ollama.Client, engine: Engine) -> None:
    answer = client.chat(model=CHAT, messages=QUESTION, tools=[WEATHER])
    assert [(c.function.name, c.function.arguments) for c in answer.message.tool_calls or ()] == [
        ("weather", {"city": "Busan"}),
        ("weather", {"city": "서울", "days": 3}),
    ]
    assert answer.message.content == "Let me look." and answer.done_reason == "stop"
    asked = engine.requests[-1].options
    assert (asked.tools[0].name, asked.tool_choice) == ("weather", "auto")
    assert asked.tools[0].parameters["required"] == ["city"]


def test_a_streamed_call_is_whole_and_in_a_chunk_of_its_own(house: House, engine: Engine) -> None:
    *parts, last = lines(house, "/api/chat", CHAT_BODY | {"tools": [WEATHER]})
    calls = [p["message"]["tool_calls"] for p in parts if "tool_calls" in p["message"]]
    assert [len(one) for one in calls] == [1, 1]
    assert [one[0]["id"] for one in calls] == ["call_1", "call_2"]
    assert calls[1][0]["function"] == {
        "index": 1,
        "name": "weather",
        "arguments": {"city": "서울", "days": 3},
    }
    assert all(p["message"]["role"] == "assistant" for p in (*parts, last))
    assert last["done_reason"] == "stop" and "tool_calls" not in last["message"]


def test_a_result_is_given_back_under_the_name_or_the_id(house, client, engine) -> None:
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    answer = client.chat(model=CHAT, messages=QUESTION, tools=[weather])
    result = {"role": "tool", "tool_name": "weather", "content": "sunny"}
    turns: list[Any] = [*QUESTION, answer.message, result, result]
    assert client.chat(model=CHAT, messages=turns).message.content == "It is sunny."
    asked = engine.requests[-1].messages
    assert [c.name for c in asked[1].tool_calls] == ["weather", "weather"]
    assert json.loads(asked[1].tool_calls[0].arguments) == {"city": "Busan"}
    # This client does not say whose result it is: the first one belongs to the first call.
    ids = [call.id for call in asked[1].tool_calls]
    assert len(set(ids)) == 2 and [m.tool_call_id for m in asked[2:]] == ids
    named = [{**result, "tool_call_id": "call_9"}]
    assert post(house, "/api/chat", CHAT_BODY | {"messages": named}).status_code == 200
    assert engine.requests[-1].messages[0].tool_call_id == "call_9"


def test_what_was_thought_before_a_call_goes_back_with_it(house, engine: Engine) -> None:
    call = {"function": {"name": "weather", "arguments": "{}"}}
    turns = [*QUESTION, {"role": "assistant", "thinking": "hm", "tool_calls": [call]}]
    post(house, "/api/chat", {"model": CHAT, "messages": turns, "stream": False})
    said = engine.requests[-1].messages[-1]
    assert (said.content, said.reasoning, said.tool_calls[0].arguments) == ("", "hm", "{}")


def test_what_llm_sends_as_a_tools_result_is_read(house: House, engine: Engine) -> None:
    turns = [*QUESTION, {"role": "tool", "name": "weather", "content": "sunny"}]
    body = {"model": CHAT, "messages": turns, "stream": False}
    assert post(house, "/api/chat", body).status_code == 200
    assert engine.requests[-1].messages[-1] == Message("tool", "sunny", tool_name="weather")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tools": ["weather"]}, "tools[0]"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "no name"),
        ({"tools": [{"function": {"name": "a", "parameters": [1]}}]}, "JSON schema"),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"function": {"name": "a", "arguments": "{"}}],
                    }
                ]
            },
            "arguments must be a JSON object",
        ),
        ({"messages": [{"role": "assistant", "tool_calls": ["a"]}]}, "messages[0].tool_calls[0]"),
        ({"messages": [{"role": "user", "images": ["http://127.0.0.1/x.png"]}]}, "base64"),
        ({"messages": [{"role": "user", "images": ["data:image/png;base64,AAAA"]}]}, "base64"),
        ({"messages": [{"role": "user", "images": [7]}]}, "messages[0].images[0]"),
        ({"messages": [{"role": "user", "images": [""]}]}, "base64"),
    ],
)
def test_what_no_engine_could_use_is_a_400(house, engine, fields, words: str) -> None:
    response = post(house, "/api/chat", CHAT_BODY | fields)
    assert response.status_code == 400 and words in response.json()["error"]


def test_what_a_model_cannot_do_is_refused_in_ollamas_words(house, client, engine) -> None:
    store = house.parts.store
    with store.lock():
        store.put(replace(store.get(CHAT), capabilities=("completion", "none")))
    chat = {"model": CHAT, "messages": QUESTION}
    tries: list[tuple[str, dict[str, Any]]] = [
        ("tools", {"tools": [WEATHER]}),
        ("thinking", {"think": "low"}),
        ("vision", {"messages": [{"role": "user", "content": "?", "images": [PIXEL]}]}),
    ]
    for deed, body in tries:
        with pytest.raises(ollama.ResponseError) as caught:
            client.chat(**chat | body)
        assert caught.value.error == f'"{CHAT}" does not support {deed}'
    client.chat(**chat, tools=[], think=False)


@pytest.mark.parametrize("think", [True, False, "low", "max"])
@pytest.mark.parametrize("format", ["json", {"type": "object", "required": ["a"]}])
def test_a_format_holds_whatever_is_thought_and_offered(house, engine, think, format) -> None:
    body = CHAT_BODY | {"think": think, "format": format, "tools": [WEATHER]}
    parts = lines(house, "/api/chat", body)
    asked = engine.requests[-1].options
    assert asked.json_schema == ({"type": "object"} if format == "json" else format)
    assert asked.think == think and asked.tools
    thoughts = [p["message"].get("thinking", "") for p in parts]
    assert bool(any(thoughts)) is bool(think)
    said = [bool(p["message"]["content"]) for p in parts]
    if think:
        assert thoughts.index("hm") < said.index(True), "thoughts come before the answer"


def test_pictures_arrive_as_they_were_sent(client: ollama.Client, engine: Engine) -> None:
    picture = base64.b64decode(PIXEL)
    turns = [{"role": "user", "content": "What is this?", "images": [picture]}]
    client.chat(model=CHAT, messages=turns)
    assert engine.requests[-1].messages[-1].images == (picture,)
    client.generate(model=CHAT, prompt="And this?", images=[PIXEL])
    assert engine.requests[-1].messages[-1].images == (picture,)


def test_a_suffix_is_filled_in_before(client: ollama.Client, engine: Engine) -> None:
    client.generate(model=CHAT, prompt="def add(", suffix="return c")
    assert engine.infilled == ("def add(", "return c")


def test_a_long_chat_says_what_it_left_out(house: House, engine: Engine) -> None:
    engine.most = 1
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "one two"},
        {"role": "assistant", "content": "three"},
        {"role": "user", "content": "four"},
    ]
    body = {"model": CHAT, "messages": turns}
    assert lines(house, "/api/chat", body)[-1]["truncated"] == {"messages": 2, "tokens": 3}
    whole = post(house, "/api/chat", body | {"stream": False})
    assert whole.json()["truncated"] == {"messages": 2, "tokens": 3}
    assert whole.headers["Ondol-Truncated"] == "messages=2, tokens=3"
    assert [m.content for m in engine.requests[-1].messages] == ["Be kind.", "four"]
    refused = post(house, "/api/chat", body | {"truncate": False})
    assert refused.status_code == 400 and "9 tokens" in refused.json()["error"]


def test_what_fits_is_not_said_to_be_cut(house: House, engine: Engine) -> None:
    whole = post(house, "/api/chat", CHAT_BODY | {"stream": False})
    assert "truncated" not in whole.json() and "Ondol-Truncated" not in whole.headers


def test_what_was_called_for_the_last_question_is_never_left_out(house, engine: Engine) -> None:
    engine.most = 2
    call = {"function": {"name": "weather", "arguments": {}}}
    turns = [
        *QUESTION,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "sunny"},
    ]
    refused = post(house, "/api/chat", {"model": CHAT, "messages": turns})
    assert refused.status_code == 400 and "9 tokens" in refused.json()["error"]


def test_another_servers_context_is_told_to_be_ignored(house: House, engine: Engine) -> None:
    body = {"model": CHAT, "prompt": "And?", "context": [128006, 882, -1, 271], "stream": False}
    answer = post(house, "/api/generate", body).json()
    assert answer["ignored"] == ["context"]
    body["context"] = answer["context"]
    assert "ignored" not in post(house, "/api/generate", body).json()
    assert [m.role for m in engine.requests[-1].messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize("path", ["/api/embed", "/api/embeddings"])
def test_a_text_that_is_cut_before_it_is_embedded_is_named(house: House, path: str) -> None:
    long = "word " * 5000
    body = {"model": EMBEDDING, "input": ["short", long], "prompt": long}
    response = post(house, path, body)
    place = 1 if path == "/api/embed" else 0
    cut = response.json()["truncated"]
    assert cut["inputs"] == [place] and cut["tokens"] > 800
    assert response.headers["Ondol-Truncated"] == f"inputs=1, tokens={cut['tokens']}"
    short = post(house, path, {"model": EMBEDDING, "input": "short", "prompt": "short"})
    assert "truncated" not in short.json()


def test_the_asynchronous_client_does_all_of_it(house: House, engine: Engine) -> None:
    async def talk(client: ollama.AsyncClient) -> None:
        called: list[Any] = []
        how = {"model": CHAT, "messages": QUESTION, "tools": [WEATHER]}
        async for part in await client.chat(**how, stream=True):
            called += part.message.tool_calls or []
        assert [one.function.arguments["city"] for one in called] == ["Busan", "서울"]
        assert (await client.generate(model=CHAT, prompt="?")).response == "It is sunny."
        assert CHAT in [m.model for m in (await client.list()).models]
        with pytest.raises(ollama.ResponseError):
            await client.show("nobody")

    async def visit() -> None:
        async with ollama.AsyncClient(host=house.url, trust_env=False, verify=False) as client:
            await talk(client)

    asyncio.run(visit())


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3)),
    st.data(),
)
def test_however_calls_are_cut_up_they_come_back_whole(arguments, data) -> None:
    tokens = []
    for index, one in enumerate(arguments):
        text = arguments_text(one, "")
        tokens.append(Token("", tool_call=ToolCallDelta(index, "", f"call_{index}", "f")))
        while text:
            size = data.draw(st.integers(1, len(text)))
            tokens.append(Token("", tool_call=ToolCallDelta(index, text[:size])))
            text = text[size:]
    tokens.append(Token("", finish_reason="tool_calls"))
    calls = CallsInStream()
    found = [call for token in tokens for call in calls.after(token)]
    assert [index for index, _ in found] == list(range(len(arguments)))
    assert [arguments_of(call) for _, call in found] == arguments


def test_a_call_that_was_cut_off_is_not_passed_on(house: House, engine: Engine) -> None:
    engine._replies = [Said("", tool_calls=(ToolCall("call_1", "weather", '{"city": "Bus'),))]
    body = CHAT_BODY | {"tools": [WEATHER]}
    assert not any("tool_calls" in part["message"] for part in lines(house, "/api/chat", body))
    whole = post(house, "/api/chat", body | {"stream": False}).json()
    assert "tool_calls" not in whole["message"]

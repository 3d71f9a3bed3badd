"""Tools, choices, images and token ids in OpenAI's chats and completions, with its own client."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest
from house import CHAT, REPLY, House
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from ondol.engine.scripted import Said, ScriptedEngine
from ondol.models import store
from ondol.types import GenerateOptions, Message, Token, ToolCall, Usage

ASK = [{"role": "user", "content": "How warm is it in Seoul and in Busan?"}]
WARMTH = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
TOOL: Any = {
    "type": "function",
    "function": {"name": "warmth", "description": "Degrees in a city", "parameters": WARMTH},
}
OTHER: Any = {"type": "function", "function": {"name": "clock"}}
CALLS = (
    ToolCall("call_a", "warmth", '{"city": "Seoul"}'),
    ToolCall("b", "warmth", '{"city": "부산"}'),
)
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8
PICTURE = "data:image/png;base64," + base64.b64encode(PNG).decode()


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def engine(house: House) -> ScriptedEngine:
    engine = ScriptedEngine([Said("", "Two cities.", CALLS)], model=CHAT)
    house.pool.engines[CHAT] = engine
    return engine


def post(house: House, path: str, body: object) -> Any:
    with house.client() as client:
        return client.post(path, json=body)


def refused(house: House, fields: dict[str, Any], path: str = "/v1/chat/completions") -> Any:
    response = post(house, path, {"model": CHAT, "messages": ASK} | fields)
    assert response.status_code == 400, response.text
    return response.json()["error"]


def test_a_model_calls_tools(client: openai.OpenAI, engine: ScriptedEngine) -> None:
    completion = client.chat.completions.create(model=CHAT, messages=ASK, tools=[TOOL])
    ChatCompletion.model_validate(completion.model_dump(), strict=True)
    (choice,) = completion.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    calls = choice.message.tool_calls or []
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Seoul", "부산"]
    assert all(call.id.startswith("call_") and call.type == "function" for call in calls)
    options = engine.requests[-1].options
    assert [tool.name for tool in options.tools] == ["warmth"]
    assert options.tools[0].parameters == WARMTH
    assert (options.tool_choice, options.parallel_tool_calls) == ("auto", True)


def test_calls_are_streamed_as_pieces(house: House, client, engine) -> None:
    stream = client.chat.completions.create(
        model=CHAT,
        messages=ASK,
        tools=[TOOL],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk for chunk in stream if ChatCompletionChunk.model_validate(chunk.model_dump())]
    pieces = [p for c in chunks if c.choices for p in c.choices[0].delta.tool_calls or []]
    firsts = [p for p in pieces if p.id]
    assert [(p.index, p.function.name, p.function.arguments) for p in firsts] == [
        (0, "warmth", ""),
        (1, "warmth", ""),
    ]
    assert all(p.id.startswith("call_") and p.type == "function" for p in firsts)
    for index, call in enumerate(CALLS):
        said = "".join(p.function.arguments for p in pieces if p.index == index)
        assert said == call.arguments
    reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert reasons[-1] == "tool_calls" and set(reasons[:-1]) == {None}
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens == 2
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens == 0


def test_the_clients_own_accumulator_reads_the_stream(client: openai.OpenAI, engine) -> None:
    with client.chat.completions.stream(model=CHAT, messages=ASK, tools=[TOOL]) as stream:
        completion = stream.get_final_completion()
    calls = completion.choices[0].message.tool_calls or []
    assert [call.function.arguments for call in calls] == [call.arguments for call in CALLS]


def test_results_go_back_with_their_calls(client: openai.OpenAI, engine: ScriptedEngine) -> None:
    asked = client.chat.completions.create(model=CHAT, messages=ASK, tools=[TOOL])
    said = asked.choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "20"} for call in said.tool_calls or []
    ]
    client.chat.completions.create(model=CHAT, messages=[*ASK, said, *results], tools=[TOOL])
    user, assistant, *tools = engine.requests[-1].messages
    assert (user.role, assistant.role, assistant.content) == ("user", "assistant", "")
    assert [call.arguments for call in assistant.tool_calls] == [c.arguments for c in CALLS]
    assert [m.tool_call_id for m in tools] == [call.id for call in assistant.tool_calls]
    assert {(m.role, m.content, m.tool_name) for m in tools} == {("tool", "20", "warmth")}


NAMED = {"type": "function", "function": {"name": "warmth"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED]}}


@pytest.mark.parametrize(
    ("choice", "names", "wanted"),
    [
        (None, ["warmth", "clock"], "auto"),
        ("auto", ["warmth", "clock"], "auto"),
        ("none", ["warmth", "clock"], "none"),
        ("required", ["warmth", "clock"], "required"),
        (NAMED, ["warmth"], "required"),
        (ALLOWED, ["warmth"], "auto"),
    ],
)
def test_a_choice_says_what_may_be_called(house, engine, choice, names, wanted) -> None:
    body = {
        "model": CHAT,
        "messages": ASK,
        "tools": [TOOL, OTHER],
        "tool_choice": choice,
        "parallel_tool_calls": False,
    }
    assert post(house, "/v1/chat/completions", body).status_code == 200
    options = engine.requests[-1].options
    assert ([tool.name for tool in options.tools], options.tool_choice) == (names, wanted)
    assert options.parallel_tool_calls is False


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0]", "no name"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]", "not a function"),
        ({"tools": ["warmth"]}, "tools[0]", "not a function"),
        ({"tools": [TOOL, TOOL]}, "tools", "same name"),
        ({"tools": [TOOL], "tool_choice": "maybe"}, "tool_choice", "auto, none"),
        ({"tool_choice": "required"}, "tool_choice", "none"),
        ({"tools": [OTHER], "tool_choice": NAMED}, "tool_choice", "warmth"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice", "auto"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "x"}]}]}, "messages", "name"),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "x", "function": {"name": "a", "arguments": "[1]"}}],
                    }
                ]
            },
            "messages[0]",
            "JSON object",
        ),
        ({"reasoning_effort": "very"}, "reasoning_effort", "minimal"),
        ({"modalities": ["text", "audio"]}, "modalities", "text"),
        ({"web_search_options": {"a": 1}}, "web_search_options", "not supported"),
    ],
)
def test_a_wrong_tool_is_a_400_that_names_the_field(house, fields, param, words) -> None:
    error = refused(house, fields)
    assert error["param"] == param and words in error["message"]


def test_old_functions_are_tools(house: House, engine: ScriptedEngine) -> None:
    body = {
        "model": CHAT,
        "messages": [
            *ASK,
            {"role": "assistant", "content": None, "function_call": {"name": "warmth"}},
            {"role": "function", "name": "warmth", "content": "20"},
        ],
        "functions": [TOOL["function"]],
        "function_call": {"name": "warmth"},
    }
    choice = post(house, "/v1/chat/completions", body).json()["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"]["name"] == "warmth"
    request = engine.requests[-1]
    assert request.options.tool_choice == "required"
    assert request.messages[-1].tool_call_id == request.messages[-2].tool_calls[0].id != ""
    text = post(house, "/v1/chat/completions", body | {"stream": True}).text
    deltas = [
        json.loads(line[6:])["choices"][0]["delta"]
        for line in text.splitlines()
        if line.startswith("data: {")
    ]
    said = [delta["function_call"] for delta in deltas if "function_call" in delta]
    assert said[0] == {"name": "warmth", "arguments": ""}
    assert "Seoul" in "".join(piece["arguments"] for piece in said)


def test_a_cut_call_ends_with_length(house: House) -> None:
    class Cut(ScriptedEngine):
        def generate(self, messages, options):
            for token in super().generate(messages, options):
                yield replace(token, finish_reason="length") if token.finish_reason else token

    house.pool.engines[CHAT] = Cut([Said("", "", CALLS)], model=CHAT)
    body = {"model": CHAT, "messages": ASK, "tools": [TOOL]}
    choice = post(house, "/v1/chat/completions", body).json()["choices"][0]
    assert choice["finish_reason"] == "length" and choice["message"]["tool_calls"]


@pytest.mark.parametrize("stream", [False, True])
def test_several_choices_are_several_answers(client, house: House, stream: bool) -> None:
    engine = ScriptedEngine(["one two", "three", "four"], model=CHAT)
    house.pool.engines[CHAT] = engine
    how: dict[str, Any] = {"model": CHAT, "messages": ASK, "n": 3, "seed": 7}
    said = {0: "", 1: "", 2: ""}
    if stream:
        options = {"include_usage": True}
        chunks = list(client.chat.completions.create(**how, stream=True, stream_options=options))
        for choice in (choice for chunk in chunks for choice in chunk.choices):
            said[choice.index] += choice.delta.content or ""
        roles = [c.choices[0].index for c in chunks if c.choices and c.choices[0].delta.role]
        assert roles == [0, 1, 2]
        usage = chunks[-1].usage
        assert [chunk.usage is None for chunk in chunks].count(False) == 1
    else:
        completion = client.chat.completions.create(**how)
        said |= {choice.index: choice.message.content for choice in completion.choices}
        usage = completion.usage
    assert said == {0: "one two", 1: "three", 2: "four"}
    assert [request.options.seed for request in engine.requests] == [7, 8, 9]
    # The prompt is counted once.
    assert usage.prompt_tokens == 9 and usage.completion_tokens == 4


def test_prompts_and_choices_are_numbered_through(client, house: House) -> None:
    house.pool.engines[CHAT] = ScriptedEngine({"a": " A", "b": " B"}, model=CHAT)
    completion = client.completions.create(model=CHAT, prompt=["a", "b"], n=2, best_of=2, echo=True)
    assert [(c.index, c.text) for c in completion.choices] == [
        (0, "a A"),
        (1, "a A"),
        (2, "b B"),
        (3, "b B"),
    ]
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (2, 4)
    parts = list(client.completions.create(model=CHAT, prompt=["a", "b"], stream=True, echo=True))
    for index, text in ((0, "a A"), (1, "b B")):
        assert "".join(p.choices[0].text for p in parts if p.choices[0].index == index) == text


class WithTokens(ScriptedEngine):
    """Knows token ids, and fills gaps: a token is a letter and its id the letter's number."""

    def __init__(self) -> None:
        super().__init__(["filled"], model=CHAT)
        self.infilled: list[tuple[str, str]] = []

    def detokenize(self, ids):
        return "".join(map(chr, ids))

    def tokenize(self, text):
        return [ord(letter) for letter in text]

    def infill(self, prefix, suffix, options):
        self.infilled.append((prefix, suffix))
        return self.complete(prefix, options)


def test_token_ids_are_a_prompt(client: openai.OpenAI, house: House) -> None:
    house.pool.engines[CHAT] = engine = WithTokens()
    ids = [ord(letter) for letter in "온돌"]
    client.completions.create(model=CHAT, prompt=ids)
    assert engine.requests[-1].prompt == "온돌"
    completion = client.completions.create(model=CHAT, prompt=[ids, ids[:1]], echo=True)
    assert [c.text for c in completion.choices] == ["온돌filled", "온filled"]


def test_a_bias_by_id_reaches_the_engine_by_text(client: openai.OpenAI, house: House) -> None:
    house.pool.engines[CHAT] = engine = WithTokens()
    bias = {"97": -100, "98": 5}
    client.chat.completions.create(model=CHAT, messages=ASK, logit_bias=bias)
    client.completions.create(model=CHAT, prompt="x", logit_bias=bias)
    assert [dict(request.options.logit_bias) for request in engine.requests] == [
        {"a": -100.0, "b": 5.0}
    ] * 2
    assert refused(house, {"logit_bias": {"eh": 1}})["param"] == "logit_bias"
    assert refused(house, {"logit_bias": {"97": 101}})["param"] == "logit_bias.97"


def can(monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    """Every installed model can do ``more``."""
    real = store.ModelStore.get

    def get(self: Any, name: str) -> Any:
        model = real(self, name)
        return replace(model, capabilities=(*model.capabilities, *more))

    monkeypatch.setattr(store.ModelStore, "get", get)


def test_a_suffix_asks_for_what_stands_between(client, house: House, monkeypatch) -> None:
    house.pool.engines[CHAT] = engine = WithTokens()
    error = refused(house, {"prompt": "a", "suffix": "b"}, "/v1/completions")
    assert error["param"] == "suffix" and "does not support insert" in error["message"]
    can(monkeypatch, "insert")
    completion = client.completions.create(model=CHAT, prompt="def f(", suffix="return 1")
    assert completion.choices[0].text == "filled"
    assert engine.infilled == [("def f(", "return 1")]


def test_images_come_with_the_request(client, house: House, engine, monkeypatch) -> None:
    can(monkeypatch, "vision")
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
    ]
    client.chat.completions.create(model=CHAT, messages=[{"role": "user", "content": parts}])
    (message,) = engine.requests[-1].messages
    assert message == Message("user", "What is this?", images=(PNG,))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/a.png", "no address is fetched"),
        ("https://example.org/a.png", "no address is fetched"),
        ("file:///etc/passwd", "no address is fetched"),
        ("/etc/passwd", "no address is fetched"),
        ("data:image/png;base64,@@@", "not a data: URL"),
        ("data:image/png;base64,", "not a data: URL"),
        ("data:text/html;base64,AAAA", "not a data: URL"),
        ("data:image/png", "not a data: URL"),
        ("", "no address is fetched"),
    ],
)
def test_no_other_image_is_read(house: House, monkeypatch, url: str, words: str) -> None:
    can(monkeypatch, "vision")
    parts = [{"type": "image_url", "image_url": {"url": url}}]
    error = refused(house, {"messages": [{"role": "user", "content": parts}]})
    assert error["param"] == "messages" and words in error["message"]


@pytest.mark.parametrize(
    ("effort", "think"),
    [(None, None), ("none", False), ("minimal", "low"), ("medium", "medium"), ("xhigh", "max")],
)
def test_an_effort_is_how_much_a_model_thinks(house, engine, monkeypatch, effort, think) -> None:
    body = {"model": CHAT, "messages": ASK, "reasoning_effort": effort}
    assert post(house, "/v1/chat/completions", body).status_code == 200
    # To one that cannot think all efforts are the same.
    assert engine.requests[-1].options.think is None
    can(monkeypatch, "thinking")
    post(house, "/v1/chat/completions", body)
    assert engine.requests[-1].options.think == think


def test_cached_tokens_are_in_the_usage(client: openai.OpenAI, house: House) -> None:
    class Warm(ScriptedEngine):
        def generate(self, messages, options: GenerateOptions) -> Iterator[Token]:  # type: ignore[override]
            usage = Usage(prompt_tokens=12, completion_tokens=1, cached_tokens=8)
            yield Token("hm", finish_reason="stop", usage=usage)

    house.pool.engines[CHAT] = Warm(model=CHAT)
    usage = client.chat.completions.create(model=CHAT, messages=ASK).usage
    assert usage is not None and usage.prompt_tokens_details is not None
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens) == (12, 8)


@pytest.mark.parametrize("ids", [[1, 2, 3], [[1, 2], [3]]])
def test_token_ids_are_not_embedded(house: House, ids: list[Any]) -> None:
    body = {"model": "all-minilm:l6-v2", "input": ids}
    response = post(house, "/v1/embeddings", body)
    assert response.status_code == 400
    assert "check_embedding_ctx_length" in response.json()["error"]["message"]


def test_a_plain_reply_is_as_before(client: openai.OpenAI) -> None:
    message = client.chat.completions.create(model=CHAT, messages=ASK).choices[0].message
    assert (message.content, message.tool_calls, message.refusal) == (REPLY, None, None)

"""Anthropic's own client and the default model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from house import CHAT, House, real_house
from pydantic import BaseModel

pytestmark = pytest.mark.model

QUESTION: list[Any] = [
    {"role": "user", "content": "What is the capital of France? Answer in one word."}
]
GREEDY: dict[str, Any] = {"model": CHAT, "max_tokens": 16, "extra_body": {"temperature": 0}}
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "enum": ["Paris", "Rome"]},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
}


class Capital(BaseModel):
    city: str
    is_large: bool


@pytest.fixture(scope="module")
def real(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("real-anthropic")
    with real_house(folder, models_dir, 512) as house:
        yield house


@pytest.fixture
def client(real: House) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=real.url, api_key="any", max_retries=0) as client:
        yield client


def test_the_client_streams_and_gathers_the_same_answer(client: anthropic.Anthropic) -> None:
    whole = client.messages.create(**GREEDY, messages=QUESTION)
    with client.messages.stream(**GREEDY, messages=QUESTION) as stream:
        streamed = "".join(stream.text_stream)
        last = stream.get_final_message()
    assert streamed == whole.content[0].text and "Paris" in streamed
    assert last.stop_reason == whole.stop_reason
    assert last.usage.output_tokens == whole.usage.output_tokens > 0


def read(usage: anthropic.types.Usage) -> int:
    return usage.input_tokens + (usage.cache_read_input_tokens or 0)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"system": "You are brief."},
        {"system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]},
        {"tools": [WEATHER]},
        {"tools": [WEATHER], "tool_choice": {"type": "none"}},
    ],
)
def test_what_is_counted_is_what_is_read(client: anthropic.Anthropic, how: dict[str, Any]) -> None:
    counted = client.messages.count_tokens(model=CHAT, messages=QUESTION, **how)
    answered = client.messages.create(**GREEDY, messages=QUESTION, **how)
    assert counted.input_tokens == read(answered.usage)


def test_a_call_that_must_be_made_is_begun_for_the_model(client: anthropic.Anthropic) -> None:
    """The few tokens that begin it are read too, and no part of the prompt."""
    how: dict[str, Any] = {"tools": [WEATHER], "tool_choice": {"type": "any"}}
    counted = client.messages.count_tokens(model=CHAT, messages=QUESTION, **how)
    answered = client.messages.create(**GREEDY, messages=QUESTION, **how)
    assert 0 <= read(answered.usage) - counted.input_tokens < 20


def test_a_prompt_that_was_just_read_is_in_the_cache(client: anthropic.Anthropic) -> None:
    first = client.messages.create(**GREEDY, messages=QUESTION, system="You know the world.")
    again = client.messages.create(**GREEDY, messages=QUESTION, system="You know the world.")
    assert (again.usage.cache_read_input_tokens or 0) > 10
    assert read(again.usage) == read(first.usage)


def test_a_named_tool_is_called_with_arguments_that_fit(client: anthropic.Anthropic) -> None:
    how: dict[str, Any] = {
        **GREEDY,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
        "tools": [WEATHER],
        "tool_choice": {"type": "tool", "name": "get_weather"},
    }
    message = client.messages.create(**how)
    (call,) = [block for block in message.content if block.type == "tool_use"]
    assert message.stop_reason == "tool_use" and call.id.startswith("toolu_")
    assert call.input["city"] in ("Paris", "Rome")
    assert call.input["unit"] in ("celsius", "fahrenheit")
    with client.messages.stream(**how) as stream:
        streamed = stream.get_final_message()
    (again,) = [block for block in streamed.content if block.type == "tool_use"]
    assert (again.name, again.input) == (call.name, call.input)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Snow, -3 degrees"}
    answered = client.messages.create(
        **GREEDY,
        tools=[WEATHER],
        tool_choice={"type": "none"},
        messages=[
            *how["messages"],
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": [result]},
        ],
    )
    assert answered.content[0].type == "text" and answered.content[0].text.strip()


def test_a_format_holds(client: anthropic.Anthropic) -> None:
    message = client.messages.parse(
        model=CHAT, max_tokens=100, messages=QUESTION, output_format=Capital
    )
    assert isinstance(message.parsed_output, Capital)


def test_the_stop_sequence_that_ended_an_answer_is_told(client: anthropic.Anthropic) -> None:
    how = {**GREEDY, "max_tokens": 40}
    asked: list[Any] = [{"role": "user", "content": "Count: one, two, three, four, five."}]
    whole = client.messages.create(**how, messages=asked).content[0].text
    word = whole.split()[3]
    stopped = client.messages.create(**how, messages=asked, stop_sequences=["###", word])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", word)
    assert whole.startswith(stopped.content[0].text if stopped.content else "")
    with client.messages.stream(**how, messages=asked, stop_sequences=[word]) as stream:
        assert stream.get_final_message().stop_sequence == word


def test_the_end_of_max_tokens_is_told(client: anthropic.Anthropic) -> None:
    asked: list[Any] = [{"role": "user", "content": "Write a long story about a stove."}]
    message = client.messages.create(**{**GREEDY, "max_tokens": 5}, messages=asked)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 5)


def test_an_answer_goes_on_where_the_client_began_it(client: anthropic.Anthropic) -> None:
    begun = [*QUESTION, {"role": "assistant", "content": "The capital of France is"}]
    message = client.messages.create(**GREEDY, messages=begun)
    assert not message.content[0].text.startswith("The capital of France is")
    assert "Paris" in message.content[0].text


def test_a_prompt_that_does_not_fit_is_an_error(client: anthropic.Anthropic) -> None:
    long: list[Any] = [{"role": "user", "content": "word " * 2000}]
    for stream in (False, True):
        with pytest.raises(
            anthropic.BadRequestError, match=r"prompt is too long: .* > 512"
        ) as failure:
            client.messages.create(**GREEDY, messages=long, stream=stream)
        assert failure.value.type == "invalid_request_error"
    assert client.messages.count_tokens(model=CHAT, messages=long).input_tokens > 2000


def test_an_answer_that_fills_the_context_says_so(client: anthropic.Anthropic) -> None:
    how = {"model": CHAT, "max_tokens": 4000, "extra_body": {"temperature": 0}}
    tale: list[Any] = [
        {"role": "user", "content": "The stove is warm. " * 85 + "Write a long story."}
    ]
    message = client.messages.create(**how, messages=tale)
    assert message.stop_reason == "model_context_window_exceeded"
    assert read(message.usage) + message.usage.output_tokens <= 512


def test_who_hangs_up_frees_the_model_for_the_next(client: anthropic.Anthropic) -> None:
    asked: list[Any] = [{"role": "user", "content": "Write a very long story about a stove."}]
    how = {**GREEDY, "max_tokens": 1500}
    with client.messages.stream(**how, messages=asked) as stream:
        next(iter(stream))
    assert client.messages.create(**GREEDY, messages=QUESTION).content

"""OpenAI's own client with the default models: tools that hold, responses that go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pydantic
import pytest
from house import CHAT, House
from test_real_model import openai_client, real
from test_responses import EVENT

__all__ = ["openai_client", "real"]

pytestmark = pytest.mark.model

ASK: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 40}, "days": {"enum": [1, 3, 7]}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
CLOCK: Any = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
GREEDY: dict[str, Any] = {"model": CHAT, "temperature": 0, "max_tokens": 120}


class City(pydantic.BaseModel):
    city: str
    days: int


def check(arguments: str) -> None:
    given = json.loads(arguments)
    assert set(given) == {"city", "days"} and given["days"] in (1, 3, 7)


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "weather"}}]
)
def test_a_required_call_is_made_and_fits(openai_client: openai.OpenAI, choice: Any) -> None:
    how: dict[str, Any] = {**GREEDY, "messages": ASK, "tools": [TOOL], "tool_choice": choice}
    completion = openai_client.chat.completions.create(**how)
    (said,) = completion.choices
    assert said.finish_reason == "tool_calls" and said.message.tool_calls
    for call in said.message.tool_calls:
        assert call.function.name == "weather"
        check(call.function.arguments)
    pieces = [
        piece
        for chunk in openai_client.chat.completions.create(**how, stream=True)
        for choice_ in chunk.choices
        for piece in choice_.delta.tool_calls or []
    ]
    check("".join(piece.function.arguments for piece in pieces if piece.index == 0))


def test_a_named_tool_is_called_and_no_other(openai_client: openai.OpenAI) -> None:
    completion = openai_client.chat.completions.create(
        **GREEDY,
        messages=ASK,
        tools=[CLOCK, TOOL],
        tool_choice={"type": "function", "function": {"name": "clock"}},
        parallel_tool_calls=False,
    )
    (call,) = completion.choices[0].message.tool_calls or []
    assert call.function.name == "clock"


def test_no_tool_is_called_where_none_may_be(openai_client: openai.OpenAI) -> None:
    completion = openai_client.chat.completions.create(
        **GREEDY, messages=ASK, tools=[TOOL], tool_choice="none"
    )
    assert completion.choices[0].message.tool_calls is None
    assert completion.choices[0].message.content


def test_results_are_read(openai_client: openai.OpenAI) -> None:
    asked = openai_client.chat.completions.create(
        **GREEDY, messages=ASK, tools=[TOOL], tool_choice="required", parallel_tool_calls=False
    )
    said = asked.choices[0].message
    (call,) = said.tool_calls or []
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 23 degrees."}
    answer = openai_client.chat.completions.create(
        **GREEDY, messages=[*ASK, said, result], tools=[TOOL], tool_choice="none"
    )
    assert answer.choices[0].message.content
    plain = openai_client.chat.completions.create(**GREEDY, messages=ASK)
    assert answer.usage is not None and plain.usage is not None
    assert answer.usage.prompt_tokens > plain.usage.prompt_tokens + 10


def test_a_response_streams_calls_and_goes_on(openai_client: openai.OpenAI) -> None:
    tool = {"type": "function", **TOOL["function"]}
    events = list(
        openai_client.responses.create(
            model=CHAT,
            input=ASK,
            tools=[tool],
            tool_choice="required",
            parallel_tool_calls=False,
            temperature=0,
            max_output_tokens=120,
            stream=True,
        )
    )
    for event in events:
        EVENT.validate_python(event.to_dict())
    first = events[-1].response
    assert first.status == "completed"
    (call,) = (item for item in first.output if item.type == "function_call")
    check(call.arguments)
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."}
    second = openai_client.responses.create(
        model=CHAT,
        input=[result],
        previous_response_id=first.id,
        temperature=0,
        max_output_tokens=30,
    )
    assert second.output_text and second.usage is not None
    openai_client.responses.delete(first.id)


def test_an_answer_is_parsed_into_a_model(openai_client: openai.OpenAI) -> None:
    parsed = openai_client.responses.parse(
        model=CHAT, input="Paris for 3 days", text_format=City, temperature=0, max_output_tokens=200
    )
    assert isinstance(parsed.output_parsed, City)
    chat = openai_client.chat.completions.parse(
        **GREEDY, messages=[{"role": "user", "content": "Paris, 3 days"}], response_format=City
    )
    assert isinstance(chat.choices[0].message.parsed, City)


def test_several_answers_with_a_seed_differ_and_come_again(openai_client: openai.OpenAI) -> None:
    def said() -> list[str | None]:
        completion = openai_client.chat.completions.create(
            model=CHAT, messages=ASK, n=3, seed=5, temperature=1.5, max_tokens=12
        )
        return [choice.message.content for choice in completion.choices]

    assert said() == said() and len(set(said())) > 1


def test_token_ids_and_their_texts_are_one_prompt(real: House, openai_client) -> None:
    text = "The capital of France is"
    ids = real.parts.engine(CHAT).tokenize(text)
    how: dict[str, Any] = {"model": CHAT, "temperature": 0, "max_tokens": 8}
    said = openai_client.completions.create(prompt=text, **how).choices[0].text
    assert openai_client.completions.create(prompt=ids, **how).choices[0].text == said
    (first,) = real.parts.engine(CHAT).tokenize(" Paris")
    never = openai_client.completions.create(prompt=text, logit_bias={str(first): -100}, **how)
    assert "Paris" in said and not never.choices[0].text.startswith(" Paris")


def test_a_warm_prompt_is_counted(openai_client: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "List the planets. " * 20}]
    for _ in range(2):
        usage = openai_client.chat.completions.create(**GREEDY, messages=messages).usage
    assert usage is not None and usage.prompt_tokens_details is not None
    assert 0 < (usage.prompt_tokens_details.cached_tokens or 0) <= usage.prompt_tokens


@pytest.mark.parametrize("path", ["chat", "responses", "completions"])
def test_too_long_a_prompt_is_refused_with_the_numbers(openai_client, path: str) -> None:
    long = "word " * 4000
    with pytest.raises(openai.BadRequestError) as caught:
        if path == "chat":
            openai_client.chat.completions.create(
                model=CHAT, messages=[{"role": "user", "content": long}]
            )
        elif path == "responses":
            openai_client.responses.create(model=CHAT, input=long)
        else:
            openai_client.completions.create(model=CHAT, prompt=long)
    assert caught.value.code == "context_length_exceeded"
    assert "4" in caught.value.message and "2048" in caught.value.message.replace(",", "")


@pytest.mark.slow
def test_an_answer_runs_to_the_contexts_end_and_says_so(openai_client: openai.OpenAI) -> None:
    items: list[Any] = []
    for number in range(40):
        items += [
            {"role": "user", "content": f"Number {number}? " + "and more " * 20},
            {"role": "assistant", "content": "Yes, that is so. " * 8},
        ]
    items.append({"role": "user", "content": "Say yes."})
    raw = openai_client.responses.with_raw_response.create(
        model=CHAT, input=items, truncation="auto", max_output_tokens=8
    )
    assert json.loads(raw.text)["truncated"]["messages"] > 0
    assert raw.headers["ondol-truncated"].startswith("messages=")


@pytest.fixture(autouse=True)
def nothing_left(real: House) -> Iterator[None]:
    yield
    real.parts.kept.responses.erase()

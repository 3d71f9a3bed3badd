"""Tools with the real model: what is required is called, what is called fits, what is cut is not.

The default model has no native tools; copies of it under other families' templates have.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from gguf_copy import BARE_JSON, HERMES, copy_with
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ondol.answering import gather
from ondol.engine.pool import EnginePool, ModelSpec
from ondol.engine.turn import MOST_CALLS
from ondol.errors import ContextLengthError, UsageError
from ondol.types import Completion, GenerateOptions, Message, Tool, ToolCall

WEATHER = Tool(
    "get_weather",
    "The weather forecast for a city.",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
        },
        "required": ["city", "days"],
    },
)
MAIL = Tool(
    "send_mail",
    "Send an e-mail to a person.",
    {
        "type": "object",
        "properties": {"to": {"type": "string"}, "urgent": {"type": "boolean"}},
        "required": ["to", "urgent"],
    },
)
TOOLS = (WEATHER, MAIL)
QUESTION = [Message("user", "What is the weather in Paris for the next 3 days?")]
YES = {
    "type": "object",
    "properties": {"yes": {"type": "boolean"}},
    "required": ["yes"],
    "additionalProperties": False,
}

pytestmark = pytest.mark.model


def ask(pool: EnginePool, name: str = "m", messages: Any = QUESTION, **how: Any) -> Completion:
    options = GenerateOptions(**{"temperature": 0.0, "seed": 1, "max_tokens": 120, **how})
    return gather(list(pool.engine(name).generate(messages, options)))


def fits(call: ToolCall, tools: tuple[Tool, ...] = TOOLS) -> bool:
    schema = {tool.name: tool.parameters for tool in tools}[call.name]
    jsonschema.validate(json.loads(call.arguments), schema)
    return call.id.startswith("call_")


@pytest.fixture(scope="module")
def templates(chat_model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("templates")
    return {
        name: copy_with(chat_model_file, folder / f"{name}.gguf", template=template)
        for name, template in (("hermes", HERMES), ("bare", BARE_JSON))
    }


@pytest.fixture(scope="module")
def families(make_pool, spec: ModelSpec, templates: dict[str, Path]) -> EnginePool:
    """The same weights under the templates of three families."""

    def locate(name: str) -> ModelSpec:
        return ModelSpec(name, templates.get(name, spec.path), name, spec.size_bytes, num_ctx=8192)

    return make_pool(locate=locate, num_ctx=2048, num_parallel=1)


@pytest.mark.parametrize("family", ["m", "hermes", "bare"])
def test_required_is_enforced_for_every_family(families: EnginePool, family: str) -> None:
    said = ask(families, family, tools=TOOLS, tool_choice="required")
    assert said.finish_reason == "tool_calls" and said.text == ""
    assert 1 <= len(said.tool_calls) <= MOST_CALLS
    assert all(fits(call) for call in said.tool_calls)
    assert said.usage.prompt_tokens > 100 and said.usage.completion_tokens > 5


def test_named_tool_is_the_one_that_is_called(families: EnginePool) -> None:
    said = ask(families, tools=(MAIL,), tool_choice="required", parallel_tool_calls=False)
    assert [call.name for call in said.tool_calls] == ["send_mail"]


def test_without_parallel_calls_there_is_one(families: EnginePool) -> None:
    question = [Message("user", "Weather in Paris, Rome and Oslo, and write to Kim and Lee.")]
    said = ask(
        families, "m", question, tools=TOOLS, tool_choice="required", parallel_tool_calls=False
    )
    assert len(said.tool_calls) == 1


def test_no_call_is_made_twice(families: EnginePool) -> None:
    said = ask(families, tools=TOOLS, tool_choice="required", max_tokens=300)
    assert len({(call.name, call.arguments) for call in said.tool_calls}) == len(said.tool_calls)


def test_arguments_come_in_pieces_as_they_are_generated(families: EnginePool) -> None:
    options = GenerateOptions(
        80, temperature=0, tools=TOOLS, tool_choice="required", parallel_tool_calls=False
    )
    *tokens, last = families.engine("m").generate(QUESTION, options)
    pieces = [token.tool_call for token in tokens]
    assert all(token.text == "" for token in tokens) and None not in pieces
    assert pieces[0] and pieces[0].name == "get_weather" and pieces[0].id
    assert len(pieces) > 5
    assert last.finish_reason == "tool_calls" and last.usage


@pytest.mark.parametrize("most", [0, 1, 4, 12])
def test_call_that_max_tokens_cuts_off_is_no_call(families: EnginePool, most: int) -> None:
    said = ask(families, tools=TOOLS, tool_choice="required", max_tokens=most)
    assert said.finish_reason == "length"
    assert said.tool_calls == ()
    assert said.usage.completion_tokens == most


def test_none_offers_nothing(families: EnginePool) -> None:
    plain = ask(families, max_tokens=8)
    said = ask(families, tools=TOOLS, tool_choice="none", max_tokens=8)
    assert said.text == plain.text and said.tool_calls == ()
    assert said.usage.prompt_tokens == plain.usage.prompt_tokens


@pytest.mark.parametrize("family", ["m", "hermes", "bare"])
@pytest.mark.parametrize("choice", ["auto", "required"])
def test_schema_and_tools_give_calls_or_an_answer_that_fits(
    families: EnginePool, family: str, choice: Any
) -> None:
    said = ask(families, family, tools=TOOLS, tool_choice=choice, json_schema=YES, max_tokens=200)
    if choice == "required" or said.tool_calls:
        assert said.text == "" and said.finish_reason == "tool_calls"
        assert all(fits(call) for call in said.tool_calls)
    else:
        jsonschema.validate(json.loads(said.text), YES)


def test_auto_may_answer_in_words(families: EnginePool) -> None:
    said = ask(families, "m", [Message("user", "Say hello.")], tools=TOOLS, max_tokens=20)
    assert said.finish_reason in ("stop", "length")
    assert said.text.strip() and "<tool_call>" not in said.text


@pytest.mark.parametrize("family", ["m", "hermes"])
def test_auto_calls_where_the_model_begins_a_call(families: EnginePool, family: str) -> None:
    # A bias stands in for a model that wants to call: what it begins is held to the schema.
    said = ask(families, family, tools=TOOLS, logit_bias={"<": 40.0, "tool": 30.0}, max_tokens=150)
    if said.finish_reason == "tool_calls":
        assert said.tool_calls and all(fits(call) for call in said.tool_calls)
    assert "<tool_call>" not in said.text


@pytest.mark.parametrize("family", ["m", "hermes", "bare"])
def test_results_are_read_back(families: EnginePool, family: str) -> None:
    made = ToolCall("call_1", "get_weather", '{"city": "Paris", "days": 3}')
    talk = [
        *QUESTION,
        Message("assistant", "", (made,)),
        Message("tool", "It will snow all three days.", tool_call_id="call_1"),
    ]
    told = families.engine(family).apply_template(talk, GenerateOptions(tools=TOOLS))
    assert "It will snow all three days." in told
    assert told.count("get_weather") >= 2 and "Paris" in told
    said = ask(families, family, talk, tools=TOOLS, max_tokens=40)
    assert said.text or said.tool_calls


def test_second_turn_finds_the_first_in_the_cache(families: EnginePool) -> None:
    first = ask(families, tools=TOOLS, tool_choice="required", parallel_tool_calls=False)
    (made,) = first.tool_calls
    talk = [*QUESTION, Message("assistant", "", (made,)), Message("tool", "Snow.")]
    second = ask(families, "m", talk, tools=TOOLS, max_tokens=8)
    assert second.usage.prompt_tokens > first.usage.prompt_tokens
    assert second.usage.cached_tokens >= first.usage.prompt_tokens - 8


def test_choice_does_not_change_the_prompt(families: EnginePool) -> None:
    auto = ask(families, tools=TOOLS, max_tokens=1)
    required = ask(families, tools=TOOLS, tool_choice="required", max_tokens=1)
    assert required.usage.cached_tokens >= auto.usage.prompt_tokens - 1


def test_prompt_tokens_are_those_that_generate_reads(families: EnginePool) -> None:
    options = GenerateOptions(1, tools=TOOLS)
    counted = families.engine("m").prompt_tokens(QUESTION, options)
    assert len(counted) == ask(families, tools=TOOLS, max_tokens=1).usage.prompt_tokens


def test_words_have_their_probabilities(families: EnginePool) -> None:
    options = GenerateOptions(12, temperature=0, tools=TOOLS, logprobs=3)
    words = [t for t in families.engine("m").generate(QUESTION, options) if t.text]
    assert words and all(token.logprob is not None and token.logprob <= 0 for token in words)
    assert all(len(token.top) == 3 for token in words)


def test_stop_sequence_ends_the_words_and_is_told(families: EnginePool) -> None:
    said = ask(families, tools=TOOLS, stop=("weather",))
    assert "weather" not in said.text
    assert said.tokens[-1].stop_sequence == "weather"


def test_close_ends_a_call(families: EnginePool) -> None:
    options = GenerateOptions(tools=TOOLS, tool_choice="required", temperature=0)
    tokens = families.engine("m").generate(QUESTION, options)
    next(tokens)
    threading.Thread(target=tokens.close).start()
    assert [token.finish_reason for token in tokens][-1:] in ([], ["cancelled"])
    assert ask(families, max_tokens=4).text  # the one slot is free again


def test_prompt_that_does_not_fit_says_so(families: EnginePool) -> None:
    with pytest.raises(ContextLengthError) as caught:
        ask(families, "m", [Message("user", "word " * 4000)], tools=TOOLS, tool_choice="required")
    assert caught.value.excess_tokens > 1000
    assert f"{len(TOOLS)} tools" in caught.value.hint


def test_tool_that_may_not_be_offered_is_refused_before_anything_is_loaded(make_pool) -> None:
    pool = make_pool()
    with pytest.raises(UsageError, match="no name for a tool"):
        pool.engine("m").generate(QUESTION, GenerateOptions(tools=(Tool("no name"),)))
    assert pool.loaded() == []


def test_schema_that_nothing_fits_is_told_and_not_ignored(families: EnginePool) -> None:
    never = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 5, "maximum": 3}}}
    tool = Tool("never", "", {**never, "required": ["n"]})
    with pytest.raises(UsageError) as caught:
        ask(families, tools=(tool,), tool_choice="required")
    assert caught.value.param == "tools"


def leaves() -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(
        [
            {"type": "string", "maxLength": 12},
            {"type": "integer", "minimum": -5, "maximum": 40},
            {"type": "boolean"},
            {"enum": ["red", "green", 3, None]},
            {"type": ["string", "null"], "maxLength": 6},
            {"const": "fixed"},
        ]
    )


names = st.sampled_from(["a", "count", "미래", "x y", "$odd"])


def objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(names, inner, min_size=1, max_size=3).map(
        lambda properties: {
            "type": "object",
            "properties": properties,
            "required": list(properties)[:2],
        }
    )


def lists(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return inner.map(lambda items: {"type": "array", "items": items, "maxItems": 2})


schemas = objects(st.recursive(leaves(), lambda inner: objects(inner) | lists(inner), max_leaves=4))


@pytest.mark.slow
@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(schema=schemas)
def test_whatever_the_schema_arguments_fit_it(families: EnginePool, schema: dict[str, Any]) -> None:
    tool = Tool("do", "Do it.", schema)
    said = ask(
        families,
        tools=(tool,),
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=1.0,
        max_tokens=250,
    )
    assert said.finish_reason in ("tool_calls", "length")
    assert all(fits(call, (tool,)) for call in said.tool_calls)


@pytest.fixture
def dying(make_pool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], EnginePool]]:
    def make() -> EnginePool:
        pool = make_pool()
        pool.load("m")
        return pool

    yield make


def test_model_that_died_while_idle_is_nobodys_loss(dying, gone) -> None:
    import os
    import signal

    pool = dying()
    pid = pool.loaded()[0].pid
    os.kill(pid, signal.SIGKILL)
    said = ask(pool, tools=TOOLS, tool_choice="required", parallel_tool_calls=False)
    assert len(said.tool_calls) == 1

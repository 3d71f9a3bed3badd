"""Thinking and insertion: what has to hold holds with thoughts, without them, and with tools.

The weights are the default model's under a template like Qwen 3's, and with tokens declared as
those for filling in; it never learnt either, so thoughts are cut short by hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from gguf_copy import BARE_JSON, HERMES, THINKING, copy_with

from ondol import chat_template
from ondol.answering import gather
from ondol.chat_template import ChatTemplate
from ondol.engine import turn
from ondol.engine.pool import EnginePool, ModelSpec
from ondol.engine.scripted import ScriptedEngine
from ondol.errors import UsageError
from ondol.types import Completion, GenerateOptions, Message, Tool

QUESTION = [Message("user", "Is Paris in France?")]
YES = {
    "type": "object",
    "properties": {"yes": {"type": "boolean"}},
    "required": ["yes"],
    "additionalProperties": False,
}
TOOL = Tool("answer", "Answer.", YES)


@pytest.mark.parametrize(
    ("source", "facts"),
    [
        ("", ChatTemplate()),
        ("{% for m in messages %}{{ m.content }} tools{% endfor %}", ChatTemplate()),
        (HERMES, ChatTemplate("tagged")),
        (THINKING, ChatTemplate("tagged", thinks=True, tags_thoughts=True, switches=True)),
        (BARE_JSON, ChatTemplate("other")),
        (
            "{%- if tools %}<tool_call>\n<function={{ n }}>{% endif %}<think>",
            ChatTemplate("other", thinks=True, tags_thoughts=True),
        ),
        (
            "{{ reasoning_effort }}{% for tool in tools %}<|channel|>{% endfor %}",
            ChatTemplate("other", thinks=True, efforts=True),
        ),
        (
            "{% if tools %}{% if call.id|length != 9 %}{% endif %}{% endif %}",
            ChatTemplate("other", short_ids=True),
        ),
    ],
)
def test_what_a_template_can_do_is_read_from_it(source: str, facts: ChatTemplate) -> None:
    assert chat_template.read(source) == facts


@pytest.fixture(scope="module")
def models(
    make_pool,
    spec: ModelSpec,
    chat_model_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> EnginePool:
    folder = tmp_path_factory.mktemp("thinking")
    ids = {"fim_pre": 4, "fim_suf": 5, "fim_mid": 6}
    files = {
        "thinker": copy_with(chat_model_file, folder / "thinker.gguf", template=THINKING),
        "coder": copy_with(chat_model_file, folder / "coder.gguf", token_ids=ids),
    }

    def locate(name: str) -> ModelSpec:
        return ModelSpec(name, files.get(name, spec.path), name, spec.size_bytes, num_ctx=8192)

    return make_pool(locate=locate, num_parallel=1)


@pytest.fixture(autouse=True)
def short_thoughts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "THOUGHT_TOKENS", dict.fromkeys(("low", "True", "None"), 6))


def ask(models: EnginePool, messages: Any = QUESTION, **how: Any) -> Completion:
    options = GenerateOptions(**{"max_tokens": 80, "temperature": 0.0, "seed": 1, **how})
    return gather(list(models.engine("thinker").generate(messages, options)))


def thoughts(said: Completion) -> str:
    return "".join(token.text for token in said.tokens if token.reasoning)


@pytest.mark.model
@pytest.mark.parametrize("think", [True, False, None, "low"])
def test_schema_holds_however_much_is_thought(models: EnginePool, think: Any) -> None:
    said = ask(models, json_schema=YES, think=think)
    jsonschema.validate(json.loads(said.text), YES)
    assert bool(thoughts(said)) == (think is not False)
    assert "think>" not in said.text


@pytest.mark.model
@pytest.mark.parametrize("think", [True, False, None])
@pytest.mark.parametrize("schema", [YES, None])
def test_required_call_holds_however_much_is_thought(
    models: EnginePool, think: Any, schema: Any
) -> None:
    said = ask(models, tools=(TOOL,), tool_choice="required", think=think, json_schema=schema)
    assert said.finish_reason == "tool_calls" and said.text == ""
    assert all(isinstance(json.loads(c.arguments)["yes"], bool) for c in said.tool_calls)
    assert bool(thoughts(said)) == (think is not False)


NEVER = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 5, "maximum": 3}},
    "required": ["n"],
}


@pytest.mark.model
def test_schema_that_nothing_fits_is_an_error_and_not_ignored(models: EnginePool) -> None:
    with pytest.raises(UsageError, match="held to the JSON schema") as caught:
        ask(models, json_schema=NEVER, think=False)
    assert caught.value.param == "response_format"
    raw = models.engine("plain").complete("Say:", GenerateOptions(8, json_schema=NEVER))
    with pytest.raises(UsageError, match="held to the JSON schema"):
        list(raw)


@pytest.mark.model
def test_words_that_no_grammar_knows_do_not_undo_the_rest(models: EnginePool) -> None:
    odd = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "maxItems": 2}
    raw = models.engine("plain").complete(
        "List:", GenerateOptions(40, temperature=0.0, json_schema=odd)
    )
    assert all(isinstance(n, int) for n in json.loads(gather(list(raw)).text))


@pytest.mark.model
def test_thoughts_that_fill_everything_are_cut_and_say_so(models: EnginePool) -> None:
    said = ask(models, json_schema=YES, think="high", max_tokens=5)
    assert (said.finish_reason, said.text) == ("length", "")
    assert thoughts(said) and said.usage.completion_tokens == 5


@pytest.mark.model
def test_template_is_told_whether_to_think(models: EnginePool) -> None:
    engine = models.engine("thinker")
    closed = "<think>\n\n</think>"
    assert closed in engine.apply_template(QUESTION, GenerateOptions(think=False))
    assert closed not in engine.apply_template(QUESTION, GenerateOptions(think=True))
    assert closed not in engine.apply_template(QUESTION)


@pytest.mark.model
def test_earlier_thoughts_reach_a_template_that_knows_them(models: EnginePool) -> None:
    talk = [*QUESTION, Message("assistant", "Yes.", reasoning="It is its capital."), *QUESTION]
    assert "It is its capital." in models.engine("thinker").apply_template(talk)


@pytest.mark.model
def test_model_that_does_not_think_is_not_confused_by_the_wish(models: EnginePool) -> None:
    options = GenerateOptions(40, temperature=0.0, think=True, json_schema=YES)
    said = gather(list(models.engine("plain").generate(QUESTION, options)))
    jsonschema.validate(json.loads(said.text), YES)
    assert not thoughts(said)


@pytest.mark.model
def test_model_with_the_tokens_for_it_fills_in(models: EnginePool) -> None:
    options = GenerateOptions(8, temperature=0.0, logprobs=1)
    *tokens, last = models.engine("coder").infill(
        "def add(a, b):\n    ", "\n    return c\n", options
    )
    assert 0 < len(tokens) <= 8 and all(token.logprob is not None for token in tokens)
    assert last.finish_reason in ("stop", "length")
    assert last.usage and last.usage.prompt_tokens > 10


@pytest.mark.model
def test_model_without_them_refuses_by_the_field(models: EnginePool) -> None:
    with pytest.raises(UsageError, match="does not support insertion") as caught:
        list(models.engine("plain").infill("a", "b", GenerateOptions(2)))
    assert caught.value.param == "suffix"


@pytest.mark.model
def test_ids_become_their_text_again(models: EnginePool) -> None:
    engine = models.engine("plain")
    assert engine.detokenize(engine.tokenize("Kimchi, 김치!")) == "Kimchi, 김치!"


def test_script_stands_in_for_insertion() -> None:
    engine = ScriptedEngine({"def f": "x"})
    said = gather(list(engine.infill("def f(", "):", GenerateOptions())))
    assert said.text == "x" and engine.requests[0].prompt == "def f(<gap>):"

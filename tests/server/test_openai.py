"""OpenAI's dialect, by its own client and by the byte."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import openai
import pytest
from house import CHAT, EMBEDDING, REPLY, GatedEngine, HashEmbedder, House

from ondol.engine.scripted import ScriptedEngine
from ondol.errors import ContextLengthError, EngineBusyError, EngineCrashedError

QUESTION = [{"role": "user", "content": "What keeps a house warm?"}]
CHAT_BODY = {"model": CHAT, "messages": QUESTION}


@pytest.fixture
def client(house: House):
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def post(house: House, path: str, body: object) -> Any:
    with house.client() as client:
        return client.post(path, json=body)


def chunks(house: House, body: dict[str, Any], path: str = "/v1/chat/completions") -> list[Any]:
    """The parsed events of a stream, the last of which must be [DONE]."""
    response = post(house, path, {**body, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def test_a_chat_is_answered(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model=CHAT, messages=QUESTION)
    assert completion.choices[0].message.content == REPLY
    assert completion.choices[0].message.role == "assistant"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.id.startswith("chatcmpl-")
    assert completion.model == CHAT
    assert completion.usage is not None
    assert completion.usage.total_tokens == (
        completion.usage.prompt_tokens + completion.usage.completion_tokens
    )


def test_a_chat_is_streamed(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model=CHAT, messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    parts = list(stream)
    assert "".join(p.choices[0].delta.content or "" for p in parts if p.choices) == REPLY
    assert parts[-1].choices == [] and parts[-1].usage is not None
    assert parts[-1].usage.completion_tokens > 0


def test_a_stream_has_the_shape_that_strict_clients_need(house: House) -> None:
    events = chunks(house, CHAT_BODY)
    assert len({event["id"] for event in events}) == 1
    assert len({event["created"] for event in events}) == 1
    choices = [event["choices"][0] for event in events]
    assert [("role" in c["delta"]) for c in choices] == [True] + [False] * (len(choices) - 1)
    assert all(c["finish_reason"] is None for c in choices[:-1])
    assert (choices[-1]["finish_reason"], choices[-1]["delta"]) == ("stop", {})
    assert not any("usage" in event for event in events)


def test_usage_is_its_own_last_chunk_when_asked_for(house: House) -> None:
    events = chunks(house, {**CHAT_BODY, "stream_options": {"include_usage": True}})
    assert [event["choices"] for event in events].count([]) == 1
    assert events[-1]["usage"]["total_tokens"] > 0
    assert events[-2]["choices"][0]["finish_reason"] == "stop"


def test_max_tokens_ends_with_length(client: openai.OpenAI) -> None:
    for limit in ({"max_tokens": 2}, {"max_completion_tokens": 2}):
        completion = client.chat.completions.create(model=CHAT, messages=QUESTION, **limit)
        assert completion.choices[0].finish_reason == "length"


def test_logprobs_come_with_alternatives(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model=CHAT, messages=QUESTION, logprobs=True, top_logprobs=2
    )
    logprobs = completion.choices[0].logprobs
    assert logprobs is not None and logprobs.content
    assert "".join(entry.token for entry in logprobs.content) == REPLY
    first = logprobs.content[0]
    assert first.logprob <= 0 and len(first.top_logprobs) == 2
    assert bytes(first.bytes or []) == first.token.encode()


def test_logprobs_are_streamed(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model=CHAT, messages=QUESTION, logprobs=True, stream=True
    )
    said = [c.choices[0] for c in stream if c.choices[0].delta.content]
    assert all(choice.logprobs and choice.logprobs.content for choice in said)


@pytest.mark.parametrize("fields", [{}, {"logprobs": False}])
def test_logprobs_are_absent_unless_asked_for(house: House, fields: dict[str, Any]) -> None:
    choice = post(house, "/v1/chat/completions", CHAT_BODY | fields).json()["choices"][0]
    assert choice["logprobs"] is None


def options_of(house: House, body: dict[str, Any], path: str = "/v1/chat/completions") -> Any:
    """The messages and options that the engine got."""
    engine = RecordingEngine()
    house.pool.engines[CHAT] = engine
    response = post(house, path, body)
    assert response.status_code == 200, response.text
    return engine.seen


class RecordingEngine(ScriptedEngine):
    """Remembers what it was last asked."""

    def __init__(self) -> None:
        super().__init__(["yes"], model=CHAT)
        self.seen: tuple[Any, Any] = (None, None)

    def generate(self, messages, options):
        self.seen = (list(messages), options)
        return super().generate(messages, options)

    def complete(self, prompt, options):
        tokens = super().complete(prompt, options)
        self.seen = (prompt, options)
        return tokens


def test_every_sampling_option_reaches_the_engine(house: House) -> None:
    _, options = options_of(
        house,
        CHAT_BODY
        | {
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 7,
            "min_p": 0.1,
            "presence_penalty": 1,
            "frequency_penalty": -1,
            "seed": 11,
            "stop": ["END", ""],
            "max_completion_tokens": 5,
            "max_tokens": 9,
        },
    )
    assert (options.temperature, options.top_p, options.top_k, options.min_p) == (0.5, 0.9, 7, 0.1)
    assert (options.presence_penalty, options.frequency_penalty) == (1, -1)
    assert (options.seed, options.stop, options.max_tokens) == (11, ("END",), 5)
    assert options.json_schema is None


@pytest.mark.parametrize(
    ("response_format", "schema"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object"}),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}},
            {"type": "array"},
        ),
    ],
)
def test_a_response_format_becomes_a_schema(house: House, response_format, schema) -> None:
    _, options = options_of(house, CHAT_BODY | {"response_format": response_format})
    assert options.json_schema == schema


def test_roles_and_parts_become_messages(house: House) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages, _ = options_of(
        house,
        {
            "model": CHAT,
            "messages": [
                {"role": "developer", "content": "be brief"},
                {"role": "assistant", "content": None},
                {"role": "user", "content": parts, "name": "ignored"},
            ],
        },
    )
    assert [(m.role, m.content) for m in messages] == [
        ("system", "be brief"),
        ("assistant", ""),
        ("user", "a\nb"),
    ]


def test_what_changes_nothing_is_accepted(house: House) -> None:
    extras = {
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "user": "u",
        "n": 1,
        "reasoning_effort": "low",
        "store": False,
        "metadata": {"a": "b"},
        "max_tokens": -1,
        "logit_bias": None,
        "stream": None,
        "stream_options": None,
        "something_new": {"deep": [1]},
    }
    assert post(house, "/v1/chat/completions", CHAT_BODY | extras).status_code == 200


IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"model": ""}, "model", "model is required"),
        ({"model": None}, "model", "model is required"),
        ({"messages": []}, "messages", "[] is too short - 'messages'"),
        ({"messages": None}, "messages", "[] is too short - 'messages'"),
        ({"messages": [{"role": "wizard", "content": ""}]}, "messages", "wizard"),
        ({"messages": [{"role": "user", "content": IMAGE}]}, "messages", "vision"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages",
            "input_audio",
        ),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content", "valid"),
        ({"n": 9}, "n", "between 1 and 8"),
        ({"n": 0}, "n", "between 1 and 8"),
        ({"tools": [{"type": "function"}]}, "tools[0]", "not a function"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "between 0 and 20"),
        ({"top_logprobs": -1}, "top_logprobs", "between 0 and 20"),
        ({"temperature": 9}, "temperature", "less than or equal to 2"),
        ({"max_tokens": 0}, "max_tokens", "at least 1"),
        ({"response_format": {"type": "xml"}}, "response_format", "json_schema"),
        ({"response_format": {"type": "json_schema"}}, "response_format", "schema"),
        ({"model": EMBEDDING}, "model", f'"{EMBEDDING}" does not support chat'),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_done_is_a_400_that_names_the_field(
    house: House, fields, param: str, words: str, stream: bool
) -> None:
    response = post(house, "/v1/chat/completions", CHAT_BODY | {"stream": stream} | fields)
    error = response.json()["error"]
    assert response.status_code == 400
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert words in error["message"] and error["code"]


def test_an_unknown_model_is_a_404(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-7", messages=QUESTION)
    assert caught.value.body["message"] == "model 'gpt-7' not found"
    assert caught.value.body["type"] == "not_found_error"
    assert caught.value.code == "model_not_found"


def test_a_full_queue_says_when_to_come_back(house: House) -> None:
    house.pool.engines[CHAT] = FailingEngine(EngineBusyError("busy", retry_after_seconds=7))
    for stream in (False, True):
        response = post(house, "/v1/chat/completions", CHAT_BODY | {"stream": stream})
        assert (response.status_code, response.headers["retry-after"]) == (503, "7")
        assert response.json()["error"]["type"] == "api_error"


class FailingEngine(GatedEngine):
    """Fails before its first token."""

    def generate(self, messages, options):
        raise self.error
        yield

    def __init__(self, error: Exception) -> None:
        super().__init__(error=error)


def test_a_prompt_that_is_too_long_is_a_400(house: House) -> None:
    house.pool.engines[CHAT] = FailingEngine(ContextLengthError("too long"))
    response = post(house, "/v1/chat/completions", CHAT_BODY | {"stream": True})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"


def test_a_crash_before_the_first_token_is_a_502(client: openai.OpenAI, house: House) -> None:
    house.pool.engines[CHAT] = FailingEngine(EngineCrashedError("crashed"))
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=CHAT, messages=QUESTION)


def test_a_crash_in_mid_stream_ends_it_with_one_error(client: openai.OpenAI, house: House) -> None:
    house.pool.engines[CHAT] = GatedEngine(error=EngineCrashedError("the engine is gone"))
    said = []
    with pytest.raises(openai.APIError, match="the engine is gone"):
        for part in client.chat.completions.create(model=CHAT, messages=QUESTION, stream=True):
            said.append(part)
    assert said
    text = post(house, "/v1/chat/completions", CHAT_BODY | {"stream": True}).text
    last = text.strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "engine_crashed"


def test_an_error_that_is_not_ours_says_nothing_of_the_prompt(house: House, caplog) -> None:
    house.pool.engines[CHAT] = FailingEngine(RuntimeError("secret prompt"))
    response = post(house, "/v1/chat/completions", CHAT_BODY)
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert "secret" not in response.text + caplog.text
    assert "unexpected RuntimeError at" in caplog.text


def test_reasoning_is_its_own_field_and_may_be_left_out(house: House) -> None:
    house.pool.engines[CHAT] = ThinkingEngine()
    message = post(house, "/v1/chat/completions", CHAT_BODY).json()["choices"][0]["message"]
    assert (message["reasoning"], message["content"]) == ("hm ", "yes")
    deltas = [e["choices"][0]["delta"] for e in chunks(house, CHAT_BODY)]
    assert {"reasoning": "hm ", "reasoning_content": "hm "} in deltas
    assert {"content": "yes"} in deltas
    quiet = post(house, "/v1/chat/completions", CHAT_BODY | {"reasoning_effort": "none"})
    assert "reasoning" not in quiet.json()["choices"][0]["message"]


class ThinkingEngine(GatedEngine):
    """Thinks, then says yes."""

    def generate(self, messages, options):
        from ondol.types import Token, Usage

        yield Token("hm ", reasoning=True)
        yield Token("yes", finish_reason="stop", usage=Usage(1, 2))


def test_a_prompt_is_completed_raw(house: House, client: openai.OpenAI) -> None:
    completion = client.completions.create(model=CHAT, prompt="Once upon")
    assert completion.choices[0].text == REPLY
    assert completion.id.startswith("cmpl-") and completion.object == "text_completion"
    prompt, _ = options_of(house, {"model": CHAT, "prompt": ["Once upon"]}, "/v1/completions")
    assert prompt == "Once upon"


def test_a_completion_is_streamed(client: openai.OpenAI) -> None:
    parts = list(client.completions.create(model=CHAT, prompt="Once", stream=True))
    assert "".join(p.choices[0].text for p in parts) == REPLY
    assert parts[-1].choices[0].finish_reason == "stop"


def test_a_completion_has_the_old_logprobs_and_echoes(client: openai.OpenAI) -> None:
    completion = client.completions.create(model=CHAT, prompt="Once ", logprobs=2, echo=True)
    choice = completion.choices[0]
    assert choice.text == "Once " + REPLY
    assert choice.logprobs is not None
    tokens, offsets = choice.logprobs.tokens, choice.logprobs.text_offset
    assert tokens and offsets
    assert all(
        choice.text[offset:].startswith(token)
        for token, offset in zip(tokens, offsets, strict=True)
    )
    assert all(len(top) == 2 for top in (choice.logprobs.top_logprobs or [])[1:])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": ["a"] * 129}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"logprobs": 21}, "top_logprobs"),
    ],
)
def test_a_completion_refuses_what_it_cannot_do(house: House, fields, param: str) -> None:
    response = post(house, "/v1/completions", {"model": CHAT, "prompt": "x", **fields})
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith(param.split(".", maxsplit=1)[0])


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_embeddings_are_numbers_or_base64(client: openai.OpenAI, encoding) -> None:
    how = {"encoding_format": encoding} if encoding == "float" else {}
    answer = client.embeddings.create(model=EMBEDDING, input=["one", "두 번째"], **how)
    vectors = np.array([item.embedding for item in answer.data], dtype=np.float32)
    assert np.allclose(vectors, HashEmbedder().embed(["one", "두 번째"]), atol=1e-6)
    assert [item.index for item in answer.data] == [0, 1]
    assert answer.usage.total_tokens > 0


def test_embeddings_of_many_texts_keep_their_order(client: openai.OpenAI) -> None:
    texts = [f"text {n}" for n in range(100)]
    answer = client.embeddings.create(model=EMBEDDING, input=texts)
    vectors = np.array([item.embedding for item in answer.data], dtype=np.float32)
    assert np.allclose(vectors, HashEmbedder().embed(texts), atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": [[1, 2]]}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 4}, "dimensions"),
        ({"dimensions": 0}, "dimensions"),
        ({"model": CHAT}, "model"),
        ({"model": ""}, "model"),
    ],
)
def test_embeddings_refuse_what_they_cannot_do(house: House, fields, param: str) -> None:
    response = post(house, "/v1/embeddings", {"model": EMBEDDING, "input": "x", **fields})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"].startswith(param)


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [CHAT, EMBEDDING]
    assert client.models.retrieve(CHAT).owned_by == "library"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("hf:nobody/nothing")

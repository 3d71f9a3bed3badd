"""The server with the default models: the real engine, the real embedder, the real clients."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ollama
import openai
import pytest
from house import CHAT, EMBEDDING, House, real_house
from test_streaming import ROUTES, ask_raw

pytestmark = pytest.mark.model

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
GREEDY = {"temperature": 0, "num_predict": 16, "seed": 1}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def real(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("real")
    with real_house(folder, models_dir, 2048) as house:
        yield house


@pytest.fixture
def asked(real: House) -> Iterator[ollama.Client]:
    with ollama.Client(host=real.url, trust_env=False, verify=False) as client:
        yield client


@pytest.fixture
def openai_client(real: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{real.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def post(real: House, path: str, body: object) -> Any:
    with real.client() as client:
        return client.post(path, json=body)


def test_ollamas_client_streams_and_gathers_the_same_answer(asked: ollama.Client) -> None:
    parts = list(asked.chat(model=CHAT, messages=QUESTION, options=GREEDY, stream=True))
    whole = asked.chat(model=CHAT, messages=QUESTION, options=GREEDY)
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert "Paris" in (whole.message.content or "")
    assert parts[-1].eval_count == whole.eval_count > 0
    assert parts[-1].prompt_eval_count == whole.prompt_eval_count > 10
    assert whole.total_duration >= whole.eval_duration > 0


def test_openais_client_streams_and_gathers_the_same_answer(openai_client) -> None:
    how: dict[str, Any] = {"model": CHAT, "messages": QUESTION, "temperature": 0, "max_tokens": 16}
    stream = openai_client.chat.completions.create(
        **how, stream=True, stream_options={"include_usage": True}
    )
    parts = list(stream)
    whole = openai_client.chat.completions.create(**how)
    text = "".join(p.choices[0].delta.content or "" for p in parts if p.choices)
    assert text == whole.choices[0].message.content
    assert parts[-1].usage.completion_tokens == whole.usage.completion_tokens > 0


def test_a_seed_makes_a_sampled_answer_the_same_twice(openai_client) -> None:
    said = {
        openai_client.completions.create(
            model=CHAT, prompt="Once upon a time", temperature=1.5, max_tokens=12, seed=seed
        )
        .choices[0]
        .text
        for seed in (7, 7, 8)
    }
    assert len(said) == 2


def test_a_schema_holds_in_both_dialects(asked: ollama.Client, openai_client) -> None:
    answer = asked.chat(model=CHAT, messages=QUESTION, options={"temperature": 0}, format=SCHEMA)
    assert json.loads(answer.message.content or "")["city"] in ("Paris", "Rome")
    completion = openai_client.chat.completions.create(
        model=CHAT,
        messages=QUESTION,
        max_tokens=64,
        response_format={"type": "json_schema", "json_schema": {"name": "c", "schema": SCHEMA}},
    )
    assert json.loads(completion.choices[0].message.content)["city"] in ("Paris", "Rome")


def test_logprobs_belong_to_the_tokens_that_were_said(openai_client) -> None:
    completion = openai_client.chat.completions.create(
        model=CHAT, messages=QUESTION, temperature=0, max_tokens=6, logprobs=True, top_logprobs=3
    )
    entries = completion.choices[0].logprobs.content
    assert "".join(e.token for e in entries) == completion.choices[0].message.content
    for entry in entries:
        assert entry.logprob <= 0 and len(entry.top_logprobs) == 3
        assert entry.logprob == pytest.approx(max(t.logprob for t in entry.top_logprobs), abs=1e-3)


def test_a_stop_ends_a_completion(openai_client) -> None:
    completion = openai_client.completions.create(
        model=CHAT, prompt="1, 2, 3, 4, 5,", temperature=0, max_tokens=30, stop=["9"]
    )
    assert completion.choices[0].finish_reason == "stop"
    assert "9" not in completion.choices[0].text


def test_embeddings_are_the_same_in_every_form(asked: ollama.Client, openai_client) -> None:
    texts = ["A stove under the floor.", "온돌은 바닥을 데운다.", "word " * 1000]
    ours = np.array(asked.embed(model=EMBEDDING, input=texts).embeddings)
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    answer = openai_client.embeddings.create(model=EMBEDDING, input=texts)
    assert np.allclose(ours, [item.embedding for item in answer.data], atol=1e-6)
    assert answer.usage.prompt_tokens > 256
    floats = openai_client.embeddings.create(model=EMBEDDING, input=texts, encoding_format="float")
    assert np.allclose(ours, [item.embedding for item in floats.data], atol=1e-6)
    assert np.allclose(asked.embeddings(model=EMBEDDING, prompt=texts[0]).embedding, ours[0])


def test_a_text_that_is_too_long_is_refused_when_it_may_not_be_cut(real: House) -> None:
    body = {"model": EMBEDDING, "input": "word " * 1000, "truncate": False}
    response = post(real, "/api/embed", body)
    assert response.status_code == 400 and "256" in response.json()["error"]


def test_a_model_is_loaded_shown_and_unloaded(asked: ollama.Client) -> None:
    asked.generate(model=CHAT, keep_alive=-1)
    (loaded,) = asked.ps().models
    assert loaded.name == CHAT and loaded.size > 50_000_000
    assert loaded.expires_at.year > 2100
    asked.generate(model=CHAT, keep_alive=0)
    assert asked.ps().models == []
    shown = asked.show(CHAT)
    assert shown.modelinfo["llama.context_length"] == 8192
    assert shown.details.quantization_level == "Q4_1"


@pytest.mark.parametrize("stream", [True, False])
def test_hanging_up_frees_the_engine_for_the_next_request(real: House, stream: bool) -> None:
    endless = {"num_predict": -1, "temperature": 1.0, "seed": 3}
    body = {"model": CHAT, "prompt": "1, 2, 3, 4,", "raw": True, "options": endless}
    with ask_raw(real, "/api/generate", body | {"stream": stream}) as connection:
        if stream:
            connection.recv(4096)
    after = {"model": CHAT, "prompt": "Hi", "stream": False, "options": {"num_predict": 1}}
    assert post(real, "/api/generate", after).json()["eval_count"] == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_whoever_hangs_up_in_any_dialect_leaves_the_slot_free(real, path, body, stream) -> None:
    with ask_raw(real, path, {**body, "stream": stream}) as connection:
        if stream:
            assert connection.recv(4096)
        else:
            wait_until(lambda: any(one.in_use for one in real.pool.loaded()))
    wait_until(lambda: not any(one.in_use for one in real.pool.loaded()))


def wait_until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_hanging_up_while_the_prompt_is_read_frees_the_engine(real: House) -> None:
    prompt = " ".join(f"word{n}" for n in range(600))
    with ask_raw(real, "/api/generate", {"model": CHAT, "prompt": prompt, "raw": True}):
        pass
    after = {"model": CHAT, "prompt": "Hi", "stream": False, "options": {"num_predict": 1}}
    assert post(real, "/api/generate", after).json()["eval_count"] == 1


def test_a_prompt_beyond_the_context_is_refused_and_a_long_chat_is_shortened(real: House) -> None:
    long = "word " * 3000
    chat = {"model": CHAT, "stream": True, "options": {"num_predict": 2}}
    for path in ("/api/chat", "/v1/chat/completions"):
        body = chat | {"messages": [{"role": "user", "content": long}]}
        response = post(real, path, body)
        assert response.status_code == 400 and response.json()["error"]
    turns = [{"role": "user", "content": long}, {"role": "user", "content": "Hi"}]
    assert post(real, "/api/chat", chat | {"messages": turns}).status_code == 200
    refused = post(real, "/v1/chat/completions", chat | {"messages": turns})
    assert refused.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -1},
        {"temperature": 1e6},
        {"top_k": -5, "top_p": -1, "min_p": 7, "typical_p": 9},
        {"top_p": 0, "min_p": 1},
        {"repeat_last_n": -9, "repeat_penalty": 0},
        {"repeat_last_n": 2**31 - 1},
        {"seed": 2**31 - 1},
        {"seed": 10**30},
        {"presence_penalty": -1e6, "frequency_penalty": 1e6},
        {"stop": ["x"] * 200},
        {"num_ctx": 1},
        {"num_ctx": 1_048_576},
    ],
)
def test_no_option_is_the_servers_fault(real: House, options: dict[str, Any]) -> None:
    body = {"model": CHAT, "prompt": "Hi", "stream": False}
    response = post(real, "/api/generate", body | {"options": {"num_predict": 2} | options})
    assert response.status_code < 500, response.text
    response.json()


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"pattern": "^(("},
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.com/schema"},
        {"enum": []},
        {"type": "object", "properties": 7},
        {"anyOf": []},
    ],
)
def test_no_schema_is_the_servers_fault(real: House, schema: dict[str, Any]) -> None:
    options = {"num_predict": 4}
    body = {"model": CHAT, "prompt": "Hi", "stream": False, "format": schema, "options": options}
    response = post(real, "/api/generate", body)
    assert response.status_code < 500, response.text
    response.json()


@pytest.mark.parametrize("is_streamed", [False, True])
def test_schema_that_would_hold_the_model_up_is_a_400_at_every_door(
    real: House, is_streamed: bool
) -> None:
    nasty = {"type": "string", "pattern": "^((a{0,100}){0,100}){0,100}$"}
    form = {"type": "json_schema", "json_schema": {"name": "c", "schema": nasty}}
    body: dict[str, Any] = {"model": CHAT, "messages": QUESTION, "stream": is_streamed}
    for path, wanted in (
        ("/v1/chat/completions", {"response_format": form}),
        ("/api/chat", {"format": nasty}),
    ):
        response = post(real, path, body | wanted)
        assert response.status_code == 400, response.text
        assert "too many ways" in response.text
    options = {"max_tokens": 4}
    assert post(real, "/v1/chat/completions", body | options).status_code == 200


def test_an_engine_that_is_killed_ends_the_stream_and_the_next_request_works(real: House) -> None:
    body = {"model": CHAT, "prompt": "1, 2, 3,", "raw": True, "options": {"num_predict": -1}}
    with real.client() as client:
        with client.stream("POST", "/api/generate", json=body) as response:
            lines = response.iter_lines()
            next(lines)
            (loaded,) = real.parts.pool.loaded()
            os.kill(loaded.pid, signal.SIGKILL)
            last = list(lines)[-1]
    assert list(json.loads(last)) == ["error"]
    after = {"model": CHAT, "prompt": "Hi", "stream": False, "options": {"num_predict": 1}}
    assert post(real, "/api/generate", after).status_code == 200


def test_a_question_is_answered_from_a_document(real: House, tmp_path: Path) -> None:
    text = "The boiler was serviced on 14 March by Mr Kim. The cat is called Gureum."
    (tmp_path / "house.md").write_text(text)
    body = {"paths": [str(tmp_path)], "stream": False}
    assert post(real, "/ondol/v1/documents", body).json()["added"] == 1
    question = {"question": "When was the boiler serviced?", "stream": False}
    answer = post(real, "/ondol/v1/ask", question).json()
    assert "14 March" in answer["quotes"][0]["text"]
    assert answer["model"].startswith(CHAT) and answer["answer"]
    assert answer["usage"]["completion_tokens"] > 0

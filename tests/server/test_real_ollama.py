"""Ollama's clients with the default models, started as their users start them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import ollama
import pytest
from house import CHAT, EMBEDDING, House, real_house

pytestmark = pytest.mark.model

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
GREEDY = {"temperature": 0, "num_predict": 16, "seed": 1}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
MULTIPLY = "def multiply(a: int, b: int) -> int:\n    'Multiply two integers'\n    return a * b\n"


@pytest.fixture(scope="module")
def real(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Models of the test's own, which take no room: some tests make and remove some."""
    folder = tmp_path_factory.mktemp("real")
    subprocess.run(["cp", "-rl", str(models_dir), str(folder / "models")], check=True)
    with real_house(folder, folder / "models", 512) as house:
        yield house


@pytest.fixture
def client(real: House) -> Iterator[ollama.Client]:
    with ollama.Client(host=real.url, trust_env=False, verify=False) as client:
        yield client


@pytest.fixture(scope="module")
def llm(real: House, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The program ``llm`` with its plug-in, in a home of its own."""
    home = tmp_path_factory.mktemp("llm")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "llm", *arguments],
            env={**os.environ, "OLLAMA_HOST": real.url, "LLM_USER_PATH": str(home)}
            | {"NO_PROXY": "127.0.0.1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def pids(real: House) -> list[int]:
    return [loaded.pid for loaded in real.parts.pool.loaded() if loaded.name == CHAT]


def test_a_context_within_the_loaded_one_keeps_the_process(real: House, client) -> None:
    client.chat(model=CHAT, messages=QUESTION, options=GREEDY)
    before = pids(real)
    for num_ctx in (128, 256, 512):
        client.chat(model=CHAT, messages=QUESTION, options=GREEDY | {"num_ctx": num_ctx})
    client.generate(model=CHAT, prompt="Once", options=GREEDY | {"num_ctx": 300})
    assert before and pids(real) == before
    (loaded,) = client.ps().models
    assert loaded.context_length == 512 and loaded.size_vram is not None
    with real.client() as raw:
        expires_at = raw.get("/api/ps").json()["models"][0]["expires_at"]
    assert datetime.fromisoformat(expires_at).tzinfo is not None


def test_one_process_serves_what_was_made_from_a_model(real: House, client) -> None:
    client.chat(model=CHAT, messages=QUESTION, options=GREEDY)
    before = pids(real)
    client.create(
        model="parrot",
        from_=CHAT,
        system="Answer with the word Rome, whatever is asked.",
        parameters=GREEDY | {"num_predict": 4},
    )
    said = client.chat(model="parrot", messages=QUESTION)
    assert said.eval_count is not None and said.eval_count <= 4
    assert (
        said.prompt_eval_count > client.chat(model=CHAT, messages=QUESTION).prompt_eval_count - 60
    )
    assert [loaded.name for loaded in real.parts.pool.loaded()] == [CHAT]
    assert pids(real) == before
    client.delete("parrot")
    assert client.chat(model=CHAT, messages=QUESTION, options=GREEDY).message.content


def test_a_chat_that_is_too_long_says_what_it_left_out(real: House, client) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        *(
            {"role": role, "content": f"{number} " + "word " * 60}
            for number in range(6)
            for role in ("user", "assistant")
        ),
        *QUESTION,
    ]
    body = {"model": CHAT, "messages": turns, "options": GREEDY, "stream": False}
    with real.client() as raw:
        whole = raw.post("/api/chat", json=body)
        refused = raw.post("/api/chat", json=body | {"truncate": False})
        alone = [{"role": "user", "content": "word " * 800}]
        hopeless = raw.post("/api/chat", json=body | {"messages": alone})
    left = whole.json()["truncated"]
    assert left["messages"] % 2 == 0 and 4 <= left["messages"] < 12 and left["tokens"] > 200
    assert whole.json()["prompt_eval_count"] < 512 and "Ondol-Truncated" in whole.headers
    for response in (refused, hopeless):
        assert response.status_code == 400 and "512" in response.json()["error"]


def test_an_answer_that_fills_the_context_ends_with_length(real: House) -> None:
    count = real.parts.engine(CHAT).count_tokens
    prompt = "one two three "
    while count(prompt) < 490:
        prompt += "one two three "
    options = {"temperature": 0, "num_predict": -1}
    body = {"model": CHAT, "prompt": prompt, "raw": True, "options": options, "shift": False}
    with real.client() as raw:
        answer = raw.post("/api/generate", json=body | {"stream": False}).json()
    assert answer["done_reason"] == "length"
    assert 500 < answer["prompt_eval_count"] + answer["eval_count"] <= 512 + 1


@pytest.mark.parametrize("tools", [False, True])
def test_a_format_holds_with_and_without_tools(client: ollama.Client, tools: bool) -> None:
    def weather(city: str) -> str:
        """The weather in a city."""
        return city

    able = "tools" in (client.show(CHAT).capabilities or ())
    answer = client.chat(
        model=CHAT,
        messages=QUESTION,
        format=SCHEMA,
        options={"temperature": 0},
        tools=[weather] if tools and able else None,
    )
    for call in answer.message.tool_calls or ():
        assert isinstance(call.function.arguments["city"], str)
    if not answer.message.tool_calls:
        assert json.loads(answer.message.content or "")["city"] in ("Paris", "Rome")


def test_what_a_model_says_it_can_do_it_can_and_the_rest_is_refused(real: House, client) -> None:
    can = set(client.show(CHAT).capabilities or ())
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    picture = [{"role": "user", "content": "?", "images": ["AAAA"]}]
    tries = {
        "tools": ("/api/chat", {"messages": QUESTION, "tools": [tool]}),
        "thinking": ("/api/chat", {"messages": QUESTION, "think": True}),
        "vision": ("/api/chat", {"messages": picture}),
        "insert": ("/api/generate", {"prompt": "def f(", "suffix": "return"}),
    }
    with real.client() as raw:
        for capability, (path, body) in tries.items():
            how = {"model": CHAT, "stream": False, "options": GREEDY}
            response = raw.post(path, json=how | body)
            if capability in can:
                assert response.status_code == 200, response.text
            else:
                assert f"does not support {capability}" in response.json()["error"]
    template = str(client.show(CHAT).template)
    assert ("tools" in template) is ("tools" in can)
    assert (".Suffix" in template) is ("insert" in can)


def test_llm_chats_streams_and_goes_on(llm: Any) -> None:
    listed = llm("ollama", "models")
    assert CHAT in listed and EMBEDDING in listed
    how = ["-o", "temperature", "0", "-o", "num_predict", "12", "-o", "num_ctx", "256"]
    question = "What is the capital of France? Answer in one word."
    streamed = llm("-m", f"ollama/{CHAT}", *how, question)
    assert "Paris" in streamed
    assert llm("-m", f"ollama/{CHAT}", "--no-stream", *how, question) == streamed
    assert llm("-c", *how, "And of Italy?").strip()


def test_llm_asks_for_json_and_for_vectors(llm: Any) -> None:
    greedy = ["-o", "temperature", "0"]
    said = json.loads(llm("-m", f"ollama/{CHAT}", *greedy, "--schema", "name, age int", "A dog"))
    assert isinstance(said["age"], int) and isinstance(said["name"], str)
    vector = json.loads(llm("embed", "-m", f"ollama/{EMBEDDING}", "-c", "hello"))
    assert len(vector) == 384 and abs(sum(x * x for x in vector) - 1) < 1e-3


def test_llm_offers_tools_where_the_model_has_them(llm: Any, client: ollama.Client) -> None:
    if "tools" not in (client.show(CHAT).capabilities or ()):
        pytest.skip("this model takes no tools")
    how = ["-o", "temperature", "0", "-o", "num_predict", "40"]
    said = llm("-m", f"ollama/{CHAT}", *how, "--functions", MULTIPLY, "What is 3 times 4?")
    assert said.strip()

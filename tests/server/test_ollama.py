"""Ollama's dialect, by its own client and by the byte."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import numpy as np
import ollama
import pytest
from house import CHAT, EMBEDDING, REPLY, GatedEngine, HashEmbedder, House

from ondol.engine.scripted import ScriptedEngine
from ondol.errors import ContextLengthError, EngineBusyError, EngineCrashedError
from ondol.server.ollama.reply import recall, remember
from ondol.types import Message, Token, Usage

QUESTION = [{"role": "user", "content": "What keeps a house warm?"}]
CHAT_BODY = {"model": CHAT, "messages": QUESTION}
COSTS = (
    "total_duration load_duration prompt_eval_count prompt_eval_duration eval_count eval_duration"
).split()


@pytest.fixture
def client(house: House):
    with ollama.Client(host=house.url, trust_env=False, verify=False) as client:
        yield client


def post(house: House, path: str, body: object) -> Any:
    with house.client() as client:
        return client.post(path, json=body)


def lines(house: House, path: str, body: object) -> list[Any]:
    response = post(house, path, body)
    assert response.headers["content-type"].startswith("application/x-ndjson"), response.text
    assert response.text.endswith("\n")
    return [json.loads(line) for line in response.text.splitlines()]


class RecordingEngine(ScriptedEngine):
    """Remembers what it was last asked."""

    def __init__(self) -> None:
        super().__init__([REPLY], model=CHAT)
        self.seen: tuple[Any, Any] = (None, None)

    def generate(self, messages, options):
        self.seen = (list(messages), options)
        return super().generate(messages, options)

    def complete(self, prompt, options):
        tokens = super().complete(prompt, options)
        self.seen = (prompt, options)
        return tokens


@pytest.fixture
def engine(house: House) -> RecordingEngine:
    engine = RecordingEngine()
    house.pool.engines[CHAT] = engine
    return engine


def test_a_chat_is_answered(client: ollama.Client) -> None:
    answer = client.chat(model=CHAT, messages=QUESTION)
    assert (answer.message.role, answer.message.content) == ("assistant", REPLY)
    assert (answer.done, answer.done_reason, answer.model) == (True, "stop", CHAT)
    assert answer.eval_count and answer.prompt_eval_count
    assert answer.message.thinking is None


def test_a_chat_is_streamed(client: ollama.Client) -> None:
    parts = list(client.chat(model=CHAT, messages=QUESTION, stream=True))
    assert "".join(part.message.content or "" for part in parts) == REPLY
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


def test_streaming_is_the_default_and_costs_are_on_the_last_line_only(house: House) -> None:
    first, *_, last = parts = lines(house, "/api/chat", CHAT_BODY)
    assert all(part["message"]["role"] == "assistant" for part in parts)
    assert last["message"] == {"role": "assistant", "content": ""}
    assert last["done_reason"] == "stop" and "done_reason" not in first
    assert all(isinstance(last[name], int) and name not in first for name in COSTS)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", first["created_at"])


def test_a_stream_cannot_be_cut_by_unicode_line_breaks(house: House) -> None:
    house.pool.engines[CHAT] = ScriptedEngine(["a\u2028b \x85c"], model=CHAT)
    text = "".join(p["message"]["content"] for p in lines(house, "/api/chat", CHAT_BODY))
    assert text == "a\u2028b \x85c"


def test_whole_answers_are_json(house: House) -> None:
    response = post(house, "/api/chat", CHAT_BODY | {"stream": False})
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert all(name in response.json() for name in COSTS)


def test_counts_are_sent_even_when_they_are_zero(house: House) -> None:
    house.pool.engines[CHAT] = SilentEngine()
    last = lines(house, "/api/chat", CHAT_BODY)[-1]
    assert (last["prompt_eval_count"], last["eval_count"]) == (0, 0)


class SilentEngine(GatedEngine):
    """Says nothing at all."""

    def generate(self, messages, options):
        yield Token("", finish_reason="length", usage=Usage(load_seconds=1.5))


def test_durations_are_nanoseconds(house: House) -> None:
    house.pool.engines[CHAT] = SilentEngine()
    answer = post(house, "/api/chat", CHAT_BODY | {"stream": False}).json()
    assert answer["load_duration"] == 1_500_000_000
    assert answer["done_reason"] == "length"


def test_every_option_reaches_the_engine(client: ollama.Client, engine, house: House) -> None:
    given = {
        "num_predict": 3,
        "temperature": 0.1,
        "top_k": 4,
        "top_p": 0.5,
        "min_p": 0.2,
        "typical_p": 0.7,
        "repeat_last_n": 8,
        "repeat_penalty": 1.2,
        "presence_penalty": 0.3,
        "frequency_penalty": 0.4,
        "seed": 42,
    }
    dropped = {"mirostat": 1, "tfs_z": 1.0, "low_vram": True, "numa": False, "num_gqa": 8}
    options = {**given, **dropped, "stop": "END", "num_ctx": 512}
    answer = client.chat(model=CHAT, messages=QUESTION, options=options, keep_alive="10m")
    assert answer.done_reason == "length"
    got = engine.seen[1]
    assert got.max_tokens == 3 and got.stop == ("END",)
    assert all(getattr(got, name) == given[name] for name in given if name != "num_predict")
    asked = house.pool.calls[-1][2]
    assert (asked["num_ctx"], asked["keep_alive_seconds"], asked["adapters"]) == (512, 600, {})


@pytest.mark.parametrize(("num_predict", "limit"), [(-1, None), (-2, None), (0, None), (1, 1)])
def test_a_negative_num_predict_means_no_limit(house: House, engine, num_predict, limit) -> None:
    body = CHAT_BODY | {"options": {"num_predict": num_predict, "seed": -1, "stop": ["a", "b"]}}
    assert post(house, "/api/chat", body).status_code == 200
    assert engine.seen[1].max_tokens == limit
    assert engine.seen[1].seed is None and engine.seen[1].stop == ("a", "b")


@pytest.mark.parametrize(
    ("format", "schema"),
    [
        ("", None),
        (None, None),
        ("json", {"type": "object"}),
        ({"type": "array"}, {"type": "array"}),
    ],
)
def test_a_format_becomes_a_schema(house: House, engine, format, schema) -> None:
    assert post(house, "/api/chat", CHAT_BODY | {"format": format}).status_code == 200
    assert engine.seen[1].json_schema == schema


def test_logprobs_come_with_alternatives(client: ollama.Client) -> None:
    answer = client.chat(model=CHAT, messages=QUESTION, logprobs=True, top_logprobs=3)
    assert answer.logprobs is not None
    assert "".join(entry.token for entry in answer.logprobs) == REPLY
    assert all(len(entry.top_logprobs or []) == 3 for entry in answer.logprobs)
    parts = list(client.chat(model=CHAT, messages=QUESTION, logprobs=True, stream=True))
    assert all(part.logprobs for part in parts if part.message.content)


def test_thinking_is_its_own_field_and_can_be_left_out(house: House) -> None:
    house.pool.engines[CHAT] = ThinkingEngine()
    message = post(house, "/api/chat", CHAT_BODY | {"stream": False}).json()["message"]
    assert (message["thinking"], message["content"]) == ("hm ", "yes")
    first, second, _ = lines(house, "/api/chat", CHAT_BODY)
    assert first["message"] == {"role": "assistant", "content": "", "thinking": "hm "}
    assert second["message"] == {"role": "assistant", "content": "yes"}
    quiet = post(house, "/api/generate", {"model": CHAT, "prompt": "?", "think": False})
    assert "hm" not in quiet.text


class ThinkingEngine(GatedEngine):
    """Thinks, then says yes."""

    def generate(self, messages, options):
        yield Token("hm ", reasoning=True)
        yield Token("yes", finish_reason="stop", usage=Usage(1, 2))


def test_a_prompt_is_answered(client: ollama.Client, engine) -> None:
    answer = client.generate(model=CHAT, prompt="Why?", system="Be brief.")
    assert answer.response == REPLY and answer.done_reason == "stop"
    assert [(m.role, m.content) for m in engine.seen[0]] == [
        ("system", "Be brief."),
        ("user", "Why?"),
    ]


def test_a_prompt_is_streamed(client: ollama.Client) -> None:
    parts = list(client.generate(model=CHAT, prompt="Why?", stream=True))
    assert "".join(part.response or "" for part in parts) == REPLY
    assert parts[-1].context and parts[0].context is None


def test_a_raw_prompt_is_completed_without_a_template(client: ollama.Client, engine) -> None:
    answer = client.generate(model=CHAT, prompt="<s>Why", raw=True)
    assert engine.seen[0] == "<s>Why"
    assert answer.context is None


def test_a_context_continues_the_conversation(client: ollama.Client, engine) -> None:
    first = client.generate(model=CHAT, prompt="Hello 안녕", system="S")
    client.generate(model=CHAT, prompt="And?", context=first.context)
    assert [(m.role, m.content) for m in engine.seen[0]] == [
        ("system", "S"),
        ("user", "Hello 안녕"),
        ("assistant", REPLY),
        ("user", "And?"),
    ]


def test_a_context_is_remembered_exactly() -> None:
    turns = [Message("user", "\ud55c\n\"'"), Message("assistant", "")]
    assert recall(remember(turns)) == turns


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
@pytest.mark.parametrize(
    ("keep_alive", "reason", "call"),
    [(None, "load", "load"), (0, "unload", "stop"), ("0s", "unload", "stop"), (-1, "load", "load")],
)
def test_nothing_to_say_loads_or_unloads(house, path, keep_alive, reason, call) -> None:
    response = post(house, path, {"model": CHAT, "keep_alive": keep_alive})
    answer = response.json()
    assert (answer["done"], answer["done_reason"], answer["model"]) == (True, reason, CHAT)
    assert "message" in answer or answer["response"] == ""
    assert house.pool.calls[-1][:2] == (call, CHAT)


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"model": None}, 400, "model is required"),
        ({"model": "nobody"}, 404, "model 'nobody' not found"),
        ({"model": "smollm2"}, 404, "model 'smollm2' not found"),
        ({"model": EMBEDDING}, 400, f'"{EMBEDDING}" does not support chat'),
        ({"think": True}, 400, f'"{CHAT}" does not support thinking'),
        ({"think": "high"}, 400, f'"{CHAT}" does not support thinking'),
        ({"think": "hard"}, 400, "hard"),
        ({"tools": [{"type": "function"}]}, 400, "tools[0] is not a function"),
        ({"top_logprobs": 21, "logprobs": True}, 400, "between 0 and 20"),
        ({"format": "xml"}, 400, "xml"),
        ({"keep_alive": "-1"}, 400, "-1"),
        ({"keep_alive": "soon"}, 400, "soon"),
        ({"options": {"temperature": "hot"}}, 400, "options.temperature"),
        ({"options": {"num_ctx": -1}}, 400, "options.num_ctx"),
        ({"messages": [{"role": "elf", "content": "x"}]}, 400, "elf"),
        ({"messages": [{"role": "user", "content": "", "images": ["AA"]}]}, 400, "vision"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_done_is_an_error_before_the_first_byte(
    house: House, fields, status: int, words: str, stream: bool
) -> None:
    response = post(house, "/api/chat", CHAT_BODY | {"stream": stream} | fields)
    assert response.status_code == status
    assert list(response.json()) == ["error"] and words in response.json()["error"]


def test_a_missing_model_has_ollamas_very_words(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        client.chat(model="nobody", messages=QUESTION)
    assert (caught.value.status_code, caught.value.error) == (404, "model 'nobody' not found")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"suffix": "end"}, f'"{CHAT}" does not support insert'),
        ({"images": ["AA"]}, "vision"),
        ({"template": "{{ .Prompt }}!"}, "raw"),
        ({"raw": True, "system": "S"}, "raw mode does not support"),
        ({"raw": True, "context": [91, 93]}, "raw mode does not support"),
        ({"context": ["a"]}, "context"),
    ],
)
def test_generate_refuses_what_it_cannot_do(house: House, fields, words: str) -> None:
    response = post(house, "/api/generate", {"model": CHAT, "prompt": "x", **fields})
    assert response.status_code == 400 and words in response.json()["error"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "missing request body"), (b"{", "not valid JSON"), (b"[]", "JSON object")],
)
@pytest.mark.parametrize("method_path", ["POST /api/chat", "POST /api/show", "DELETE /api/delete"])
def test_a_body_that_is_no_object_is_a_400(house, method_path: str, content, words) -> None:
    method, path = method_path.split()
    with house.client() as client:
        response = client.request(method, path, content=content)
    assert response.status_code == 400 and words in response.json()["error"]


def test_curls_own_content_type_is_read_as_json(house: House) -> None:
    with house.client() as client:
        response = client.post(
            "/api/show",
            content=json.dumps({"model": CHAT}),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
    assert response.status_code == 200


def test_a_full_queue_says_when_to_come_back(house: House) -> None:
    house.pool.engines[CHAT] = GatedEngine()
    house.pool.engines[CHAT].generate = lambda *how: failing(EngineBusyError("busy"))
    response = post(house, "/api/chat", CHAT_BODY)
    assert response.status_code == 503 and int(response.headers["retry-after"]) > 0


def failing(error: Exception):
    raise error
    yield


def test_a_crash_in_mid_stream_ends_it_with_one_error_line(client, house: House) -> None:
    house.pool.engines[CHAT] = GatedEngine(error=EngineCrashedError("the engine is gone"))
    said = []
    with pytest.raises(ollama.ResponseError, match="the engine is gone"):
        for part in client.chat(model=CHAT, messages=QUESTION, stream=True):
            said.append(part)
    assert said
    assert lines(house, "/api/chat", CHAT_BODY)[-1] == {"error": "the engine is gone"}


class SmallEngine(RecordingEngine):
    """Takes three messages at most."""

    def generate(self, messages, options):
        if len(messages) > 3:
            raise ContextLengthError("too long")
        yield from super().generate(messages, options)


def test_the_oldest_turns_are_forgotten_until_a_chat_fits(house: House) -> None:
    house.pool.engines[CHAT] = engine = SmallEngine()
    turns = [{"role": "user", "content": str(n)} for n in range(6)]
    messages = [{"role": "system", "content": "S"}, *turns]
    assert post(house, "/api/chat", CHAT_BODY | {"messages": messages}).status_code == 200
    assert [m.content for m in engine.seen[0]] == ["S", "4", "5"]
    refused = post(house, "/api/chat", CHAT_BODY | {"messages": messages, "truncate": False})
    assert refused.status_code == 400 and "too long" in refused.json()["error"]


def test_a_chat_whose_last_turn_does_not_fit_is_a_400(house: House) -> None:
    house.pool.engines[CHAT] = GatedEngine()
    house.pool.engines[CHAT].generate = lambda *how: failing(ContextLengthError("too long"))
    assert post(house, "/api/chat", CHAT_BODY).status_code == 400


def test_texts_are_embedded(client: ollama.Client) -> None:
    answer = client.embed(model=EMBEDDING, input=["one", "둘"])
    assert np.allclose(answer.embeddings, HashEmbedder().embed(["one", "둘"]), atol=1e-6)
    assert answer.prompt_eval_count and answer.total_duration
    assert len(client.embed(model=EMBEDDING, input="one").embeddings) == 1
    old = client.embeddings(model=EMBEDDING, prompt="one")
    assert np.allclose(old.embedding, answer.embeddings[0])


@pytest.mark.parametrize("input", ["", [], None])
def test_nothing_to_embed_is_no_vector(house: House, input) -> None:
    response = post(house, "/api/embed", {"model": EMBEDDING, "input": input})
    assert response.json()["embeddings"] == []
    assert post(house, "/api/embeddings", {"model": EMBEDDING}).json() == {"embedding": []}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": CHAT}, "does not support embeddings"),
        ({"dimensions": 3}, "8 dimensions"),
        ({"input": 3}, "input"),
        ({"input": "x", "model": ""}, "model is required"),
    ],
)
def test_embed_refuses_what_it_cannot_do(house: House, fields, words: str) -> None:
    response = post(house, "/api/embed", {"model": EMBEDDING, "input": "x", **fields})
    assert response.status_code == 400 and words in response.json()["error"]


def test_root_says_what_probes_want_to_hear(house: House) -> None:
    with house.client() as client:
        assert client.get("/").text == "Ollama is running"
        assert client.head("/").status_code == 200
        for path in ("/api/version", "/api/tags"):
            assert client.head(path).status_code == 200
        version = client.get("/api/version").json()["version"]
    assert tuple(map(int, version.split("."))) >= (0, 6, 4)


def test_tags_list_what_is_installed(client: ollama.Client, house: House) -> None:
    models = {model.model: model for model in client.list().models}
    assert models.keys() == {CHAT, EMBEDDING}
    assert models[CHAT].details.format == "gguf" and models[CHAT].size > 0
    with house.client() as raw:
        tag = raw.get("/api/tags").json()["models"][0]
    assert tag["name"] == CHAT  # many clients chat with the first, and the embedder is newer
    assert tag["model"] == CHAT and re.fullmatch("[0-9a-f]{64}", tag["digest"])
    assert tag["capabilities"] == ["completion", "tools"]
    assert tag["details"]["families"] == [tag["details"]["family"]] == ["llama"]


def test_show_has_what_clients_parse(client: ollama.Client, house: House) -> None:
    shown = client.show(CHAT)
    assert shown.capabilities == ["completion", "tools"]
    assert shown.modelinfo["general.architecture"] == "llama"
    assert shown.modelinfo["llama.context_length"] == 2048
    assert shown.modelinfo["general.parameter_count"] == 512
    assert "{{ .Prompt }}" in shown.template
    assert ".Suffix" not in shown.template and "tools" in shown.template
    pattern = re.compile(r'^(\S+)\s+((?:".*")|\S+)$')
    parsed = dict(pattern.match(line).groups() for line in shown.parameters.splitlines())
    assert parsed == {"num_ctx": "2048", "stop": '"<|im_end|>"'}
    raw = post(house, "/api/show", {"name": EMBEDDING}).json()
    assert raw["capabilities"] == ["embedding"] and raw["parameters"] == ""
    assert raw["model_info"]["bert.embedding_length"] == 8


def test_ps_shows_what_is_loaded(client: ollama.Client, house: House) -> None:
    assert client.ps().models == []
    client.generate(model=CHAT)
    (loaded,) = client.ps().models
    assert (loaded.name, loaded.context_length) == (CHAT, 4096)
    with house.client() as raw:
        expires_at = raw.get("/api/ps").json()["models"][0]["expires_at"]
    assert datetime.fromisoformat(expires_at).tzinfo is not None


def test_models_are_copied_and_deleted(client: ollama.Client) -> None:
    client.copy(CHAT, "mine")
    assert "mine:latest" in {model.model for model in client.list().models}
    assert client.show("mine").capabilities == ["completion", "tools"]
    client.delete("mine")
    assert "mine:latest" not in {model.model for model in client.list().models}
    for act in (lambda: client.delete("mine"), lambda: client.copy("mine", "other")):
        with pytest.raises(ollama.ResponseError) as caught:
            act()
        assert (caught.value.status_code, caught.value.error) == (404, "model 'mine' not found")


def test_copy_needs_both_names(house: House) -> None:
    assert "destination" in post(house, "/api/copy", {"source": CHAT}).json()["error"]


def test_a_file_is_pulled_with_status_lines(house: House, client, tmp_path) -> None:
    from house import tiny_gguf

    (tmp_path / "pulled.gguf").write_bytes(tiny_gguf())
    reference = f"file:{tmp_path / 'pulled.gguf'}"
    statuses = [progress.status for progress in client.pull(reference, stream=True)]
    assert statuses[0] == "pulling manifest" and statuses[-1] == "success"
    assert statuses.count("success") == 1
    assert client.pull(reference).status == "success"


def test_pulling_what_nobody_has_is_an_error(house: House, client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError):
        client.pull("no-such-model-anywhere")
    assert post(house, "/api/pull", {}).json()["error"] == "model is required"


@pytest.mark.parametrize("path", ["/api/nothing", "/nothing", "/api/tags/"])
def test_unknown_addresses_are_404_in_ollamas_shape(house: House, path: str) -> None:
    with house.client() as client:
        response = client.get(path)
    assert response.status_code == 404 and list(response.json()) == ["error"]


def test_a_wrong_method_is_a_405(house: House) -> None:
    with house.client() as client:
        response = client.get("/api/chat")
    assert response.status_code == 405 and list(response.json()) == ["error"]

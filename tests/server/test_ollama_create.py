"""Ollama's create, blobs, push, copy and show, by its own client and by the byte."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import ollama
import openai
import pytest
from house import CHAT, EMBEDDING, REPLY, House, scripted_house, tiny_gguf
from lora_gguf import base_bytes, random_adapter

from ondol.engine.scripted import ScriptedEngine

QUESTION = [{"role": "user", "content": "Who are you?"}]
BASE = "base:1m"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("own")
    with scripted_house(folder) as house:
        store = house.parts.store
        (folder / "base.gguf").write_bytes(base_bytes())
        store.add(BASE, [store.stage(folder / "base.gguf", "weights", "base.gguf")])
        yield house


@pytest.fixture
def client(own: House) -> Iterator[ollama.Client]:
    with ollama.Client(host=own.url, trust_env=False, verify=False) as client:
        yield client
    for model in own.parts.store.list():
        if model.name not in (CHAT, EMBEDDING, BASE):
            own.parts.store.remove(model.name)


@pytest.fixture
def engine(own: House) -> Iterator[ScriptedEngine]:
    """The process of the chat model, which answers for all that were made from it."""
    own.pool.engines[CHAT] = engine = ScriptedEngine([REPLY], model=CHAT)
    own.pool.calls.clear()
    yield engine
    own.pool.engines.clear()


def post(own: House, path: str, **how: Any) -> Any:
    with own.client() as client:
        return client.post(path, **how)


def names(client: ollama.Client) -> set[str | None]:
    return {model.model for model in client.list().models}


def test_a_model_is_made_from_another(client: ollama.Client, own: House) -> None:
    steps = list(
        client.create(
            model="pirate",
            from_=CHAT,
            system="You are a pirate.",
            parameters={"temperature": 0.7, "stop": ["Arr", "Ho"], "num_ctx": 512, "seed": 3},
            messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Arr"}],
            license=["MIT", "and more"],
            stream=True,
        )
    )
    statuses = [step.status or "" for step in steps]
    assert statuses[0].startswith("using existing layer sha256:")
    assert statuses[-2:] == ["writing manifest", "success"]
    assert "pirate:latest" in names(client)
    with own.client() as raw:
        shown = raw.post("/api/show", json={"model": "pirate"}).json()
    assert shown["system"] == "You are a pirate." and shown["license"] == "MIT\nand more"
    assert shown["details"]["parent_model"] == CHAT
    assert shown["messages"][1] == {"role": "assistant", "content": "Arr"}
    pattern = re.compile(r'^(\S+)\s+((?:".*")|\S+)$')
    pairs = [pattern.match(line) for line in shown["parameters"].splitlines()]
    assert [pair and pair.groups() for pair in pairs] == [
        ("num_ctx", "512"),
        ("stop", '"Arr"'),
        ("stop", '"Ho"'),
        ("temperature", "0.7"),
        ("seed", "3"),
    ]


def test_what_is_shown_makes_the_same_model_again(client: ollama.Client, own: House) -> None:
    parameters = {"top_k": 4, "stop": ["\n\n", 'a "b"', " c"]}
    client.create(model="a", from_=CHAT, system='Say "Arr".\nTwice "it"', parameters=parameters)
    modelfile = client.show("a").modelfile
    made = post(own, "/api/create", json={"name": "b", "modelfile": modelfile, "stream": False})
    assert made.json() == {"status": "success"}
    first, second = client.show("a"), client.show("b")
    with own.client() as raw:
        both = [raw.post("/api/show", json={"name": one}).json() for one in "ab"]
    assert both[0]["system"] == both[1]["system"] == 'Say "Arr".\nTwice "it"'
    assert first.parameters == second.parameters
    digests = {m.model: m.digest for m in client.list().models}
    assert digests["a:latest"] != digests[CHAT]


def test_it_holds_in_every_dialect(client: ollama.Client, own: House, engine) -> None:
    client.create(model="pirate", from_=CHAT, system="Arr.", parameters={"temperature": 0.25})
    client.chat(model="pirate", messages=QUESTION)
    client.generate(model="pirate", prompt="Who are you?")
    with openai.OpenAI(base_url=f"{own.url}/v1", api_key="any") as one:
        one.chat.completions.create(model="pirate", messages=QUESTION)
    with anthropic.Anthropic(base_url=own.url, api_key="any") as one:
        one.messages.create(model="pirate", messages=QUESTION, max_tokens=9)
    assert len(engine.requests) == 4
    for asked in engine.requests:
        assert [m.content for m in asked.messages] == ["Arr.", "Who are you?"]
        assert asked.options.temperature == 0.25
    client.chat(model="pirate", messages=QUESTION, options={"temperature": 0})
    assert engine.requests[-1].options.temperature == 0
    client.chat(model="pirate", messages=[{"role": "system", "content": "Mild."}, *QUESTION])
    assert [m.content for m in engine.requests[-1].messages] == ["Mild.", "Who are you?"]
    loaded = {call[1] for call in own.pool.calls if call[0] == "engine"}
    assert loaded == {CHAT}, "one process serves the model and what was made from it"


def test_documents_are_asked_in_the_house_s_own_words(client, own: House, engine) -> None:
    client.create(model="pirate", from_=CHAT, system="Arr.", parameters={"top_k": 7})
    own.parts.library.add_text("house.txt", "The boiler was serviced in March.")
    asked = {"question": "When was the boiler serviced?", "model": "pirate", "stream": False}
    assert post(own, "/ondol/v1/ask", json=asked).json()["answer"]
    told = engine.requests[-1]
    assert "Arr." not in told.messages[0].content and "boiler" in told.prompt
    assert told.options.top_k == 7 and told.options.temperature == 0


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"system": "x" * 262_145}, "at most 262144 letters"),
        ({"messages": [{"role": "user", "content": ""}] * 1001}, "and 1000 messages"),
        ({"parameters": {"stop": ["a"] * 257}}, "at most 256 stop texts"),
        ({"parameters": {"stop": "x" * 1025}}, "of 1024 letters each"),
    ],
)
def test_what_a_model_begins_with_and_stops_at_has_an_end(client, own, how, sentence) -> None:
    with pytest.raises(ollama.ResponseError, match=sentence) as refused:
        client.create(model="pirate", from_=CHAT, **how)
    assert refused.value.status_code in (-1, 400)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"messages": QUESTION, "options": {"stop": ["a"] * 257}}),
        ("/v1/chat/completions", {"messages": QUESTION, "stop": ["a"] * 257}),
        ("/v1/messages", {"messages": QUESTION, "max_tokens": 9, "stop_sequences": ["x" * 1025]}),
    ],
)
def test_stop_texts_of_a_request_are_so_many(own: House, path: str, body) -> None:
    answer = post(own, path, json={"model": CHAT, **body})
    assert answer.status_code == 400 and "256 stop texts" in answer.text


def test_its_context_is_what_it_was_made_with(client: ollama.Client, own: House, engine) -> None:
    client.create(model="small", from_=CHAT, parameters={"num_ctx": 256})
    client.chat(model="small", messages=QUESTION)
    assert own.pool.calls[-1][2]["num_ctx"] == 256
    client.chat(model="small", messages=QUESTION, options={"num_ctx": 512})
    assert own.pool.calls[-1][2]["num_ctx"] == 512
    client.generate(model="small", keep_alive=0)
    assert own.pool.calls[-1][:2] == ("stop", CHAT)


def test_a_model_is_made_of_a_file_that_was_sent(client, own: House, tmp_path: Path) -> None:
    (tmp_path / "new.gguf").write_bytes(tiny_gguf("qwen2"))
    digest = client.create_blob(tmp_path / "new.gguf")
    assert digest == f"sha256:{hashlib.sha256(tiny_gguf('qwen2')).hexdigest()}"
    with own.client() as raw:
        assert raw.head(f"/api/blobs/{digest}").status_code == 200
    assert client.create(model="new", files={"new.gguf": digest}).status == "success"
    assert client.show("new").details.family == "qwen2"
    # What a model has need not be sent again.
    assert post(own, f"/api/blobs/{digest}", content=b"anything").status_code == 200


def test_an_adapter_that_was_sent_is_switched_on(client, own: House, tmp_path: Path) -> None:
    weights = own.parts.store.path(own.parts.store.get(BASE))
    lora = client.create_blob(random_adapter(weights, tmp_path / "lora.gguf", r=2))
    client.create(model="styled", from_=BASE, adapters={"lora.gguf": lora})
    client.chat(model="styled", messages=QUESTION)
    asked = [call for call in own.pool.calls if call[0] == "engine"][-1]
    assert asked[1] == "styled:latest" and asked[2]["adapters"] == {"adapter": 1.0}
    client.copy("styled", "copied")
    client.delete("styled")
    client.chat(model="copied", messages=QUESTION)
    assert own.pool.calls[-1][2]["adapters"] == {"adapter": 1.0}
    with pytest.raises(ollama.ResponseError) as caught:
        client.create(model="wrong", from_=CHAT, adapters={"lora.gguf": lora})
    assert "lora.gguf" in caught.value.error
    assert "wrong:latest" not in names(client)


@pytest.mark.parametrize(
    ("digest", "content", "status"),
    [
        ("sha256:" + "0" * 64, b"something else", 400),
        ("sha256:0", b"", 400),
        ("md5:" + "0" * 64, b"", 400),
        ("sha256:" + "0" * 63 + "%2e", b"", 400),
        ("..%2f..%2fsecret", b"", 400),
    ],
)
def test_a_blob_that_is_not_its_digest_is_not_kept(own, digest, content, status) -> None:
    before = sorted(own.parts.store.directory.rglob("*"))
    response = post(own, f"/api/blobs/{digest}", content=content)
    # A slash in the digest is another address, where nothing is.
    assert response.status_code in (status, 404) and list(response.json()) == ["error"]
    assert sorted(own.parts.store.directory.rglob("*")) == before
    with own.client() as raw:
        assert raw.head(f"/api/blobs/{digest}").status_code in (400, 404)


def test_a_blob_is_taken_in_as_it_comes(own: House) -> None:
    block = b"\0" * (1 << 20)
    size = 48  # megabytes, more than any other body may have
    digest = hashlib.sha256(block * size).hexdigest()
    response = post(own, f"/api/blobs/sha256:{digest}", content=iter([block] * size))
    assert response.status_code == 201
    with own.client() as raw:
        assert raw.head(f"/api/blobs/sha256-{digest}").status_code == 200


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({}, 400, "model is required"),
        ({"model": "x"}, 400, "neither 'from' or 'files'"),
        ({"model": "x", "from": "nobody"}, 404, "nobody"),
        ({"model": "a b", "from": CHAT}, 400, "a b"),
        ({"model": "x", "from": "/etc/passwd"}, 400, "/etc/passwd"),
        ({"model": "x", "modelfile": "FROM ./secret.gguf"}, 400, "secret.gguf"),
        ({"model": "x", "modelfile": f"FROM {CHAT}\nADAPTER /etc/passwd"}, 400, "passwd"),
        ({"model": "x", "modelfile": "SYSTEM x"}, 400, "no FROM line"),
        ({"model": "x", "from": CHAT, "quantize": "q4_K_M"}, 400, "does not quantize"),
        ({"model": "x", "from": CHAT, "template": "{{ .Prompt }}?"}, 400, "template"),
        ({"model": "x", "from": CHAT, "parameters": {"warmth": 1}}, 400, "'warmth'"),
        ({"model": "x", "from": CHAT, "messages": [{"role": "elf", "content": ""}]}, 400, "role"),
        ({"model": "x", "files": {"a": "sha256:" + "0" * 64}}, 400, "/api/blobs"),
        ({"model": "x", "files": {"a": "../../x"}}, 400, "digest"),
        ({"model": "x", "from": CHAT, "adapters": {"a": "b", "c": "d"}}, 400, "one adapter"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_what_cannot_be_made_is_said_before_the_first_byte(
    own, fields, status: int, words: str, stream: bool
) -> None:
    response = post(own, "/api/create", json=fields | {"stream": stream})
    # Once "using existing layer" has been said, the error is the stream's last line.
    last = json.loads(response.text.splitlines()[-1])
    assert words in last["error"]
    assert response.status_code == status or (stream and response.status_code == 200)
    assert not own.parts.store.directory.joinpath("manifests", "x").exists()


def test_nothing_is_pushed_anywhere(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        client.push(CHAT)
    assert caught.value.status_code == 400 and "stay on this machine" in caught.value.error


def test_show_says_tools_and_suffix_only_where_they_are(client, own: House) -> None:
    from dataclasses import replace

    store = own.parts.store
    before = store.get(CHAT)

    def template(*capabilities: str) -> str:
        with store.lock():
            store.put(replace(before, capabilities=("completion", *capabilities)))
        return str(client.show(CHAT).template)

    try:
        plain = template("vision")
        assert ".Suffix" not in plain and "tools" not in plain and "<|im_start|>" in plain
        assert "tools" in template("tools") and ".Suffix" not in template("tools")
        assert ".Suffix" in template("insert") and "tools" not in template("insert")
        assert ".Thinking" in template("thinking")
    finally:
        with store.lock():
            store.put(before)


def test_verbose_has_tensors_and_lists(own: House) -> None:
    plain = post(own, "/api/show", json={"model": CHAT}).json()
    full = post(own, "/api/show", json={"model": CHAT, "verbose": True}).json()
    assert "tensors" not in plain
    assert full["tensors"][0] == {"name": "token_embd.weight", "type": "F32", "shape": [64, 4]}
    assert plain["model_info"] == full["model_info"], "this file has no lists"

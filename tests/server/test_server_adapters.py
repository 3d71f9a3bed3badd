"""Adapters over HTTP: named like models in every dialect, listed, shown and removed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import numpy as np
import pytest
from house import CHAT, House
from lora_gguf import lora_bytes

from ondol.callers import Caller, calling
from ondol.engine.scripted import ScriptedEngine
from ondol.errors import ModelNotFoundError
from ondol.models import making
from ondol.models.adapters import Adapter
from ondol.server import generation
from ondol.server.door import scopes
from ondol.server.door.scopes import OutOfScopeError

STYLE = f"{CHAT}:style"
QUESTION = [{"role": "user", "content": "Why is the floor warm?"}]


@pytest.fixture
def adapter(house: House, tmp_path: Path) -> Iterator[Adapter]:
    """An adapter of the house's chat model."""
    file = tmp_path / "style.gguf"
    factors = np.zeros((4, 2), np.float32), np.zeros((64, 2), np.float32)
    file.write_bytes(lora_bytes({"token_embd.weight": factors}))
    adapters = house.parts.adapters
    told = {"trained_on": {"num_examples": 3}, "description": "short", "abstention_bias": -1.5}
    yield adapters.add(file, name="style", model=CHAT, **told)
    house.parts._built["adapters"] = adapters
    if adapters.list():
        adapters.remove(CHAT, "style")


@pytest.fixture
def second(house: House, tmp_path: Path, adapter: Adapter) -> Iterator[Adapter]:
    """Another one."""
    adapters = house.parts.adapters
    yield adapters.add(tmp_path / "style.gguf", name="second", model=CHAT)
    adapters.remove(CHAT, "second")


@pytest.fixture
def stale(house: House, adapter: Adapter) -> Adapter:
    """One whose model was pulled anew since."""
    from ondol.models import adapter_manifest

    old = replace(adapter, base_digest=f"sha256:{'0' * 64}")
    (path,) = house.parts.store.directory.glob("adapters/*/*/style.json")
    path.write_bytes(adapter_manifest.to_json(old))
    return old


@pytest.fixture
def client(house: House) -> Iterator[httpx2.Client]:
    with house.client() as client:
        yield client


REQUESTS = {
    "/v1/chat/completions": {"messages": QUESTION},
    "/v1/completions": {"prompt": "x"},
    "/api/chat": {"messages": QUESTION, "stream": False},
    "/api/generate": {"prompt": "x", "stream": False},
}


@pytest.mark.parametrize("path", REQUESTS)
def test_a_request_that_names_an_adapter_uses_it_on_the_models_own_process(
    house: House, client: httpx2.Client, adapter: Adapter, path: str
) -> None:
    response = client.post(path, json={"model": STYLE, **REQUESTS[path]})
    assert response.status_code == 200, response.text
    assert response.json()["model"] == STYLE
    kind, model, how = house.pool.calls[-1]
    assert (kind, model, how["adapters"]) == ("engine", CHAT, {"style": 1.0})
    client.post(path, json={"model": CHAT, **REQUESTS[path]})
    assert house.pool.calls[-1][2]["adapters"] == {}


@pytest.mark.parametrize("path", REQUESTS)
def test_several_adapters_are_switched_on_at_the_scales_that_the_name_says(
    house: House, client: httpx2.Client, adapter: Adapter, second: Adapter, path: str
) -> None:
    written = f"{CHAT}:Style@0.50,second"
    response = client.post(path, json={"model": written, **REQUESTS[path]})
    assert response.status_code == 200, response.text
    name = f"{CHAT}:second,style@0.5"
    assert response.json()["model"] in (name, written)
    _, model, how = house.pool.calls[-1]
    assert (model, how["adapters"]) == (CHAT, {"second": 1.0, "style": 0.5})
    assert how["name"] == name


@pytest.mark.parametrize("written", ["style,style", "style@", "style@nan", "style@9", "a,"])
def test_a_set_of_adapters_that_cannot_be_is_not_found(
    house: House, client: httpx2.Client, adapter: Adapter, written: str
) -> None:
    body = {"model": f"{CHAT}:{written}", "messages": QUESTION}
    assert client.post("/v1/chat/completions", json=body).status_code in (400, 404)
    assert house.pool.calls == []


def test_a_set_of_adapters_is_shown_and_is_not_removed_with_its_name(
    house: House, client: httpx2.Client, adapter: Adapter, second: Adapter
) -> None:
    name = f"{CHAT}:second@0.5,style"
    shown = client.post("/api/show", json={"model": name}).json()
    assert f"FROM {name}\n" in shown["modelfile"]
    assert shown["details"]["parent_model"] == CHAT
    assert client.request("DELETE", "/api/delete", json={"model": name}).status_code == 404
    assert client.delete(f"/ondol/v1/adapters/{name}").status_code == 404
    assert {one.name for one in house.parts.adapters.list()} == {"second", "style"}


@pytest.mark.parametrize("path", [*REQUESTS, "/ondol/v1/ask", "/api/show"])
def test_an_unknown_adapter_is_a_404_that_names_the_nearest(
    house: House, client: httpx2.Client, adapter: Adapter, path: str
) -> None:
    body = REQUESTS.get(path, {"question": "Why?"})
    response = client.post(path, json={"model": f"{CHAT}:stile", **body})
    assert response.status_code == 404
    assert "Did you mean style?" in response.text
    if path.startswith("/v1"):
        assert response.json()["error"]["code"] == "adapter_not_found"
        assert response.json()["error"]["type"] == "not_found_error"


def test_an_adapter_for_another_version_is_not_served(
    house: House, client: httpx2.Client, stale: Adapter
) -> None:
    response = client.post("/v1/chat/completions", json={"model": STYLE, "messages": QUESTION})
    assert response.status_code == 404 and "another version" in response.text
    assert [
        m["name"] for m in client.get("/api/tags").json()["models"] if "style" in m["name"]
    ] == []
    (listed,) = client.get("/ondol/v1/adapters").json()["adapters"]
    assert listed["stale"] is True
    assert client.delete(f"/ondol/v1/adapters/{STYLE}").status_code == 200


def test_ask_answers_with_an_adapter(
    house: House, client: httpx2.Client, adapter: Adapter, tmp_path: Path
) -> None:
    (tmp_path / "house.txt").write_text("The stove in the hall burns oak.")
    paths = {"paths": [str(tmp_path / "house.txt")]}
    client.post("/ondol/v1/documents", json={**paths, "stream": False})
    asked = {"question": "What does the stove in the hall burn?", "stream": False}
    answer = client.post("/ondol/v1/ask", json={**asked, "model": STYLE})
    assert (answer.status_code, answer.json()["model"]) == (200, STYLE)
    ((_, model, how),) = house.pool.calls
    client.request("DELETE", "/ondol/v1/documents", json=paths)
    assert (model, how["adapters"]) == (CHAT, {"style": 1.0})


def test_adapters_are_listed_and_shown_as_models_of_their_own(
    house: House, client: httpx2.Client, adapter: Adapter
) -> None:
    base = house.parts.store.get(CHAT)
    tags = {model["name"]: model for model in client.get("/api/tags").json()["models"]}
    names = list(tags)
    assert names.index(STYLE) == names.index(CHAT) + 1  # never the first, however new
    assert tags[STYLE]["details"]["parent_model"] == CHAT
    assert tags[CHAT]["details"]["parent_model"] == ""
    assert tags[STYLE]["size"] == base.size_bytes + adapter.size_bytes
    assert tags[STYLE]["details"]["family"] == tags[CHAT]["details"]["family"] == "llama"
    assert tags[STYLE]["digest"] not in (tags[CHAT]["digest"], "")
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == names
    assert client.get(f"/v1/models/{STYLE}").json()["id"] == STYLE
    shown = client.post("/api/show", json={"model": STYLE}).json()
    assert shown["details"]["parent_model"] == CHAT
    assert f"\nFROM {STYLE}\n" in shown["modelfile"]
    assert shown["model_info"]["llama.context_length"] == 2048
    assert "ADAPTER" not in client.post("/api/show", json={"model": CHAT}).json()["modelfile"]


def test_delete_removes_the_adapter_and_leaves_the_model(
    house: House, client: httpx2.Client, adapter: Adapter
) -> None:
    assert client.request("DELETE", "/api/delete", json={"model": STYLE}).status_code == 200
    assert house.parts.adapters.list() == []
    assert house.parts.store.get(CHAT)
    assert ("stop", CHAT, {}) not in house.pool.calls
    assert client.request("DELETE", "/api/delete", json={"model": STYLE}).status_code == 404


def test_an_adapter_on_trial_is_listed_only_among_adapters(
    house: House, client: httpx2.Client, adapter: Adapter
) -> None:
    file = house.parts.adapters.path(adapter)
    trial = house.parts.adapters.add(file, name="style-candidate", model=CHAT).full_name
    listed = [model["name"] for model in client.get("/api/tags").json()["models"]]
    listed += [model["id"] for model in client.get("/v1/models").json()["data"]]
    assert trial not in listed and STYLE in listed
    ours = [one["name"] for one in client.get("/ondol/v1/adapters").json()["adapters"]]
    assert ours == [STYLE, trial]
    body = {"model": trial, "messages": QUESTION}
    assert client.post("/v1/chat/completions", json=body).status_code == 200
    house.parts.adapters.remove(CHAT, "style-candidate")


def test_an_adapter_can_be_neither_copied_nor_pulled(
    client: httpx2.Client, adapter: Adapter
) -> None:
    copied = client.post("/api/copy", json={"source": STYLE, "destination": "mine"})
    assert copied.status_code == 400 and "cannot be copied" in copied.json()["error"]
    pulled = client.post("/ondol/v1/models/pull", json={"model": STYLE, "stream": False})
    assert pulled.status_code == 422 and "nothing to pull" in pulled.json()["error"]["message"]
    assert pulled.json()["error"]["hint"]


def test_clients_that_pull_what_they_use_find_an_adapter_pulled(
    client: httpx2.Client, adapter: Adapter
) -> None:
    whole = client.post("/api/pull", json={"model": STYLE, "stream": False})
    streamed = client.post("/api/pull", json={"model": STYLE})
    assert whole.json() == streamed.json() == {"status": "success"}
    assert client.post("/api/pull", json={"model": f"{CHAT}:no"}).status_code == 400


def test_loading_and_unloading_an_adapter_is_the_models(
    house: House, client: httpx2.Client, adapter: Adapter
) -> None:
    assert client.post("/api/generate", json={"model": STYLE}).json()["done_reason"] == "load"
    # With the adapter, so that one that was just added is there before the first request.
    loaded, model, how = house.pool.calls[-1]
    assert (loaded, model, how["adapters"]) == ("load", CHAT, {"style": 1.0})
    body = {"model": STYLE, "keep_alive": 0}
    assert client.post("/api/generate", json=body).json()["done_reason"] == "unload"
    assert house.pool.calls[-1][:2] == ("stop", CHAT)
    house.pool.load(CHAT)
    stopped = client.request("DELETE", "/ondol/v1/loaded", json={"model": STYLE})
    assert stopped.json() == {"stopped": True}


def test_a_model_that_was_removed_elsewhere_can_still_be_unloaded(
    house: House, client: httpx2.Client
) -> None:
    house.pool.load("gone:1b")
    assert client.request("DELETE", "/ondol/v1/loaded", json={"model": "gone:1b"}).json() == {
        "stopped": True
    }
    again = client.request("DELETE", "/ondol/v1/loaded", json={"model": "gone:1b"})
    assert (again.status_code, again.json()["error"]["code"]) == (404, "model_not_found")


def test_an_adapter_does_not_embed(client: httpx2.Client, adapter: Adapter) -> None:
    response = client.post("/v1/embeddings", json={"model": STYLE, "input": "x"})
    assert response.status_code == 400 and STYLE in response.text


def test_our_own_endpoints_list_show_and_remove(
    house: House, client: httpx2.Client, adapter: Adapter
) -> None:
    (listed,) = client.get("/ondol/v1/adapters").json()["adapters"]
    assert listed == client.get(f"/ondol/v1/adapters/{STYLE}").json()
    assert (listed["name"], listed["model"], listed["adapter"]) == (STYLE, CHAT, "style")
    assert (listed["r"], listed["trained_on"]) == (2, {"num_examples": 3})
    assert listed["abstention_bias"] == -1.5
    assert listed["shipped"] is listed["stale"] is False
    names = [model["name"] for model in client.get("/ondol/v1/models").json()["models"]]
    assert STYLE not in names
    freed = client.delete(f"/ondol/v1/adapters/{STYLE}").json()
    assert freed == {"freed_bytes": adapter.size_bytes}
    for method in ("GET", "DELETE"):
        gone = client.request(method, f"/ondol/v1/adapters/{STYLE}")
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "adapter_not_found")
        nameless = client.request(method, "/ondol/v1/adapters/style")
        assert (nameless.status_code, nameless.json()["error"]["code"]) == (422, "invalid_request")


def test_a_shipped_adapter_cannot_be_removed(
    house: House, client: httpx2.Client, adapter: Adapter, tmp_path: Path
) -> None:
    from ondol.models import adapter_manifest
    from ondol.models.adapters import AdapterStore

    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "style.json").write_bytes(adapter_manifest.to_json(adapter))
    (folder / "style.gguf").write_bytes(house.parts.adapters.path(adapter).read_bytes())
    house.parts.adapters.remove(CHAT, "style")
    house.parts._built["adapters"] = AdapterStore(house.parts.store, folder)
    response = client.delete(f"/ondol/v1/adapters/{STYLE}")
    assert response.status_code == 422 and "came with Ondol" in response.text
    response = client.request("DELETE", "/api/delete", json={"model": STYLE})
    assert response.status_code == 400 and "came with Ondol" in response.json()["error"]
    assert not [call for call in house.pool.calls if call[0] == "stop"]
    assert client.get(f"/ondol/v1/adapters/{STYLE}").json()["shipped"] is True


def test_the_reply_names_what_was_asked_for(house: House, adapter: Adapter) -> None:
    house.pool.engines[CHAT] = ScriptedEngine(["One."])
    with house.client() as client:
        body = {"model": STYLE.upper(), "messages": QUESTION}
        reply = client.post("/v1/chat/completions", json=body)
    assert reply.json()["choices"][0]["message"]["content"] == "One."
    assert reply.json()["model"] == STYLE.upper()  # in the words of who asked


@pytest.fixture
def other(house: House, tmp_path: Path, adapter: Adapter) -> Iterator[Adapter]:
    """An adapter that changes what ``adapter`` changes, in another direction."""
    random = np.random.default_rng(1)
    factors = [random.standard_normal(shape).astype(np.float32) for shape in ((4, 2), (64, 2))]
    (tmp_path / "other.gguf").write_bytes(lora_bytes({"token_embd.weight": (*factors,)}))
    adapters = house.parts.adapters
    yield adapters.add(tmp_path / "other.gguf", name="other", model=CHAT, languages=["ko"])
    for name in ("other", "both-candidate"):
        if any(one.name == name for one in adapters.list(CHAT)):
            adapters.remove(CHAT, name)


def test_merged_adapters_are_a_candidate_that_forgets_with_its_parts(
    house: House, client: httpx2.Client, adapter: Adapter, other: Adapter
) -> None:
    samples = house.parts.kept.samples
    samples.note_learned(other.digest, ["sample-1"])
    body = {"adapters": [STYLE, other.full_name], "name": "both", "weights": [1, 3], "r": 2}
    answer = client.post("/ondol/v1/adapters/merge", json=body)
    assert answer.status_code == 200, answer.text
    made = answer.json()["adapter"]
    assert (made["name"], made["r"], made["lora_alpha"]) == (f"{CHAT}:both-candidate", 2, 2.0)
    merged = made["trained_on"]["merged_from"]
    assert [(one["name"], one["weight"]) for one in merged] == [
        (STYLE, 0.25),
        (other.full_name, 0.75),
    ]
    assert 0.99 < answer.json()["kept"] <= 1 and made["languages"] == ["ko"]
    assert samples.learned_by(made["digest"]) == ["sample-1"]
    listed = {model["name"] for model in client.get("/api/tags").json()["models"]}
    assert made["name"] not in listed, "it has not passed the gate"
    assert set(house.parts.adapters.outdate(other.digest)) == {other.full_name, made["name"]}
    again = client.post("/ondol/v1/adapters/merge", json=body)
    assert again.status_code == 422 and "stale" in again.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"adapters": [STYLE]}, "two adapters"),
        ({"adapters": [STYLE, STYLE]}, "two adapters"),
        ({"adapters": [STYLE, f"{CHAT}:none"]}, "no adapter none"),
        ({"name": "Bad Name"}, "Bad Name"),
        ({"name": "x-candidate"}, "x-candidate"),
        ({"weights": [1]}, "each adapter has one weight"),
        ({"weights": [0, 0]}, "not all 0"),
        ({"r": 9999}, "r"),
    ],
)
def test_a_merge_that_cannot_be_is_refused_in_a_sentence(
    house: House, client: httpx2.Client, adapter: Adapter, other: Adapter, change: dict, said: str
) -> None:
    body = {"adapters": [STYLE, other.full_name], "name": "both", **change}
    answer = client.post("/ondol/v1/adapters/merge", json=body)
    assert 400 <= answer.status_code < 500 and said in answer.text
    assert {one.name for one in house.parts.adapters.list()} == {"other", "style"}


def test_two_adapters_are_compared(client: httpx2.Client, adapter: Adapter, other: Adapter) -> None:
    compared = {"adapters": [other.full_name, other.full_name]}
    told = client.post("/ondol/v1/adapters/compare", json=compared).json()
    assert [row["module"] for row in told["modules"]] == ["token_embd", "all"]
    row = told["modules"][-1]
    assert row["norm_a"] == row["norm_b"] > 0
    assert (round(row["cosine"], 3), round(row["overlap"], 3)) == (1.0, 1.0)
    none = {"adapters": [other.full_name, STYLE]}
    row = client.post("/ondol/v1/adapters/compare", json=none).json()["modules"][-1]
    assert (row["norm_b"], row["cosine"]) == (0.0, None), "this one adds nothing at all"
    bare = {"adapters": [STYLE]}
    assert client.post("/ondol/v1/adapters/compare", json=bare).status_code in (400, 422)


def test_an_adapters_file_is_its_owners(
    house: House, client: httpx2.Client, adapter: Adapter
) -> None:
    answer = client.get(f"/ondol/v1/adapters/{STYLE}/file")
    assert answer.content == house.parts.adapters.path(adapter).read_bytes()
    assert 'filename="style.gguf"' in answer.headers["content-disposition"]
    assert client.get(f"/ondol/v1/adapters/{CHAT}:none/file").status_code == 404
    caller = Caller(id="key:1", dialects=frozenset({"ondol"}))
    with pytest.raises(OutOfScopeError):
        scopes.check(caller, "GET", f"/ondol/v1/adapters/{STYLE}/file")
    with pytest.raises(OutOfScopeError):
        away = replace(caller, manages_models=False)
        scopes.check(away, "POST", "/ondol/v1/adapters/merge")


def test_an_adapter_of_the_owners_words_is_not_there_for_who_may_not_read_them(
    house: House, tmp_path: Path, adapter: Adapter
) -> None:
    parts = house.parts
    file = parts.adapters.path(adapter)
    own = parts.adapters.add(file, name="own", model=CHAT, trained_on={"task": "style"})
    mine = making.Recipe(source=own.full_name)
    making.make("mine", mine, parts.store, parts.adapters, lambda said: None)
    everything = Caller(id="key:1")
    page = replace(everything, collections=frozenset())
    named = replace(page, models=frozenset({own.full_name}))
    names = (own.full_name, f"{CHAT}:own@0.5", "mine")
    for caller, seen in ((everything, names), (page, ()), (named, names[:1])):
        with calling(caller):
            for name in names:
                if name in seen:
                    assert generation.find(parts, name)
                else:
                    with pytest.raises(ModelNotFoundError):
                        generation.find(parts, name)
            listed = {one.name for one, _ in generation.installed(parts)}
            assert listed.isdisjoint({own.full_name, "mine:latest"}) == (caller is not everything)
    with calling(page):
        assert generation.find(parts, CHAT)
    parts.store.remove("mine:latest")
    parts.adapters.remove(CHAT, "own")

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

from ondol.engine.scripted import ScriptedEngine
from ondol.models.adapters import Adapter

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
    assert (kind, model, how["adapter"]) == ("engine", CHAT, "style")
    client.post(path, json={"model": CHAT, **REQUESTS[path]})
    assert house.pool.calls[-1][2]["adapter"] == ""


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
    assert (model, how["adapter"]) == (CHAT, "style")


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
    assert f"FROM {CHAT}\nADAPTER style\n" in shown["modelfile"]
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
    assert (loaded, model, how["adapter"]) == ("load", CHAT, "style")
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

"""This machine, what is in its memory, and models that go."""

from __future__ import annotations

from typing import Any

from house import CHAT, EMBEDDING, House, tiny_gguf


def call(house: House, method: str, path: str, **body: Any) -> Any:
    with house.client() as client:
        return client.request(method, f"/ondol/v1/{path}", json=body or None)


def test_the_machine_says_what_it_has_and_what_the_models_take(house: House) -> None:
    call(house, "POST", "loaded", model=CHAT)
    found = call(house, "GET", "machine").json()
    ram, disk = found["ram"], found["disk"]
    assert 0 < ram["available_bytes"] <= ram["total_bytes"]
    assert 0 < ram["room_bytes"] < ram["total_bytes"] and ram["models_bytes"] == 1
    assert 0 < disk["free_bytes"] <= disk["total_bytes"] and disk["models_bytes"] > 0
    assert found["cores"] >= found["physical_cores"] >= 1 and found["cpu"]
    assert [one["model"] for one in found["loaded"]] == [CHAT]


def test_a_model_is_loaded_and_unloaded(house: House) -> None:
    said = call(house, "POST", "loaded", model=CHAT.upper()).json()
    assert said["model"] == CHAT and said["loaded"][0]["num_ctx"] == 4096
    assert [one["model"] for one in call(house, "GET", "loaded").json()["loaded"]] == [CHAT]
    assert call(house, "DELETE", "loaded", model=CHAT).json() == {"stopped": True}


def test_what_is_not_here_cannot_be_loaded(house: House) -> None:
    missing = call(house, "POST", "loaded", model="nobody:1b")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_an_embedder_in_onnx_is_not_loaded_by_hand(house: House) -> None:
    refused = call(house, "POST", "loaded", model=EMBEDDING)
    assert refused.status_code == 422 and EMBEDDING in refused.json()["error"]["message"]


def test_a_model_is_removed_with_its_memory(house: House, tmp_path: Any) -> None:
    file = tmp_path / "other.gguf"
    file.write_bytes(tiny_gguf("gemma"))
    store = house.parts.store
    store.add("other:1b", [store.stage(file, "weights", "other.gguf")])
    call(house, "POST", "loaded", model="other:1b")
    assert call(house, "DELETE", "models", model="other:1b").json()["freed_bytes"] > 0
    assert "other:1b" not in house.pool.names
    assert "other:1b" not in [one.name for one in store.list()]
    gone = call(house, "DELETE", "models", model="other:1b")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "model_not_found")

"""Adapters activated over HTTP: every dialect answers with them, and one request takes it back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from activation_kill import passing
from conversing import begin, call, read, run
from house import CHAT, House
from lora_gguf import lora_bytes

from ondol.callers import Caller
from ondol.engine.scripted import ScriptedEngine
from ondol.models.adapters import Adapter
from ondol.personal import gating
from ondol.server.door import scopes
from ondol.server.door.scopes import OutOfScopeError

SAID = [{"role": "user", "content": "Why is the floor warm?"}]
REQUESTS = {
    "/v1/chat/completions": {"messages": SAID},
    "/v1/completions": {"prompt": "x"},
    "/v1/responses": {"input": "x"},
    "/v1/messages": {"messages": SAID, "max_tokens": 8},
    "/api/chat": {"messages": SAID, "stream": False},
    "/api/generate": {"prompt": "x", "stream": False},
}


@pytest.fixture
def adapter(chats: House, tmp_path: Path) -> Adapter:
    """An adapter that passed, and answers nobody yet."""
    file = tmp_path / "style.gguf"
    factors = np.zeros((4, 2), np.float32), np.zeros((64, 2), np.float32)
    file.write_bytes(lora_bytes({"token_embd.weight": factors}))
    made = chats.parts.adapters.add(file, name="style", model=CHAT)
    return gating.keep(chats.parts, made, passing(made))


@pytest.fixture
def client(chats: House, adapter: Adapter) -> Iterator[httpx2.Client]:
    chats.pool.engines[CHAT] = ScriptedEngine(["Warm."], model=CHAT)
    with chats.client() as client:
        yield client


def used(house: House) -> dict[str, float]:
    """The adapters of the last request that reached the model."""
    return dict(house.pool.engines[CHAT].requests[-1].options.adapters)


def test_every_dialect_answers_with_what_is_active_until_it_is_taken_back(chats, client):
    done = client.post(f"/ondol/v1/adapters/{CHAT}:style/activate")
    assert done.status_code == 200 and done.json()["adapters"] == {"style": 1.0}
    for path, body in REQUESTS.items():
        answer = client.post(path, json={"model": CHAT, **body})
        assert answer.status_code == 200 and used(chats) == {"style": 1.0}, path
    assert next(iter(chats.parts.ledger.entries(kind="answer"))).model == f"{CHAT}:style"
    back = client.post("/ondol/v1/activations/rollback", json={"model": CHAT})
    assert back.json()["reason"] == "rolled_back" and back.json()["adapters"] == {}
    for path, body in REQUESTS.items():
        client.post(path, json={"model": CHAT, **body})
        assert used(chats) == {}, path


def test_ondols_own_chat_answers_with_what_is_active_and_says_so(chats, client):
    client.post(f"/ondol/v1/adapters/{CHAT}:style/activate")
    conversation = begin(chats)
    answer = read(chats, run(chats, conversation)["run"])[-1][2]["message"]["answer"]
    assert used(chats) == {"style": 1.0} and answer["model"] == f"{CHAT}:style"
    # It may hold what the adapter learned, and travels no further than that.
    assert answer["sensitivity"] == "private"
    call(chats, "POST", "activations/rollback", model=CHAT)
    plain = read(chats, run(chats, begin(chats))["run"])[-1][2]["message"]["answer"]
    assert plain["sensitivity"] == "trusted" and plain["model"] == CHAT
    again = read(chats, run(chats, conversation)["run"])[-1][2]["message"]["answer"]
    assert again["sensitivity"] == "private"


def test_what_is_active_and_what_was_is_listed(chats, client, adapter):
    assert client.get("/ondol/v1/activations").json() == {"models": [], "activations": []}
    client.post(f"/ondol/v1/adapters/{CHAT}:style/activate")
    told = client.get("/ondol/v1/activations").json()
    (now,) = told["models"]
    assert (now["model"], now["adapters"], now["missing"]) == (CHAT, {"style": 1.0}, [])
    assert now["warning"] == "" and now["is_before"] is True
    (one,) = told["activations"]
    assert one["digests"] == {"style": adapter.digest} and one["reason"] == "activated"
    assert client.get(f"/ondol/v1/ledger/{one['ledger_id']}").status_code == 200
    chats.parts.adapters.remove(CHAT, "style")
    (now,) = client.get("/ondol/v1/activations").json()["models"]
    assert now["adapters"] == {} and "answers without style" in now["warning"]
    assert client.post("/v1/chat/completions", json={"model": CHAT, "messages": SAID}).is_success
    assert used(chats) == {}


def test_what_did_not_pass_is_refused_and_nothing_is_rolled_back_from_nothing(chats, client):
    chats.parts.adapters.add(
        chats.parts.adapters.path(chats.parts.adapters.get(CHAT, "style")), name="new", model=CHAT
    )
    refused = client.post(f"/ondol/v1/adapters/{CHAT}:new/activate")
    assert refused.status_code == 409 and refused.json()["error"]["code"] == "adapter_refused"
    assert client.post(f"/ondol/v1/adapters/{CHAT}:gone/activate").status_code == 404
    nothing = client.post("/ondol/v1/activations/rollback", json={})
    assert nothing.status_code == 422
    assert client.post("/ondol/v1/activations/rollback", json={"alone": True}).status_code == 422


def test_a_program_that_manages_no_models_switches_no_adapter():
    reads = Caller(id="key:1", manages_models=False)
    for path in (f"/ondol/v1/adapters/{CHAT}:style/activate", "/ondol/v1/activations/rollback"):
        with pytest.raises(OutOfScopeError):
            scopes.check(reads, "POST", path)
    scopes.check(reads, "GET", "/ondol/v1/activations")

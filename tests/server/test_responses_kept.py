"""Responses that are kept: for whom, for how long, and how nothing is left of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from conversing import own_house
from house import CHAT, House
from test_openai_tools import post
from test_responses import BODY, post_get, script

from ondol import callers, paths
from ondol.callers import Caller
from ondol.conversations import responses
from ondol.conversations.responses import KeptResponse, Responses
from ondol.engine.states import folder
from ondol.engine.states.identity import NOBODY, Name
from ondol.errors import ResponseNotFoundError

WALRUS = "the walrus keeps its papers under the stove"


@pytest.fixture
def client(chats: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{chats.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def bytes_left(words: str) -> bool:
    """Whether any file of this user's Ondol still has ``words``."""
    return any(
        words.encode() in file.read_bytes()
        for file in paths.database_file().parent.rglob("*")
        if file.is_file()
    )


def test_a_response_is_read_again_and_goes_on(client: openai.OpenAI, chats: House) -> None:
    engine = script(chats, "one", "two", "three")
    first = client.responses.create(model=CHAT, input="a", instructions="Be brief.")
    assert client.responses.retrieve(first.id) == first
    second = client.responses.create(model=CHAT, input="b", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    client.responses.create(model=CHAT, input="c", previous_response_id=second.id)
    # Instructions are those of the request, not of the one before.
    assert [(m.role, m.content) for m in engine.requests[-1].messages] == [
        ("user", "a"),
        ("assistant", "one"),
        ("user", "b"),
        ("assistant", "two"),
        ("user", "c"),
    ]


def test_one_that_goes_on_from_one_that_is_gone_is_refused(client, chats: House) -> None:
    script(chats, "one", "two")
    first = client.responses.create(model=CHAT, input="a")
    second = client.responses.create(model=CHAT, input="b", previous_response_id=first.id)
    client.responses.delete(first.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=CHAT, input="c", previous_response_id=second.id)
    assert caught.value.code == "previous_response_not_found"
    assert caught.value.param == "previous_response_id"


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_to_be_stored_is_not(chats: House, stream: bool) -> None:
    script(chats, WALRUS)
    body = {**BODY, "store": False, "stream": stream}
    assert post(chats, "/v1/responses", body).status_code == 200
    assert not bytes_left(WALRUS)
    # Nor does an engine keep what it makes of its instructions.
    assert chats.pool.engines[CHAT].requests[-1].options.keeps_nothing


def test_a_deleted_response_leaves_no_byte(client: openai.OpenAI, chats: House) -> None:
    script(chats, f"It says that {WALRUS}.")
    kept = client.responses.create(model=CHAT, input=f"Do you know that {WALRUS}?")
    assert bytes_left(WALRUS)
    state = paths.ensure(folder.directory()) / str(Name(*["0" * 32] * 4, NOBODY))
    state.write_bytes(b"what a model made of instructions")
    with chats.client() as raw:
        told = raw.delete(f"/v1/responses/{kept.id}").json()
    assert not state.exists()
    assert told == {"id": kept.id, "object": "response", "deleted": True, "erased": True}
    assert not bytes_left(WALRUS)
    for gone in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            gone(kept.id)


def test_all_can_be_erased(client: openai.OpenAI, chats: House) -> None:
    script(chats, WALRUS)
    for _ in range(3):
        client.responses.create(model=CHAT, input="hi")
    with chats.client() as raw:
        assert raw.delete("/ondol/v1/responses").json() == {"responses": 3, "erased": True}
    assert not bytes_left(WALRUS)


def test_a_response_is_its_callers_alone(client, chats: House, monkeypatch) -> None:
    script(chats, "mine")
    kept = client.responses.create(model=CHAT, input="hi")
    item = kept.output[0].id
    monkeypatch.setattr(callers, "current", lambda: Caller("key:other"))
    for path in (kept.id, f"{kept.id}/input_items"):
        assert post_get(chats, f"/v1/responses/{path}", 404)["error"]["code"] == (
            "response_not_found"
        )
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(kept.id)
    for field in ({"previous_response_id": kept.id}, {"input": [{"id": item}]}):
        response = post(chats, "/v1/responses", {**BODY, **field})
        assert response.status_code == 400 and "not found" in response.json()["error"]["message"]
    with chats.client() as raw:
        assert raw.delete("/ondol/v1/responses").json()["responses"] == 0
    monkeypatch.undo()
    assert client.responses.retrieve(kept.id).output_text == "mine"


def test_nothing_is_kept_where_days_are_none(tmp_path: Path) -> None:
    with own_house(tmp_path, {"ONDOL_RESPONSES_DAYS": "0"}) as house:
        script(house, WALRUS)
        response = post(house, "/v1/responses", {**BODY, "store": True}).json()
        assert response["store"] is False
        post_get(house, f"/v1/responses/{response['id']}", 404)
        # Nor what the model made of it, in any form.
        assert house.pool.engines[CHAT].requests[-1].options.keeps_nothing
        assert not bytes_left(WALRUS)


def test_what_was_kept_before_goes_once_nothing_is_to_be_kept(chats: House, tmp_path: Path) -> None:
    script(chats, WALRUS, "one")
    client = openai.OpenAI(base_url=f"{chats.url}/v1", api_key="any", max_retries=0)
    client.responses.create(model=CHAT, input="a")
    state = folder.directory() / str(Name(*(["0" * 32] * 4), NOBODY))
    paths.ensure(state.parent)
    state.write_bytes(WALRUS.encode())
    with chats.client() as raw:
        assert raw.patch("/ondol/v1/settings", json={"server.responses_days": 0}).is_success
    assert bytes_left(WALRUS)
    client.responses.create(model=CHAT, input="b")
    assert not bytes_left(WALRUS)


def test_a_kept_response_is_not_streamed_again_and_not_cancelled(client, chats: House) -> None:
    script(chats, "one")
    kept = client.responses.create(model=CHAT, input="hi")
    assert (
        post_get(chats, f"/v1/responses/{kept.id}?stream=true", 400)["error"]["param"] == "stream"
    )
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.cancel(kept.id)


def one(id: str, previous: str | None = None, text: str = "x") -> KeptResponse:
    item: dict[str, Any] = {"type": "message", "id": f"msg_{id}", "role": "user", "content": text}
    return KeptResponse(id, previous, [item], {"id": id, "output": []})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Responses]:
    store = Responses.open(tmp_path / "ondol.db")
    yield store
    store.close()


def test_old_ones_go_by_themselves(store: Responses, monkeypatch) -> None:
    monkeypatch.setattr(responses.rows, "now", lambda: "2020-01-01T00:00:00.000000+00:00")
    store.keep("a", one("old"), days=30)
    with pytest.raises(ResponseNotFoundError):
        store.get("a", "old", days=30)
    assert store.item("a", "msg_old", days=30) is None
    assert store.get("a", "old", days=3650).id == "old"
    monkeypatch.undo()
    # Anybody's next one takes them along.
    store.keep("b", one("new"), days=30)
    with pytest.raises(ResponseNotFoundError):
        store.get("a", "old", days=3650)


def test_a_chain_is_told_from_its_beginning(store: Responses) -> None:
    for id, previous in (("1", None), ("2", "1"), ("3", "2")):
        store.keep("a", one(id, previous), days=1)
    assert [kept.id for kept in store.chain("a", "3", days=1)] == ["1", "2", "3"]
    with pytest.raises(ResponseNotFoundError):
        store.chain("b", "3", days=1)


def test_those_that_quote_a_forgotten_document_go(store: Responses, tmp_path: Path) -> None:
    store.keep("a", one("1", text=WALRUS), {"/papers/house.txt", "/papers/b.txt"}, days=1)
    store.keep("a", one("2"), {"/papers/c.txt"}, days=1)
    store.keep("a", one("3"), days=1)
    assert store.forget(["/papers/house.txt", "/other"]) == 1
    with pytest.raises(ResponseNotFoundError):
        store.get("a", "1", days=1)
    assert {store.get("a", id, days=1).id for id in "23"} == {"2", "3"}
    assert store.place.erase()
    assert not any(WALRUS.encode() in f.read_bytes() for f in tmp_path.glob("ondol.db*"))


def test_erasing_one_callers_leaves_the_others(store: Responses) -> None:
    for caller in ("a", "b"):
        store.keep(caller, one(f"of {caller}"), days=1)
    assert store.erase("a") == (1, True)
    assert store.get("b", "of b", days=1).id == "of b"
    assert store.erase() == (1, True)


def test_an_odd_text_is_kept(store: Responses) -> None:
    store.keep("a", one("1", text="\ud800 온돌"), days=1)
    assert store.get("a", "1", days=1).items[0]["content"] == "\ud800 온돌"

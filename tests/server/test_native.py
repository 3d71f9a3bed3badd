"""Ondol's own endpoints."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import CHAT, EMBEDDING, REPLY, GatedEngine, House, tiny_gguf
from test_streaming import PATIENCE_SECONDS, ReadingEngine, ask_raw

from ondol import __version__
from ondol.errors import EngineCrashedError

TEXT = (
    "The boiler was serviced in March. The stove in the hall burns oak. The cat is called Gureum."
)
QUESTION = "What does the stove in the hall burn?"


@pytest.fixture
def folder(house: House, tmp_path: Path) -> Iterator[Path]:
    """A folder whose one document is in the library during the test."""
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "house.txt").write_text(TEXT)
    assert call(house, "POST", "documents", paths=[str(folder)], stream=False).status_code == 200
    yield folder
    call(house, "DELETE", "documents", paths=[str(folder)])


def call(house: House, method: str, path: str, **body: Any) -> Any:
    with house.client() as client:
        return client.request(method, f"/ondol/v1/{path}", json=body or None)


def events(response: Any) -> list[tuple[str, Any]]:
    """The names and the data of a stream."""
    assert response.headers["content-type"].startswith("text/event-stream"), response.text
    assert response.text.endswith("\n\n")
    found = []
    for block in response.text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_health_says_who_this_is(house: House) -> None:
    health = call(house, "GET", "health").json()
    assert health == {"status": "ok", "name": "ondol", "version": __version__}


def test_an_answer_opens_with_its_evidence(house: House, folder: Path) -> None:
    found = events(call(house, "POST", "ask", question=QUESTION))
    names = [name for name, _ in found]
    assert names[0] == "evidence" and names[-1] == "answer"
    assert set(names[1:-1]) == {"token"}
    quote = found[0][1]["quotes"][0]
    assert "oak" in quote["text"] and TEXT[quote["start"] : quote["end"]] == quote["text"]
    assert quote["source"] == str(folder / "house.txt")
    assert "".join(data["text"] for name, data in found if name == "token") == REPLY
    answer = found[-1][1]
    assert (answer["answer"], answer["route"], answer["model"]) == (REPLY, "local", CHAT)
    assert answer["quotes"][0]["text"] == quote["text"]


def test_an_answer_comes_in_one_piece_when_asked_for(house: House, folder: Path) -> None:
    answer = call(house, "POST", "ask", question=QUESTION, stream=False).json()
    expected = "answer quotes citations confidence route reasons model usage seconds".split()
    assert answer["answer"] == REPLY and set(expected) <= answer.keys()


def test_nothing_found_asks_no_model(house: House) -> None:
    found = events(call(house, "POST", "ask", question="Where is the zeppelin moored?"))
    assert [name for name, _ in found] == ["evidence", "answer"]
    assert found[-1][1]["route"] == "abstain"
    assert house.pool.calls == []


def test_an_answer_to_a_korean_reader_is_korean(house: House) -> None:
    with house.client(headers={"Accept-Language": "ko"}) as client:
        body = {"question": "Where is the zeppelin moored?", "stream": False}
        answer = client.post("/ondol/v1/ask", json=body).json()
    assert "찾지" in answer["answer"]


def test_history_and_options_reach_the_engine(house: House, folder: Path) -> None:
    engine = GatedEngine(words=2)
    seen = []
    inner = engine.generate
    engine.generate = lambda messages, options: (
        seen.append((messages, options)) or inner(messages, options)
    )
    house.pool.engines[CHAT] = engine
    call(
        house,
        "POST",
        "ask",
        question=QUESTION,
        history=[{"role": "user", "content": "Hello"}],
        options={"max_tokens": 7, "temperature": 0.3, "seed": 5},
        model=CHAT,
        stream=False,
    )
    ((messages, options),) = seen
    assert [m.content for m in messages].count("Hello") == 1
    assert (options.max_tokens, options.temperature, options.seed) == (7, 0.3, 5)


def test_a_crash_in_mid_answer_ends_the_stream_with_an_error(house: House, folder: Path) -> None:
    house.pool.engines[CHAT] = GatedEngine(error=EngineCrashedError("it is gone", "try again"))
    found = events(call(house, "POST", "ask", question=QUESTION))
    assert found[-1] == (
        "error",
        {"error": {"code": "engine_crashed", "message": "it is gone", "hint": "try again"}},
    )
    whole = call(house, "POST", "ask", question=QUESTION, stream=False)
    assert whole.status_code == 502 and whole.json()["error"]["code"] == "engine_crashed"


@pytest.mark.parametrize("stream", [False, True])
def test_hanging_up_on_an_answer_stops_the_engine(house, folder: Path, stream: bool) -> None:
    house.pool.engines[CHAT] = engine = ReadingEngine()
    with ask_raw(house, "/ondol/v1/ask", {"question": QUESTION, "stream": stream}):
        assert engine.said_a_word.wait(PATIENCE_SECONDS)
    assert engine.closed.wait(PATIENCE_SECONDS)


def test_hanging_up_in_mid_answer_stops_the_engine(house: House, folder: Path) -> None:
    house.pool.engines[CHAT] = engine = GatedEngine(words=1_000_000)
    with ask_raw(house, "/ondol/v1/ask", {"question": QUESTION}) as connection:
        received = b""
        while b"word1" not in received:
            received += connection.recv(4096)
    assert engine.closed.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "ask", {"question": "  "}, "question"),
        ("POST", "ask", {"stream": False}, "question"),
        ("POST", "ask", {"question": "x", "options": {"max_tokens": 0}}, "options.max_tokens"),
        ("POST", "ask", {"question": "x", "history": [{"role": "user"}]}, "history.0.content"),
        ("POST", "ask", {"question": "x", "history": [{"role": "elf", "content": ""}]}, "history"),
        ("POST", "search", {"query": "x", "limit": 0}, "limit"),
        ("POST", "search", {"limit": 1}, "query"),
        ("POST", "documents", {"paths": []}, "paths"),
        ("POST", "documents", {"paths": ["relative/file.txt"]}, "paths"),
        ("POST", "documents", {"paths": ["/a\0b"]}, "paths"),
        ("POST", "documents", {"paths": "/tmp"}, "paths"),
        ("DELETE", "documents", {"paths": [""]}, "paths.0"),
        ("POST", "models/pull", {"stream": True}, "model"),
        ("DELETE", "loaded", {"model": ""}, "model"),
    ],
)
def test_a_wrong_field_is_a_422_that_names_it(house, method, path, body, field) -> None:
    response = call(house, method, path, **body)
    error = response.json()["error"]
    assert response.status_code == 422
    assert (error["code"], error["param"]) == ("invalid_request", field)
    assert error["message"]


def test_unknown_models_and_documents_are_404_with_a_hint(house: House) -> None:
    for method, path, body in (
        ("POST", "ask", {"question": "x", "model": "nobody"}),
        ("DELETE", "documents", {"paths": ["/nowhere/at/all"]}),
        ("DELETE", "loaded", {"model": "nobody"}),
    ):
        response = call(house, method, path, **body)
        assert response.status_code == 404
        assert response.json()["error"]["hint"]


def test_documents_are_added_listed_found_and_forgotten(house: House, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text(TEXT)
    (tmp_path / "broken.pdf").write_bytes(b"not a pdf")
    found = events(call(house, "POST", "documents", paths=[str(tmp_path)], collection="home"))
    assert [name for name, _ in found] == ["progress", "progress", "report"]
    report = found[-1][1]
    assert (report["added"], len(report["failed"])) == (1, 1)
    assert report["failed"][0]["source"].endswith("broken.pdf") and report["failed"][0]["reason"]

    (document,) = call(house, "GET", "documents").json()["documents"]
    assert document["source"] == str(tmp_path / "note.txt")
    assert document["collection"] == "home"
    # Adding again without naming one leaves everything where it is.
    assert call(house, "POST", "documents", paths=[str(tmp_path)], stream=False).status_code == 200
    (document,) = call(house, "GET", "documents").json()["documents"]
    assert document["collection"] == "home"

    (hit, *_) = call(house, "POST", "search", query="stove oak", limit=1).json()["hits"]
    assert hit["rank"] == 1 and TEXT[hit["start"] : hit["end"]] == hit["text"]

    receipt = call(house, "DELETE", "documents", paths=[str(tmp_path)]).json()
    assert receipt["documents"] == 1 and receipt["chunks"] >= 1
    assert call(house, "GET", "documents").json() == {"documents": []}


def test_adding_what_is_not_there_is_a_404(house: House, tmp_path: Path) -> None:
    response = call(house, "POST", "documents", paths=[str(tmp_path / "nothing")])
    assert response.status_code == 404


def test_models_are_listed(house: House) -> None:
    models = {model["name"]: model for model in call(house, "GET", "models").json()["models"]}
    assert models.keys() == {CHAT, EMBEDDING}
    assert models[CHAT]["kind"] == "chat" and models[CHAT]["size_bytes"] > 0


def test_the_catalogue_says_what_fits(house: House) -> None:
    models = call(house, "GET", "catalog").json()["models"]
    assert {"smollm2:135m", "all-minilm:l6-v2"} <= {model["name"] for model in models}
    assert all(m["fits"] in ("gpu", "ram", "no") and m["why"] for m in models)


def test_a_model_is_pulled_with_progress(house: House, tmp_path: Path) -> None:
    (tmp_path / "pulled.gguf").write_bytes(tiny_gguf())
    reference = f"file:{tmp_path / 'pulled.gguf'}"
    found = events(call(house, "POST", "models/pull", model=reference))
    assert found[0][1]["status"] == "pulling manifest"
    assert [name for name, _ in found[-2:]] == ["progress", "model"]
    assert found[-1][1]["family"] == "llama"
    whole = call(house, "POST", "models/pull", model=reference, stream=False)
    assert whole.json()["name"] == found[-1][1]["name"]
    with house.client() as client:
        client.request("DELETE", "/api/delete", json={"model": found[-1][1]["name"]})


def test_loaded_models_are_listed_and_stopped(house: House) -> None:
    house.pool.load(CHAT)
    (loaded,) = call(house, "GET", "loaded").json()["loaded"]
    assert (loaded["model"], loaded["num_ctx"]) == (CHAT, 4096) and loaded["expires_at"]
    assert call(house, "DELETE", "loaded", model=CHAT).json() == {"stopped": True}
    assert call(house, "DELETE", "loaded", model=CHAT).json() == {"stopped": False}


def test_hanging_up_on_a_pull_cancels_it(house: House, monkeypatch) -> None:
    from ondol.models import pull as pulling
    from ondol.models.pull import Progress

    cancelled = threading.Event()

    def pull(name, store, egress, *, on_progress, cancel):
        on_progress(Progress("pulling manifest"))
        if cancel.wait(PATIENCE_SECONDS):
            cancelled.set()

    monkeypatch.setattr(pulling, "pull", pull)
    with ask_raw(house, "/ondol/v1/models/pull", {"model": "anything"}) as connection:
        received = b""
        while b"pulling manifest" not in received:
            received += connection.recv(4096)
    assert cancelled.wait(PATIENCE_SECONDS)

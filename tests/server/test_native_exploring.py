"""``/ondol/v1/explore``: tokens with what else might have come, and texts that agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from house import CHAT, EMBEDDING, GatedEngine, House, scripted_house
from test_native import call
from test_streaming import PATIENCE_SECONDS, ask_raw

from ondol.engine.scripted import ScriptedEngine
from ondol.errors import EngineCrashedError
from ondol.lab.exploring.watching import WATCHED

PROMPT = "What is warm?"


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data[6:])) for name, data in found]


@pytest.fixture
def engine(house: House) -> ScriptedEngine:
    house.pool.engines[CHAT] = found = ScriptedEngine(["Warm floors.", "Warm floors!"], model=CHAT)
    return found


def test_tokens_come_with_what_else_might_have_come(house: House, engine: ScriptedEngine) -> None:
    response = call(house, "POST", "explore", prompt=PROMPT, alternatives=3, top_k=2, top_p=1)
    assert response.headers["content-type"].startswith("text/event-stream")
    told = events(response.text)
    assert [name for name, _ in told] == ["token", "token", "sample", "summary"]
    first = told[0][1]
    assert (first["sample"], first["text"], first["rank"]) == (0, "Warm", 1)
    assert len(first["alternatives"]) == 3 and first["alternatives"][2]["cut"] == "top_k"
    assert first["kept"] <= 2 and first["is_whole"]
    low, high = first["entropy_bits"]
    assert 0 < low <= high
    sample = told[2][1]
    assert sample["text"] == "Warm floors." and sample["tokens"] == 2
    assert sample["perplexity"] >= 1 and sample["finish_reason"] == "stop"


def test_samples_have_seeds_of_their_own_and_are_compared(
    house: House, engine: ScriptedEngine
) -> None:
    body = call(house, "POST", "explore", prompt=PROMPT, samples=2, seed=7, stream=False).json()
    assert [one["seed"] for one in body["samples"]] == [7, 8]
    assert [len(one["steps"]) for one in body["samples"]] == [2, 2]
    assert body["summary"]["agreement"] == 1 and body["summary"]["clusters"] == [[0, 1]]
    assert [request.options.seed for request in engine.requests] == [7, 8]
    assert engine.requests[0].options.logprobs == WATCHED
    # Nothing but what the caller sees decides what is cut.
    assert engine.requests[0].options.repeat_penalty == 1.0


def test_a_text_goes_on_from_where_it_is(house: House, engine: ScriptedEngine) -> None:
    asked = {"prompt": PROMPT, "begin": "Warm", "stream": False}
    call(house, "POST", "explore", **asked)
    assert [m.role for m in engine.requests[-1].messages] == ["user", "assistant"]
    call(house, "POST", "explore", **asked, mode="text")
    assert engine.requests[-1].prompt == f"{PROMPT}Warm" and not engine.requests[-1].messages


def test_hanging_up_stops_the_engine(house: House) -> None:
    house.pool.engines[CHAT] = engine = GatedEngine(words=1_000_000)
    with ask_raw(house, "/ondol/v1/explore", {"prompt": PROMPT, "samples": 8}) as connection:
        received = b""
        while b"word1" not in received:
            received += connection.recv(4096)
    assert engine.closed.wait(PATIENCE_SECONDS)


def test_failure_in_mid_text_ends_the_stream_with_a_sentence(house: House) -> None:
    house.pool.engines[CHAT] = GatedEngine(error=EngineCrashedError("it is gone", "try again"))
    name, data = events(call(house, "POST", "explore", prompt=PROMPT).text)[-1]
    assert (name, data["error"]["code"]) == ("error", "engine_crashed")


def test_what_was_explored_stands_in_the_ledger(tmp_path: Path) -> None:
    # In a house of its own: a stream is written down after its last byte.
    with scripted_house(tmp_path) as house:
        call(house, "POST", "explore", prompt=PROMPT, samples=2, stream=False)
        assert len(list(house.parts.ledger.entries())) == 2


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"samples": 2}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x", "samples": 9}, "samples"),
        ({"prompt": "x", "max_tokens": 513}, "max_tokens"),
        ({"prompt": "x", "temperature": 3}, "temperature"),
        ({"prompt": "x", "top_p": -1}, "top_p"),
        ({"prompt": "x", "alternatives": 101}, "alternatives"),
        ({"prompt": "x", "mode": "other"}, "mode"),
    ],
)
def test_wrong_field_is_named(house: House, body: dict[str, Any], param: str) -> None:
    response = call(house, "POST", "explore", **body)
    assert response.status_code == 422 and response.json()["error"]["param"] == param


def test_only_what_can_chat_is_explored(house: House) -> None:
    assert call(house, "POST", "explore", prompt="x", model="nobody").status_code == 404
    assert call(house, "POST", "explore", prompt="x", model=EMBEDDING).status_code == 422


def test_documents_are_not_explored(house: House) -> None:
    response = call(house, "POST", "explore", prompt="x", model=f"{CHAT}+documents")
    assert response.status_code == 422 and "exploring" in response.json()["error"]["message"]


def test_texts_that_are_given_are_compared(house: House) -> None:
    told = call(house, "POST", "explore/agreement", texts=["Paris", "paris.", "Rome"]).json()
    assert told["clusters"] == [[0, 1], [2]] and told["texts"] == 3
    empty = call(house, "POST", "explore/agreement", texts=[]).json()
    assert empty["clusters"] == [] and empty["agreement"] == 0
    assert call(house, "POST", "explore/agreement", texts=["x"] * 17).status_code == 422

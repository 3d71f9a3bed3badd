"""What every dialect says of its answers: headers always, an ``ondol`` object when asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.house import CHAT, House

MESSAGES = [{"role": "user", "content": "Say hello."}]


def lines(text: str) -> list[dict[str, Any]]:
    """The JSON of an NDJSON or an event stream."""
    found = (line.removeprefix("data: ") for line in text.splitlines())
    return [json.loads(line) for line in found if line.startswith("{")]


def post(house: House, path: str, **body: Any) -> Any:
    with house.client() as client:
        response = client.post(path, json={"model": CHAT, **body})
        assert response.status_code == 200, response.text
        return response


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": MESSAGES}),
        ("/v1/completions", {"prompt": "Say hello."}),
        ("/api/chat", {"messages": MESSAGES, "stream": False}),
        ("/api/generate", {"prompt": "Say hello.", "stream": False}),
    ],
)
def test_answer_in_one_piece_names_its_route_and_its_place_in_the_ledger(
    house: House, path: str, body: dict[str, Any]
) -> None:
    plain = post(house, path, **body)
    assert plain.headers["Ondol-Route"] == "local"
    entry = house.parts.ledger.get(plain.headers["Ondol-Ledger-Id"])
    assert (entry.kind, entry.route, entry.task) == ("answer", "local", "chat")
    assert "ondol" not in plain.json()
    asked = post(house, path, ondol=True, **body)
    known = asked.json()["ondol"]
    assert known["ledger_id"] == asked.headers["Ondol-Ledger-Id"]
    assert (known["route"], known["sensitivity"]) == ("local", "trusted")
    assert known["confidence"]["probability"] is None  # nobody has calibrated a scripted model
    assert "Ondol-Confidence" not in asked.headers


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": MESSAGES, "stream": True}),
        ("/v1/completions", {"prompt": "Say hello.", "stream": True}),
        ("/api/chat", {"messages": MESSAGES}),
        ("/api/generate", {"prompt": "Say hello."}),
    ],
)
def test_stream_says_the_same_at_its_end(house: House, path: str, body: dict[str, Any]) -> None:
    plain = post(house, path, **body)
    assert plain.headers["Ondol-Route"] == "local"
    assert not any("ondol" in line for line in lines(plain.text))
    (known,) = [line["ondol"] for line in lines(post(house, path, ondol=True, **body).text)
                if "ondol" in line]  # fmt: skip
    entry = house.parts.ledger.get(known["ledger_id"])
    assert entry.completion_tokens and entry.completion_tokens > 0


def test_logprobs_that_nobody_asked_for_are_not_sent(house: House) -> None:
    said = lines(post(house, "/api/chat", messages=MESSAGES).text)
    assert not any("logprobs" in line for line in said)


def test_question_with_personal_data_is_private_in_the_ledger(house: House) -> None:
    card = [{"role": "user", "content": "My card is 4111 1111 1111 1111."}]
    known = post(house, "/v1/chat/completions", messages=card, ondol=True).json()["ondol"]
    assert known["sensitivity"] == "private"
    entry = house.parts.ledger.get(known["ledger_id"])
    assert "4111" not in repr(entry)

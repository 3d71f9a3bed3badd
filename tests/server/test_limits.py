"""A key's limits: so many requests at once, so many in a minute, told in every dialect's words."""

from __future__ import annotations

import json
import secrets
import threading
from typing import Any

import pytest
from house import CHAT, GatedEngine, House

from ondol.callers import Caller
from ondol.errors import RateLimitError
from ondol.server.door.limits import Limits

QUESTION: dict[str, Any] = {"model": CHAT, "messages": [{"role": "user", "content": "Tell."}]}
PATHS = ["/api/chat", "/v1/chat/completions", "/v1/messages"]


def test_a_minute_slides() -> None:
    clock = [0.0]
    limits = Limits(lambda: clock[0])
    caller = Caller("a", requests_per_minute=2)
    for moment in (0.0, 30.0):
        clock[0] = moment
        with limits.one(caller):
            pass
    with pytest.raises(RateLimitError) as refused, limits.one(caller):
        pass
    assert refused.value.retry_after_seconds == 30
    with limits.one(Caller("b", requests_per_minute=2)), limits.one(Caller("owner")):
        pass
    clock[0] = 60.0
    with limits.one(caller):
        pass
    with pytest.raises(RateLimitError) as refused, limits.one(caller):
        pass
    assert refused.value.retry_after_seconds == 30


def test_what_was_refused_does_not_count() -> None:
    clock = [0.0]
    limits = Limits(lambda: clock[0])
    caller = Caller("a", requests_per_minute=1)
    with limits.one(caller):
        pass
    for moment in (10.0, 20.0, 59.0):
        clock[0] = moment
        with pytest.raises(RateLimitError), limits.one(caller):
            pass
    clock[0] = 60.0
    with limits.one(caller):
        pass


def test_so_many_at_once_and_an_error_gives_its_place_back() -> None:
    limits = Limits()
    caller = Caller("a", max_running=2)
    with limits.one(caller):
        with pytest.raises(LookupError), limits.one(caller):
            raise LookupError
        with limits.one(caller), pytest.raises(RateLimitError), limits.one(caller):
            pass
    assert not limits._running


def key_with(house: House, **limits: int) -> dict[str, str]:
    with house.client() as client:
        made = client.post("/ondol/v1/keys", json={"name": secrets.token_hex(4), **limits})
        assert made.is_success, made.text
        return {"Authorization": f"Bearer {made.json()['secret']}"}


@pytest.mark.parametrize("path", PATHS)
def test_a_key_that_asks_too_often_is_told_when_to_come_again(house: House, path: str) -> None:
    headers = key_with(house, requests_per_minute=1)
    body = {**QUESTION, "max_tokens": 5, "stream": False}
    with house.client() as client:
        assert client.post(path, json=body, headers=headers).status_code == 200
        refused = client.post(path, json=body, headers=headers)
        assert client.post(path, json=body).status_code == 200
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    error = refused.json()["error"]
    if path == "/api/chat":
        assert "1 requests a minute" in error
    elif path == "/v1/messages":
        assert error["type"] == "rate_limit_error"
    else:
        assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")


def test_a_key_has_so_many_answers_at_once_and_others_are_not_held_up(house: House) -> None:
    headers = key_with(house, max_running=1)
    house.pool.engines[CHAT] = engine = GatedEngine(words=1_000_000)
    body = {**QUESTION, "stream": True}
    with house.client() as client, house.client() as other:
        with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as first:
            # Held: an iterator that nobody holds closes the connection.
            lines = first.iter_lines()
            assert next(lines)
            refused = other.post("/api/chat", json=QUESTION, headers=headers)
            assert (refused.status_code, "at once" in refused.text) == (429, True)
            with other.stream("POST", "/api/chat", json=body) as second:
                assert "word0" in json.loads(next(second.iter_lines()))["message"]["content"]
        assert engine.closed.wait(20)
        freed = threading.Event()
        house.pool.engines.clear()
        for _ in range(200):
            again = other.post("/api/chat", json={**QUESTION, "stream": False}, headers=headers)
            if again.status_code == 200:
                freed.set()
                break
        assert freed.is_set()

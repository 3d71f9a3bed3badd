"""Pins over HTTP: made, read in the background, asked, taken off."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from house import CHAT, House, scripted_house
from test_streaming import ask_raw

from ondol.engine.generation import Cancellation, Cancelled
from ondol.engine.scripted import ScriptedEngine
from ondol.engine.states.keeping import Saved

LEASE = "The lease of the flat in Lime Street ends on 30 June 2031. The rent is 900 pounds."


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with scripted_house(tmp_path) as house:
        yield house


def test_a_pin_is_made_asked_and_taken_off(house: House, tmp_path: Path) -> None:
    file = tmp_path / "lease.txt"
    file.write_text(LEASE, "utf-8")
    engine = house.pool.engines[CHAT] = ScriptedEngine(["It ends in June."])
    with house.client() as client:
        pins = "/ondol/v1/pins"
        assert client.post(pins, json={"path": str(file)}).status_code == 404
        added = client.post("/ondol/v1/documents", json={"paths": [str(file)], "stream": False})
        assert added.status_code == 200
        made = client.post(pins, json={"path": str(file)})
        assert made.status_code == 201
        assert (made.json()["name"], made.json()["source"]) == ("lease", str(file))
        (listed,) = client.get(pins).json()["pins"]
        assert (listed["name"], listed["state_bytes"]) == ("lease", 0)
        assert client.post(f"{pins}/lease/read", json={}).status_code == 202
        assert client.post(f"{pins}/nothing/read", json={}).status_code == 404
        asked = {"question": "When does it end?", "pinned": "lease", "stream": False}
        answer = client.post("/ondol/v1/ask", json=asked).json()
        assert answer["answer"] == "It ends in June." and "pinned" in answer["reasons"]
        assert LEASE in engine.requests[-1].messages[0].content
        refused = client.post("/ondol/v1/ask", json=asked | {"wanted": "home"})
        assert refused.status_code == 422 and refused.json()["error"]["param"] == "pinned"
        for body in ({}, {"path": str(file), "collection": "notes"}):
            assert client.post(pins, json=body).status_code == 422
        assert client.delete(f"{pins}/lease").json() == {"unpinned": "lease"}
        assert client.get(pins).json() == {"pins": []}
        assert client.post("/ondol/v1/ask", json=asked).status_code == 404


class Slow(ScriptedEngine):
    """Reads until somebody ends that."""

    def __init__(self) -> None:
        super().__init__(["It ends in June."])
        self.begun, self.ended, self.readings = threading.Event(), threading.Event(), 0

    def prepare(self, messages, *, cancellation: Cancellation, **how) -> Saved:
        self.readings += 1
        self.begun.set()
        woken = threading.Event()
        with cancellation.calling(woken.set):
            assert woken.wait(20)
        self.ended.set()
        raise Cancelled


@pytest.fixture
def slow(house: House, tmp_path: Path) -> Slow:
    """An engine that reads slowly, and a pinned document."""
    file = tmp_path / "lease.txt"
    file.write_text(LEASE, "utf-8")
    house.parts.library.add([file])
    house.parts.library.pins.add(path=file)
    engine = house.pool.engines[CHAT] = Slow()
    return engine


@pytest.mark.parametrize("stream", [True, False])
def test_who_hangs_up_while_a_pin_is_read_ends_the_reading(
    house: House, slow: Slow, stream: bool
) -> None:
    asked = {"question": "When does it end?", "pinned": "lease", "stream": stream}
    with ask_raw(house, "/ondol/v1/ask", asked):
        assert slow.begun.wait(20) and not slow.ended.is_set()
    assert slow.ended.wait(10)
    assert not slow.requests


ENDINGS: dict[str, Callable[..., object]] = {
    "unpinned": lambda client: client.delete("/ondol/v1/pins/lease"),
    "ended": lambda client: client.delete("/ondol/v1/pins/lease/read"),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_a_reading_in_the_background_goes_on_once_and_can_be_ended(
    house: House, slow: Slow, how: str
) -> None:
    with house.client() as client:
        for _ in range(3):
            assert client.post("/ondol/v1/pins/lease/read", json={}).status_code == 202
        assert slow.begun.wait(20)
        assert ENDINGS[how](client).status_code == 200
        assert slow.ended.wait(10) and slow.readings == 1
        assert client.delete("/ondol/v1/pins/lease/read").json() == {"ended": 0}
        assert len(client.get("/ondol/v1/pins").json()["pins"]) == (how == "ended")

"""Pins over HTTP: made, read in the background, asked, taken off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from house import CHAT, House, scripted_house

from ondol.engine.scripted import ScriptedEngine

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

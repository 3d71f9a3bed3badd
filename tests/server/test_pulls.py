"""Pulls that go on in the server: pause, resume, a line that breaks, a server that starts again."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from house import House, scripted_house

from ondol.server.native import pull_state
from ondol.server.native import pulling as pulls
from ondol.server.native import pulls as native_pulls

sys.path.append(str(Path(__file__).parents[1] / "models"))
from pull_servers import Mood, Server, serving, sha256, tiny_gguf

CONTENT = tiny_gguf(300_000)
LONG = tiny_gguf(1_500_000)
PATIENCE_SECONDS = 20


@pytest.fixture
def source() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def slow_source() -> Iterator[Server]:
    """A source that takes two seconds over ``LONG``."""
    with serving(pause_seconds=0.02) as server:
        yield server


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulls, "PAUSES_SECONDS", (0.1,))
    monkeypatch.setattr(native_pulls, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with opened(tmp_path) as house:
        yield house


@contextmanager
def opened(folder: Path) -> Iterator[House]:
    # Read when the app is made, so that each test has its own pauses.
    pulls.Pulls.__init__.__kwdefaults__["pauses_seconds"] = pulls.PAUSES_SECONDS
    with scripted_house(folder) as house:
        yield house


def call(house: House, method: str, path: str, **body: Any) -> Any:
    with house.client() as client:
        return client.request(method, f"/ondol/v1/{path}", json=body or None)


def start(house: House, address: str) -> dict[str, Any]:
    return dict(call(house, "POST", "pulls", model=address).json())


def pull_of(house: House, id: str) -> dict[str, Any]:
    found = call(house, "GET", "pulls").json()["pulls"]
    return next(one for one in found if one["id"] == id)


def wait_for(house: House, id: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = pull_of(house, id)
        if until(found):
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def in_state(*states: str) -> Callable[[dict[str, Any]], bool]:
    return lambda pull: pull["state"] in states


def follow(
    house: House, seen: list[tuple[str, Any]], enough: Callable[[], bool], **how: Any
) -> int:
    """Read the stream of events until there are enough; the number of the last one."""
    number = 0
    with house.client() as client, client.stream("GET", "/ondol/v1/pulls/events", **how) as stream:
        name = ""
        for line in stream.iter_lines():
            if line.startswith("id: "):
                number = int(line[4:])
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                seen.append((name, json.loads(line[6:])))
                if enough():
                    return number
    raise AssertionError(seen)


def test_a_pull_goes_on_after_whoever_started_it_has_left(house: House, source: Server) -> None:
    source.add("/m.gguf", CONTENT)
    response = call(house, "POST", "pulls", model=f"{source.url}/m.gguf#sha256={sha256(CONTENT)}")
    assert response.status_code == 201
    done = wait_for(house, response.json()["id"], in_state("done", "failed"))
    assert (done["state"], done["completed_bytes"]) == ("done", len(CONTENT))
    assert done["completed_bytes"] == done["total_bytes"] and done["error"] is None
    names = [model["name"] for model in call(house, "GET", "models").json()["models"]]
    assert "m:latest" in names


def test_starting_the_same_pull_twice_is_one_pull(house: House, slow_source: Server) -> None:
    slow_source.add("/m.gguf", LONG)
    first = start(house, f"{slow_source.url}/m.gguf")
    second = call(house, "POST", "pulls", model=f"{slow_source.url}/m.gguf")
    assert (second.status_code, second.json()["id"]) == (200, first["id"])
    call(house, "DELETE", f"pulls/{first['id']}")


def test_a_paused_pull_goes_on_from_where_it_was(house: House, slow_source: Server) -> None:
    slow_source.add("/m.gguf", LONG)
    id = start(house, f"{slow_source.url}/m.gguf#sha256={sha256(LONG)}")["id"]
    wait_for(house, id, lambda pull: pull["completed_bytes"] >= 100_000)
    paused = call(house, "POST", f"pulls/{id}/pause").json()
    assert paused["state"] == "paused" and paused["bytes_per_second"] == 0
    assert call(house, "POST", f"pulls/{id}/resume").json()["state"] == "running"
    wait_for(house, id, in_state("done"))
    assert slow_source.starts("/m.gguf")[-1] >= 100_000


def test_a_broken_line_is_said_and_tried_again_until_it_works(house: House, source: Server) -> None:
    """Cut after every few bytes, then refused, then well again: nobody has to press anything."""
    cuts = [Mood(stop_after=50_000)] * 4 + [Mood(status=503)] * 4
    source.add("/m.gguf", CONTENT, *cuts)
    seen: list[tuple[str, Any]] = []
    listener = threading.Thread(
        target=follow,
        args=(house, seen, lambda: seen[-1][1].get("state") == "done"),
    )
    listener.start()
    id = start(house, f"{source.url}/m.gguf#sha256={sha256(CONTENT)}")["id"]
    wait_for(house, id, in_state("done"))
    listener.join(PATIENCE_SECONDS)
    states = [value["state"] for name, value in seen if name == "pull"]
    assert states[-1] == "done" and "waiting" in states
    waiting = next(v for n, v in seen if n == "pull" and v["state"] == "waiting")
    assert waiting["error"]["code"] == "download_failed" and waiting["tries_again_at"]
    assert waiting["error"]["message"] and waiting["tries"] >= 1
    starts = source.starts("/m.gguf")
    assert starts[-1] == 4 * 50_000


def test_one_that_waits_tries_at_once_when_told_to(
    tmp_path: Path, source: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulls, "PAUSES_SECONDS", (3600.0,))
    with opened(tmp_path) as house:
        route = source.add("/m.gguf", CONTENT, *[Mood(status=503)] * 1000)
        id = start(house, f"{source.url}/m.gguf")["id"]
        waiting = wait_for(house, id, in_state("waiting"))
        assert "503" in waiting["error"]["message"]
        route.moods.clear()
        call(house, "POST", f"pulls/{id}/resume")
        assert wait_for(house, id, in_state("done"))["error"] is None


def test_a_line_on_which_nothing_comes_has_no_speed(
    house: House, source: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_pulls, "STALL_SECONDS", 0.05)
    monkeypatch.setattr(pull_state, "SPEED_SECONDS", 0.2)
    source.add("/m.gguf", CONTENT, Mood(stall_after=100_000))
    id = start(house, f"{source.url}/m.gguf")["id"]
    seen: list[tuple[str, Any]] = []

    def is_told() -> bool:
        last = seen[-1][1]
        return last.get("state") == "running" and len(seen) > 3

    follow(house, seen, is_told)
    assert seen[-1][1]["bytes_per_second"] == 0
    call(house, "DELETE", f"pulls/{id}")
    source.closing.set()


def test_what_is_not_there_fails_and_says_so(house: House, source: Server) -> None:
    id = start(house, f"{source.url}/nothing.gguf")["id"]
    failed = wait_for(house, id, in_state("failed"))
    assert failed["error"]["code"] == "download_failed" and failed["error"]["hint"]
    source.add("/nothing.gguf", CONTENT)
    call(house, "POST", f"pulls/{id}/resume")
    wait_for(house, id, in_state("done"))


def test_what_is_no_model_fails_and_says_so(house: House, source: Server) -> None:
    source.add("/m.gguf", b"<html>please log in</html>" * 100)
    id = start(house, f"{source.url}/m.gguf")["id"]
    assert wait_for(house, id, in_state("failed"))["error"]["code"] == "invalid_model"


def test_offline_refuses_and_does_not_wait(tmp_path: Path) -> None:
    with scripted_house(tmp_path, {"ONDOL_OFFLINE": "true"}) as house:
        id = start(house, "https://models.example/m.gguf")["id"]
        assert wait_for(house, id, in_state("failed"))["error"]["code"] == "egress_refused"


def test_a_name_that_nobody_knows_is_refused_at_once(house: House) -> None:
    response = call(house, "POST", "pulls", model="no-such-model")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
    assert call(house, "GET", "pulls").json() == {"pulls": []}


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "pulls/none/pause"), ("POST", "pulls/none/resume"), ("DELETE", "pulls/none")],
)
def test_a_pull_that_is_not_there_is_a_404(house: House, method: str, path: str) -> None:
    response = call(house, method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "pull_not_found")


def test_giving_up_deletes_what_had_arrived(house: House, slow_source: Server) -> None:
    slow_source.add("/m.gguf", LONG)
    id = start(house, f"{slow_source.url}/m.gguf")["id"]
    wait_for(house, id, lambda pull: pull["completed_bytes"] >= 100_000)
    blobs = house.parts.store.blobs.directory
    assert list(blobs.glob("partial-*"))
    assert call(house, "DELETE", f"pulls/{id}").json() == {"removed": id}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while list(blobs.glob("partial-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(blobs.glob("partial-*")) == []
    assert call(house, "GET", "pulls").json() == {"pulls": []}


def test_a_server_that_starts_again_lists_what_was_unfinished_as_paused(
    tmp_path: Path, slow_source: Server
) -> None:
    address = f"{slow_source.url}/m.gguf#sha256={sha256(LONG)}"
    slow_source.add("/m.gguf", LONG)
    with opened(tmp_path) as house:
        id = start(house, address)["id"]
        wait_for(house, id, lambda pull: pull["completed_bytes"] >= 100_000)
    with opened(tmp_path) as house:
        left = pull_of(house, id)
        assert (left["state"], left["model"]) == ("paused", address)
        call(house, "POST", f"pulls/{id}/resume")
        wait_for(house, id, in_state("done"))
    assert slow_source.starts("/m.gguf")[-1] >= 100_000
    with opened(tmp_path) as house:
        assert call(house, "GET", "pulls").json() == {"pulls": []}


def test_an_address_with_a_key_in_it_is_not_written_down(
    house: House, slow_source: Server, home: Path
) -> None:
    slow_source.add("/m.gguf", LONG)
    id = start(house, f"{slow_source.url}/m.gguf?token=hunter2")["id"]
    wait_for(house, id, lambda pull: pull["completed_bytes"] >= 100_000)
    written = [p for p in home.rglob("*") if p.is_file() and b"hunter2" in p.read_bytes()]
    assert written == []
    call(house, "DELETE", f"pulls/{id}")


def test_who_comes_back_gets_what_was_missed(house: House, source: Server) -> None:
    source.add("/m.gguf", CONTENT)
    source.add("/n.gguf", CONTENT)
    seen: list[tuple[str, Any]] = []
    number = follow(house, seen, lambda: True)
    assert seen == [("pulls", {"pulls": []})]
    first = start(house, f"{source.url}/m.gguf")["id"]
    wait_for(house, first, in_state("done"))
    seen.clear()
    number = follow(house, seen, lambda: True, headers={"Last-Event-ID": str(number)})
    assert [(name, value["id"], value["state"]) for name, value in seen] == [
        ("pull", first, "done")
    ]
    call(house, "DELETE", f"pulls/{first}")
    seen.clear()
    follow(house, seen, lambda: True, params={"after": number})
    assert seen == [("removed", {"id": first})]
    seen.clear()
    follow(house, seen, lambda: True, params={"after": 1})
    assert seen == [("pulls", {"pulls": []})]


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "x"])
def test_a_number_that_was_never_given_begins_anew(house: House, number: str) -> None:
    seen: list[tuple[str, Any]] = []
    follow(house, seen, lambda: True, headers={"Last-Event-ID": number})
    assert [name for name, _ in seen] == ["pulls"]

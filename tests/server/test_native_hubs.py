"""``/ondol/v1/hubs``, ``/updates`` and ``/packs``: what a real hub offers, installed from it and
brought back. Trying models out is left out: nothing here thinks."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from house import CHAT, House, scripted_house, tiny_gguf
from lora_gguf import lora_bytes

from ondol.callers import Caller
from ondol.hub.repository import keys
from ondol.server.door import scopes
from ondol.server.door.scopes import OutOfScopeError
from ondol.server.native import pulls as native_pulls
from ondol.updating.switching import Tried

sys.path.append(str(Path(__file__).parents[1] / "hub"))
from offered import MODEL, Offered, offered

HUBS, UPDATES, PACKS = "/ondol/v1/hubs", "/ondol/v1/updates", "/ondol/v1/packs"
WEIGHTS = tiny_gguf()
NEWER = WEIGHTS[:-4] + b"\0\0\0\1"
DIGEST = f"sha256:{hashlib.sha256(WEIGHTS).hexdigest()}"
PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offered]:
    with offered(tmp_path_factory.mktemp("hub") / "hub", WEIGHTS, DIGEST) as found:
        found.publish("letters", "1.1", MODEL, NEWER)
        found.publish("letters", "1.2", replace(MODEL, channel="beta"), NEWER)
        found.publish("letters", "2.0", replace(MODEL, min_ondol="99.0"), NEWER)
        found.publish("gone", "1.0", replace(MODEL, name="gone:1b"), NEWER)
        found.repository.yank("clinic", "gone", "1.0", "It said wrong doses.", found.key)
        yield found


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path / "own"))
    monkeypatch.setattr("ondol.updating.trial.try_model", lambda *_: Tried())
    monkeypatch.setattr(native_pulls, "PAUSE_SECONDS", 0.01)
    (tmp_path / "house").mkdir()
    with scripted_house(tmp_path / "house") as house:
        yield house


@pytest.fixture
def client(own: House) -> Iterator[httpx2.Client]:
    with own.client() as client:
        yield client


@pytest.fixture
def added(client: httpx2.Client, hub: Offered) -> dict[str, Any]:
    given = {"url": hub.url, "fingerprint": hub.fingerprint, "name": "clinic"}
    response = client.post(HUBS, json=given)
    assert response.status_code == 201
    return dict(response.json())


def items(client: httpx2.Client, **query: str) -> dict[str, dict[str, Any]]:
    found = client.get(f"{HUBS}/clinic/items", params=query).json()["items"]
    return {one["item"]: one for one in found}


def install(client: httpx2.Client, **what: Any) -> dict[str, Any]:
    """What came of an installation of letters, or of what is named."""
    response = client.post(UPDATES, json={"publisher": "clinic", "item": "letters", **what})
    assert response.status_code == 201, response.text
    return over(client, response.json()["id"])


def over(client: httpx2.Client, id: str) -> dict[str, Any]:
    return wait_for(client, id, lambda one: one["state"] in ("done", "failed", "stopped"))


def wait_for(
    client: httpx2.Client, id: str, until: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    found: dict[str, Any] = {}
    while time.monotonic() < deadline:
        (found,) = (one for one in client.get(UPDATES).json()["updates"] if one["id"] == id)
        if until(found):
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def code(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_hub_is_added_with_its_fingerprint_asked_and_removed(
    client: httpx2.Client, hub: Offered, added: dict[str, Any]
) -> None:
    assert added["fingerprint"] == hub.fingerprint and added["error"] is None
    assert added["refreshed_at"] and added["expires_at"]
    assert added["publishers"] == {k: list(v) for k, v in hub.repository.publishers().items()}
    assert client.get(HUBS).json()["hubs"] == [added]
    again = client.post(f"{HUBS}/clinic/refresh").json()
    assert again["fingerprint"] == hub.fingerprint
    assert code(client.post(f"{HUBS}/other/refresh")) == (404, "hub_not_found")
    assert client.delete(f"{HUBS}/clinic").json() == {"removed": "clinic"}
    assert client.get(HUBS).json() == {"hubs": []}
    assert code(client.get(f"{HUBS}/clinic/items")) == (404, "hub_not_found")


def test_hub_of_another_fingerprint_is_not_kept(client: httpx2.Client, hub: Offered) -> None:
    other = hub.fingerprint[:-2] + ("AQ" if hub.fingerprint[-2:] != "AQ" else "BQ")
    response = client.post(HUBS, json={"url": hub.url, "fingerprint": other})
    assert response.status_code in (422, 502) and "fingerprint" in response.text.lower()
    away = {"url": "http://127.0.0.1:9", "fingerprint": hub.fingerprint}
    assert code(client.post(HUBS, json=away)) == (502, "hub_unreachable")
    assert client.get(HUBS).json() == {"hubs": []}


@pytest.mark.usefixtures("added")
def test_what_is_offered_says_what_stands_in_its_way(client: httpx2.Client) -> None:
    found = items(client)
    assert set(found) == {"letters", "formal", "lost", "gone"}
    letters = found["letters"]
    # The newest stable one that this Ondol can use.
    assert letters["version"] == "1.1" and letters["obstacle"] == ""
    assert letters["versions"] == ["2", "1.2", "1.1", "1"] and letters["installed"] is None
    assert found["formal"]["obstacle"] == "" and "nowhere:7b" in found["lost"]["obstacle"]
    assert found["gone"]["yanked"] == "It said wrong doses." and not found["gone"]["is_newer"]
    assert set(items(client, kind="adapter")) == {"formal", "lost"}
    assert set(items(client, words="OFFICE korea")) == set()
    assert set(items(client, words="Office KO")) == {"formal", "lost"}
    one = client.get(f"{HUBS}/clinic/items/clinic/letters").json()
    assert [each["version"] for each in one["releases"]] == ["2", "1.2", "1.1", "1"]
    assert [each["obstacle"] == "" for each in one["releases"]] == [False, True, True, True]
    assert "99.0" in one["releases"][0]["obstacle"]
    assert one["keys"] and one["card"]["licence"] == "Apache-2.0"
    missing = client.get(f"{HUBS}/clinic/items/clinic/other")
    assert code(missing) == (404, "hub_not_found")


@pytest.mark.usefixtures("added")
def test_model_is_installed_updated_pinned_and_returned_to(
    client: httpx2.Client, own: House
) -> None:
    done = install(client, version="1.0")
    assert (done["state"], done["outcome"]["what"]) == ("done", "installed"), done
    told = client.get(UPDATES).json()
    (one,) = told["installed"]
    assert (one["name"], one["version"], one["pin"]) == ("letters:1b", "1", None)
    (offer,) = told["offers"]
    assert (offer["version"], offer["is_pinned"]) == ("1.1", False)
    assert items(client)["letters"]["installed"]["version"] == "1"

    pinned = client.post(f"{UPDATES}/pin", json={"name": "letters:1b"}).json()
    assert pinned["pin"] == "1"
    checked = client.post(f"{UPDATES}/check", json={"names": []}).json()
    assert checked["offers"][0]["version"] == "" and checked["troubles"] == []
    named = client.post(f"{UPDATES}/check", json={"names": ["letters:1b"]}).json()
    assert [each["name"] for each in named["offers"]] == ["letters:1b"]
    assert client.post(f"{UPDATES}/unpin", json={"name": "letters:1b"}).json()["pin"] is None

    assert install(client, version="1.1")["outcome"]["what"] == "updated"
    assert own.parts.store.get("letters:1b").file("weights").digest != DIGEST
    back = client.post(f"{UPDATES}/rollback", json={"name": "letters:1b"}).json()
    assert (back["what"], back["version"], back["before"]) == ("rolled_back", "1", "1.1")
    assert own.parts.store.get("letters:1b").file("weights").digest == DIGEST
    history = client.get(f"{UPDATES}/history", params={"name": "letters:1b"}).json()["events"]
    deeds = [each["deed"] for each in history]
    assert deeds == ["rolled_back", "updated", "unpinned", "pinned", "installed"]


@pytest.mark.usefixtures("added")
def test_hub_that_is_away_is_a_trouble_and_takes_nothing_away(
    client: httpx2.Client, added: dict[str, Any]
) -> None:
    from ondol.hub.client import Hubs

    with Hubs.open() as kept, kept.place.writing() as connection:
        connection.execute("UPDATE hubs SET url = 'http://127.0.0.1:9'")
    told = client.post(f"{UPDATES}/check", json={"names": []}).json()
    assert [one["hub"] for one in told["troubles"]] == ["clinic"]
    assert client.get(HUBS).json()["hubs"][0]["error"]["code"] == "hub_unreachable"
    assert code(client.post(f"{HUBS}/clinic/refresh")) == (502, "hub_unreachable")
    assert set(items(client)) == {"letters", "formal", "lost", "gone"}


@pytest.mark.usefixtures("added")
def test_name_that_is_taken_is_asked_about(client: httpx2.Client, own: House, hub: Offered) -> None:
    before = own.parts.store.get(CHAT).digest
    failed = install(client, version="1.1", name=CHAT)
    assert failed["state"] == "failed" and failed["error"]["param"] in ("name", "replace")
    assert own.parts.store.get(CHAT).digest == before
    assert install(client, version="1.1", name=CHAT, replace=True)["state"] == "done"
    # What came of the first try is no news any more.
    assert [one["state"] for one in client.get(UPDATES).json()["updates"]] == ["done"]


@pytest.mark.usefixtures("added")
def test_updates_are_followed_as_they_happen(client: httpx2.Client) -> None:
    id = install(client, version="1.0")["id"]
    seen: list[tuple[str, dict[str, Any]]] = []
    with client.stream("GET", f"{UPDATES}/events") as stream:
        name = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                seen.append((name, json.loads(line[6:])))
                if len(seen) == 1:
                    client.delete(f"{UPDATES}/{id}")
                else:
                    break
    (first, everything), (second, gone) = seen
    assert first == "updates" and [one["id"] for one in everything["updates"]] == [id]
    assert (second, gone) == ("removed", {"id": id})
    assert code(client.post(f"{UPDATES}/{id}/stop")) == (404, "update_not_found")


def test_without_a_hub_nothing_is_installed_and_nothing_found(client: httpx2.Client) -> None:
    failed = install(client)
    assert (failed["state"], failed["error"]["code"]) == ("failed", "hub_not_found")
    for deed in ("pin", "unpin", "rollback"):
        response = client.post(f"{UPDATES}/{deed}", json={"name": "nothing:1b"})
        assert code(response) == (404, "hub_not_found")
    history = client.get(f"{UPDATES}/history", params={"name": "nothing:1b"})
    assert code(history) == (404, "hub_not_found")
    assert client.get(PACKS).json() == {"packs": []}
    assert code(client.get(f"{PACKS}/law")) == (404, "pack_not_found")
    assert code(client.post(f"{PACKS}/law/evaluate")) == (404, "pack_not_found")
    assert code(client.delete(f"{PACKS}/law")) == (404, "pack_not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", HUBS),
        ("DELETE", f"{HUBS}/clinic"),
        ("POST", f"{HUBS}/clinic/refresh"),
        ("POST", f"{HUBS}/publish"),
        ("POST", UPDATES),
        ("POST", f"{UPDATES}/rollback"),
        ("DELETE", f"{PACKS}/law"),
    ],
)
def test_program_may_look_and_change_nothing(method: str, path: str) -> None:
    program = Caller("key:abc", "n8n", frozenset({"ondol"}))
    with pytest.raises(OutOfScopeError):
        scopes.check(program, method, path)
    scopes.check(program, "GET", path)


@pytest.fixture
def style(own: House, tmp_path: Path) -> str:
    """The owner's own adapter, which learned what it knows from what they wrote."""
    file = tmp_path / "style.gguf"
    factors = np.zeros((4, 2), np.float32), np.zeros((64, 2), np.float32)
    file.write_bytes(lora_bytes({"token_embd.weight": factors}))
    told = {
        "trained_on": {"task": "style", "num_examples": 30, "sources": ["diary"]},
        "evaluation": {"canary": {"numbers": 9, "tested": 4, "by_heart": 1}},
    }
    made = own.parts.adapters.add(file, name="style", model=CHAT, **told)
    return str(made.full_name)


@pytest.fixture
def publishing(hub: Offered, style: str, tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "clinic.key"
    keys.save(file, hub.key)
    return {
        "adapter": style,
        "folder": str(hub.folder),
        "publisher": "clinic",
        "key_file": str(file),
        "item": "style",
        "version": "1.0",
        "licence": "CC0-1.0",
        "description": "Short answers.",
        "may_share": True,
    }


def test_adapter_of_ones_own_is_published_only_with_a_yes(
    client: httpx2.Client, hub: Offered, publishing: dict[str, Any]
) -> None:
    looked = client.post(f"{HUBS}/publish/look", json={"adapter": publishing["adapter"]}).json()
    assert looked["item"] == "style" and looked["size_bytes"] > 0
    assert "learned from what you wrote" in " ".join(looked["warnings"])
    assert looked["canary"] == {"numbers": 9, "tested": 4, "by_heart": 1}
    assert looked["card"]["training"]["num_examples"] == 30
    assert "diary" not in json.dumps(looked)

    for may_share in (False, None):
        refused = client.post(f"{HUBS}/publish", json=publishing | {"may_share": may_share})
        assert refused.status_code == 422 and refused.json()["error"]["param"] == "may_share"
    locked = client.post(f"{HUBS}/publish", json=publishing | {"key_file": "/nowhere/key"})
    assert code(locked) == (409, "signing_refused")
    assert not [one for one in hub.repository.releases() if one.item == "style"]

    made = client.post(f"{HUBS}/publish", json=publishing)
    assert made.status_code == 201, made.text
    (release,) = [one for one in hub.repository.releases() if one.item == "style"]
    assert release.card.licence == "CC0-1.0" and release.card.description == "Short answers."
    assert release.card.scan["ok"] is True
    assert made.json()["version"] == "1"

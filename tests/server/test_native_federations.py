"""``/ondol/v1/federations``: what a device belongs to, what may teach, and the way out. What home
says to a code is made up here; ``tests/household`` has a real one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from conversing import own_house
from house import CHAT, House

from ondol import database, paths
from ondol.callers import Caller
from ondol.errors import HomeUnreachableError
from ondol.federated.members import Member
from ondol.federated.plan import Plan
from ondol.home.federations import take_in
from ondol.home.registry import Registry
from ondol.household import adopting, joining, leaving
from ondol.household.federations import Federation, Federations, Round
from ondol.server.door import scopes
from ondol.server.door.scopes import OutOfScopeError

PLAN = Plan("f0a1b2c3", "family", CHAT, "a" * 64, "b" * 64, "style", epsilon_budget=8.0)
ALL = "/ondol/v1/federations"
ONE = f"{ALL}/family"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path))
    with own_house(tmp_path) as house:
        yield house


@pytest.fixture
def client(own: House) -> Iterator[httpx2.Client]:
    with own.client() as client:
        yield client


@pytest.fixture
def family() -> Federation:
    members = tuple(Member(PLAN.federation, bytes([n]) * 32) for n in (1, 2, 3))
    one = Federation(
        PLAN.federation, "family", b"\x05" * 32, "https://127.0.0.1:9", PLAN, members, members[0]
    )
    with Federations.open() as kept:
        made = kept.add(one)
        record = {"number": 1, "clients": [one.node for one in members], "bytes_up": 900}
        kept.note(made.id, Round(1, record, True, "", 12, 300, 400, 2.5, 2.1, "d" * 64))
        kept.note(made.id, Round(2, {"number": 2}, False, "on battery", 0, 0, 400))
    return made


def test_device_in_no_federation_lists_none(client: httpx2.Client) -> None:
    assert client.get(ALL).json() == {"federations": [], "coordinated": []}
    missing = client.get(ONE)
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "federation_not_found"


def test_home_sees_what_it_coordinates(client: httpx2.Client) -> None:
    with closing(database.connect(paths.database_file())) as connection:
        registry = Registry(connection)
        made = registry.federations.create("family", PLAN)
        with database.transaction(connection):
            for n in (1, 2):
                take_in(connection, made.id, f"device-{n}", bytes([n]) * 32, "2026-11-22T08:00:00")
        (told,) = client.get(ALL).json()["coordinated"]
        assert (told["state"], told["is_running"], told["under_way"]) == ("open", False, None)
        # Nobody enrolled these: they are named, and not in it.
        assert [one["left_at"] is None for one in told["members"]] == [False, False]
        registry.federations.begin(made.id, 4711)
        registry.federations.note(made.id, 1, {"number": 1, "clients": [7], "epsilon": 2.5})
        about = {"number": 2, "at": "2026-11-22T09:00:00", "chosen": [7], "dropped": {}}
        about |= {"refused": {}, "bytes_up": 5, "bytes_down": 6}
        place = paths.ensure(paths.data_dir() / "federations" / made.id / "open")
        (place / "about.json").write_text(json.dumps(about), "utf-8")
        seen = []
        for stage in ("", "train", "update-keys", "update-unmask"):
            if stage:
                (place / f"{stage}.stage").touch()
            (told,) = client.get(ALL).json()["coordinated"]
            seen.append(told["under_way"]["doing"])
        assert seen == ["learns", "adds", "adds", "measures"]
        assert told["rounds"] == [{"number": 1, "clients": [7], "epsilon": 2.5}]
        assert told["epsilon"]["spent"] == 2.5
        (place / "about.json").write_text("{", "utf-8")
        assert client.get(ALL).json()["coordinated"][0]["under_way"] is None
        registry.federations.pause(made.id)
        assert client.get(ALL).json()["coordinated"][0]["is_running"] is False


def test_what_waits_for_the_gate_is_told(client: httpx2.Client, family: Federation) -> None:
    assert client.get(ONE).json()["gate"] is None
    adopting.keep_for_later(leaving.folder(family.id), np.ones(4, np.float32), {"rounds": 1})
    assert client.get(ONE).json()["gate"] == {"state": "waiting", "done": 0, "total": 0}
    assert client.get(ONE).json()["under_way"] is None


def test_federation_tells_rounds_and_what_this_device_gave(
    client: httpx2.Client, family: Federation
) -> None:
    (listed,) = client.get(ALL).json()["federations"]
    told = client.get(ONE).json()
    assert listed == told == client.get(f"{ALL}/{family.id}").json()
    assert told["contribution"] == {
        "rounds": 1,
        "num_examples": 12,
        "bytes_up": 300,
        "bytes_down": 800,
    }
    assert [one["mine"]["reason"] for one in told["rounds"]] == ["", "on battery"]
    assert told["rounds"][0]["clients"] == [one.node for one in family.members]
    assert told["safety_number"] == family.safety_number
    assert told["readiness"]["is_ready"] is False
    assert "no_consent" in told["readiness"]["codes"]


def test_only_what_was_agreed_to_may_teach(
    own: House, client: httpx2.Client, family: Federation
) -> None:
    source = own.parts.kept.samples.add_source("writing", "letters")
    (offered,) = client.get(ONE).json()["consent"]
    assert (offered["id"], offered["is_agreed"]) == (source.id, False)
    told = client.put(f"{ONE}/consent", json={"sources": [source.id]}).json()
    assert told["consent"][0]["is_agreed"] is True and told["sources"] == [source.id]
    unknown = client.put(f"{ONE}/consent", json={"sources": ["nothing-like-it"]})
    assert unknown.status_code == 404
    assert client.get(ONE).json()["sources"] == [source.id]
    assert client.put(f"{ONE}/consent", json={"sources": []}).json()["sources"] == []


def test_paused_one_takes_part_in_nothing_until_resumed(
    client: httpx2.Client, family: Federation
) -> None:
    paused = client.post(f"{ONE}/pause").json()
    assert paused["state"] == "paused" and "paused" in paused["readiness"]["codes"]
    resumed = client.post(f"{ONE}/resume").json()
    assert resumed["state"] == "active" and "paused" not in resumed["readiness"]["codes"]
    # From then on the server asks home how it stands; this device is enrolled at none.
    for _ in range(200):
        standing = client.get(ONE).json()["standing"]
        if standing is not None:
            break
        time.sleep(0.05)
    assert standing is not None and "family" in standing["failure"]


def test_leaving_erases_it_here_whether_home_hears_it_or_not(
    client: httpx2.Client, family: Federation
) -> None:
    assert client.delete(ONE).status_code == 200
    assert client.get(ALL).json() == {"federations": [], "coordinated": []}
    assert client.delete(ONE).status_code == 404


def test_code_is_looked_at_and_only_what_was_shown_is_joined(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def join(parts: Any, code: str, *what: Any, expected: str = "") -> Federation:
        asked.append((code, *what, expected))
        raise HomeUnreachableError("home is away")

    monkeypatch.setattr(joining, "join", join)
    for wrong in ("nothing", "ONDOL1AAAA"):
        refused = client.post(f"{ALL}/look", json={"code": wrong})
        assert refused.status_code == 422 and refused.json()["error"]["param"] == "code"
    assert client.post(f"{ALL}/look", json={}).status_code == 422
    body = {"code": "ONDOL1X", "sources": ["s1"], "plan": PLAN.digest}
    away = client.post(ALL, json=body)
    assert away.json()["error"]["code"] == HomeUnreachableError.code
    assert asked == [("ONDOL1X", ["s1"], (), PLAN.digest)]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ALL), ("POST", ALL), ("DELETE", ONE), ("GET", f"{ONE}/preview")]
)
def test_federations_are_the_owners(method: str, path: str) -> None:
    caller = Caller(id="key:1", dialects=frozenset({"ondol"}))
    with pytest.raises(OutOfScopeError):
        scopes.check(caller, method, path)

"""``ondol home …`` as a person sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from homestead import Homestead, homestead
from two_processes import Place

from ondol.cli.qr import draw
from ondol.homes.invite import decode


@pytest.fixture
def nest(tmp_path: Path) -> Iterator[Homestead]:
    with homestead(tmp_path / "nest") as running:
        yield running


@pytest.fixture
def here(home: Path) -> Place:
    return Place(home)


def test_invite_is_text_json_or_the_code_alone(here: Place) -> None:
    said = here.run("home", "invite", "--name", "study", "--address", "home.lan:7000")
    assert said.returncode == 0
    assert "study" in said.stdout and "https://home.lan:7000" in said.stdout
    assert "ondol home join" in said.stderr and "No home is running" in said.stderr
    told = here.json("home", "invite", "--address", "192.168.0.10")
    assert told["url"] == "https://192.168.0.10:11436" and told["expires_in_seconds"] == 900
    invite = decode(told["code"])
    assert (invite.url, invite.fingerprint.hex()) == (told["url"], told["fingerprint"])
    alone = here.run("home", "invite", "--quiet")
    assert decode(alone.stdout.strip()).fingerprint == invite.fingerprint
    assert invite.secret.hex() not in json.dumps(told)


@pytest.mark.parametrize("address", ["not an address", "a/b", "user@host", "host:99999"])
def test_address_that_is_none_is_refused(here: Place, address: str) -> None:
    refused = here.run("home", "invite", "--address", address)
    assert refused.returncode == 2 and "no address" in refused.stderr


def test_device_joins_looks_and_leaves(here: Place, nest: Homestead) -> None:
    invite = nest.registry.invite(nest.url, nest.mine.fingerprint)
    joined = here.run("home", "join", invite.encode(), "--name", "laptop")
    assert joined.stdout == "This device is enrolled at nest as laptop.\n"
    status = here.run("home", "status")
    assert "nest" in status.stdout and "ready" in status.stdout and "bigger" in status.stdout
    (told,) = here.json("home", "status")["homes"]
    assert (told["name"], told["url"], told["available"]) == ("nest", nest.url, True)
    assert told["num_ctx"] == 8192
    assert here.run("home", "leave", "other").returncode == 2
    assert here.json("home", "leave") == {"left": "nest", "heard": True}
    assert nest.registry.devices() == []
    assert here.json("home", "status") == {"homes": []}
    assert "enrolled with no home" in here.run("home", "status").stderr
    kinds = [entry["kind"] for entry in here.entries("")]
    assert kinds[0] == "egress" and "enrolment" in kinds


def test_code_that_is_none_is_said(here: Place) -> None:
    refused = here.run("home", "join", "ONDOL1WRONG", "--json")
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["error"]["code"] == "invalid_request"


def test_owner_lists_and_revokes(here: Place, tmp_path: Path) -> None:
    assert "No device is enrolled" in here.run("home", "devices").stderr
    with homestead(here.folder / "data") as mine:
        code = here.json("home", "invite", "--name", "tablet", "--address", mine.url[8:])["code"]
        assert Place(tmp_path / "tablet").json("home", "join", code)["device"] == "tablet"
    assert "enrolled" in here.run("home", "devices").stdout
    assert here.run("home", "revoke", "phone").returncode == 2
    assert here.run("home", "revoke", "tablet").stdout == "tablet is let in no more.\n"
    (device,) = here.json("home", "devices")["devices"]
    assert device["name"] == "tablet" and device["revoked_at"]
    assert here.entries("revoked")[0]["device"] == f"key:{device['id']}"


def test_korean_is_spoken(here: Place) -> None:
    here.settings["ONDOL_LANGUAGE"] = "ko"
    assert "초대 코드가 아니거나" in here.run("home", "join", "nothing").stderr
    assert "집 서버" in here.run("home", "--help").stdout


def test_qr_code_is_square_and_has_room_around_it() -> None:
    lines = draw("ONDOL1ABCDEFGHIJKLMNOP234567").splitlines()
    assert len({len(line) for line in lines}) <= 2
    assert len(lines) > 10

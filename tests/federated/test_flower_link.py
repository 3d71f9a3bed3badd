"""Home's SuperLink and devices' SuperNodes as people have them: TLS, keys, rounds, accidents."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest

from ondol.errors import EgressError, FederationLinkError
from ondol.federated.flower import bundle, environment
from ondol.federated.flower.node_key import NodeKey
from ondol.federated.flower.relay import Relay
from ondol.federated.grid import Failure
from tests.federated.flower_house import FlowerHouse
from tests.federated.rounds import SIZE

ATTACKS = Path(__file__).with_name("flower_attacks.py")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlowerHouse]:
    with FlowerHouse(tmp_path_factory.mktemp("flower")) as built:
        yield built


def test_devices_answer_refuse_and_break_each_for_itself(house: FlowerHouse) -> None:
    one, two, three = house.household.nodes
    large = np.random.default_rng(0).bytes(700_001)
    heard = house.grid.ask("echo", {one: large, two: b"", three: b"abc", 5: b"x"}, 60)
    assert (heard[one], heard[two], heard[three]) == (large[::-1], b"", b"cba")
    assert heard[5] == Failure("gone", "not there")
    assert house.grid.ask("busy", {one: b""}, 60) == {
        one: Failure("round_refused", "Somebody works here.")
    }
    broken = house.grid.ask("broken", {one: b""}, 60)[one]
    assert isinstance(broken, Failure) and "night" not in broken.reason


def test_a_whole_federation_learns_over_the_link(house: FlowerHouse) -> None:
    records = house.household.coordinator(house.grid).run()
    assert [len(record.clients) for record in records] == [3, 3]
    assert all(learner.trained == [1, 2] for learner in house.household.learners)
    assert house.household.coordinator(house.grid).vector().shape == (SIZE,)


def test_what_left_is_written_down_with_its_bytes(house: FlowerHouse) -> None:
    before = len(house.passages)
    node = house.household.nodes[0]
    house.grid.ask("echo", {node: np.random.default_rng(1).bytes(300_000)}, 60)
    said = [one for one in house.passages[before:] if one.bytes_out > 8192 and not one.reason]
    assert 300_000 < sum(one.bytes_out for one in said) < 310_000
    assert {one.destination for one in house.passages} == {f"127.0.0.1:{house.link.port}"}
    assert {one.purpose for one in house.passages} == {"federation"}
    # Asking for messages fills no ledger.
    assert len([one for one in house.passages if one.reason == "standing"]) < 10


def test_a_device_that_is_killed_is_asked_again_when_it_is_back(house: FlowerHouse) -> None:
    node, device = house.household.nodes[1], house.devices[1]
    device.asked.clear()
    device.may_answer.clear()
    heard: dict[int, bytes | Failure] = {}
    asking = threading.Thread(
        target=lambda: heard.update(house.grid.ask("echo", {node: b"once"}, 90))
    )
    asking.start()
    house.wait_for(lambda: device.asked == ["echo"])
    house.kill("node_child", 1)
    device.may_answer.set()
    asking.join()
    assert heard == {node: b"ecno"}
    assert device.asked == ["echo", "echo"]


def test_a_link_that_is_killed_comes_back_where_it_was(house: FlowerHouse) -> None:
    port = house.link.port
    house.kill("link_child")
    house.wait_for(lambda: sorted(house.grid.nodes()) == sorted(house.household.nodes))
    assert house.link.port == port
    node = house.household.nodes[2]
    assert house.grid.ask("echo", {node: b"again"}, 60) == {node: b"niaga"}


def test_a_device_that_was_put_out_stays_out_until_it_is_let_in(house: FlowerHouse) -> None:
    node = house.household.nodes[0]
    house.link.dismiss(house.federation, node)
    house.wait_for(lambda: house.nodes[0].condition.state == "unknown_key")
    assert node not in house.grid.nodes()
    assert isinstance(house.grid.ask("echo", {node: b""}, 5)[node], Failure)
    # Another key than the one that home was told is no key.
    with pytest.raises(FederationLinkError):
        house.link.admit(house.federation, node, house.keys[1].public_key)
    other = NodeKey.of(house.household.identities[0], "another federation")
    house.link.admit(house.federation, node, other.public_key)
    assert sorted(house.grid.nodes()) == sorted(house.household.nodes[1:])
    house.link.admit(house.federation, node, house.keys[0].public_key)
    house.wait_for(lambda: len(house.grid.nodes()) == 3)


def test_a_home_that_runs_other_code_is_told_so(
    house: FlowerHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = house.household.nodes[2]
    house.devices[2].asked.clear()
    with monkeypatch.context() as patched:
        patched.setattr(bundle, "digest", lambda: "f" * 64)
        house.kill("node_child", 2)
        house.wait_for(lambda: house.nodes[2].condition.state != "connected")
        house.wait_for(lambda: house.nodes[2].condition.state == "connected")
        for _ in range(12):  # one that its killed process had already fetched is lost
            answered = house.grid.ask("echo", {node: b""}, 10)[node]
            if not isinstance(answered, Failure) or answered.code != "gone":
                break
    assert isinstance(answered, Failure) and answered.code == "other_version"
    assert house.nodes[2].condition.state == "other_version"
    assert house.devices[2].asked == []


def test_members_cannot_speak_for_others_nor_register_anybody(house: FlowerHouse) -> None:
    told = {
        "url": house.url,
        "key": house.keys[0].private_pem.decode(),
        "node": house.household.nodes[0],
        "other": house.household.nodes[1],
    }
    done = subprocess.run(
        [str(environment.python()), str(ATTACKS)],
        input=json.dumps(told),
        env=environment.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "seen": {
            "as_another": 403,
            "for_another": 401,
            "too_many_objects": 413,
            "register": 404,
            "get_fab": 404,
            "control": 404,
            "old_signature": 401,
        },
        "telemetry": "0",
    }


def test_strangers_are_sent_away_before_their_bodies_are_read(house: FlowerHouse) -> None:
    with httpx2.Client(verify=False) as client:  # what a stranger would do
        url = f"{house.url}/v1/fleet/pull-messages"
        good = {"flwr-public-key": _base64(house.keys[0].public_key)}
        assert client.get(f"{house.url}/docs").status_code == 404
        assert client.post(url, content=b"").status_code == 401
        assert client.post(url, headers={"flwr-public-key": "%"}).status_code == 401
        assert client.post(url, content=iter([b""]), headers=good).status_code == 411
        assert client.post(url, content=bytes(1 << 20), headers=good).status_code == 413


def test_another_certificate_is_nobody_we_speak_to(house: FlowerHouse) -> None:
    relay = Relay(house.egress, house.url, "0" * 64)
    head, body = relay.carry({"path": "/v1/fleet/pull-messages", "headers": []}, b"")
    assert (head["error"], body) == (EgressError.code, b"")
    assert house.passages[-1].reason == "certificate"
    assert not house.passages[-1].allowed
    relay.close()


@pytest.mark.parametrize("path", ["/v1/control/start-run", "/v1/fleet/get-fab", "/", ""])
def test_nothing_else_is_carried(house: FlowerHouse, path: str) -> None:
    relay = Relay(house.egress, house.url, house.fingerprint)
    before = len(house.passages)
    assert relay.carry({"path": path, "headers": []}, b"x") == ({"error": "not_ours"}, b"")
    relay.close()
    assert [one for one in house.passages[before:] if one.purpose == ""] == []


def test_a_device_that_leaves_is_gone_at_once(house: FlowerHouse) -> None:
    house.nodes[2].close()
    assert house.nodes[2].condition.state == "stopped"
    house.wait_for(lambda: len(house.grid.nodes()) == 2, seconds=20)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

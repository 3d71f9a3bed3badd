"""A home that coordinates federations: invites to them, who belongs to one, what members see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from homestead import Device, Homestead, device, homestead

from ondol.errors import (
    DeviceRefusedError,
    FederationNotFoundError,
    HomeRefusedError,
    InviteError,
    UsageError,
)
from ondol.federated.flower.node_key import NodeKey
from ondol.federated.plan import Plan
from ondol.home.federations import Coordination
from ondol.homes import enrolment
from ondol.homes.client import HomeClient
from ondol.homes.invite import decode

PLAN = Plan("", "", "tiny", "a" * 64, "b" * 64, "style")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homestead]:
    with homestead(tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture
def family(home: Homestead, request: pytest.FixtureRequest) -> Coordination:
    return home.registry.federations.create(request.node.name[:60], PLAN)


def invite(home: Homestead, one: Coordination) -> str:
    return home.registry.invite(home.url, home.mine.fingerprint, "", one.id).encode()


def client(there: Device) -> HomeClient:
    (joined,) = there.homes.enrolments.all()
    return HomeClient(joined, there.homes.identity, there.homes.egress)


def test_plan_names_its_federation_once(home: Homestead, family: Coordination) -> None:
    assert family.plan.federation == family.id
    assert family.plan.name == family.name
    assert home.registry.federations.get(family.id) == family
    with pytest.raises(UsageError):
        home.registry.federations.create(family.name, PLAN)
    with pytest.raises(UsageError):
        home.registry.federations.create(" ", PLAN)
    with pytest.raises(UsageError, match="delta"):
        home.registry.federations.create("senseless", replace(PLAN, delta=1.0))
    with pytest.raises(FederationNotFoundError):
        home.registry.federations.get("nobody")


def test_stranger_with_an_invite_sees_the_plan_and_uses_nothing_up(
    home: Homestead, family: Coordination, tmp_path: Path
) -> None:
    code = decode(invite(home, family))
    with device(tmp_path) as stranger:
        for _ in range(2):
            told = enrolment.look(stranger.homes, code)
            assert Plan.of(told["federation"]["plan"]).digest == family.plan.digest
        assert told["members"] == []
        enrolment.join(stranger.homes, code, "phone")
        (member,) = home.registry.federations.members(family.id)
        assert (member.name, member.is_in) == ("phone", True)
        assert member.member.public_key == stranger.homes.identity.public_key
        with pytest.raises(InviteError):
            enrolment.look(stranger.homes, code)


def test_invite_of_a_home_alone_says_nothing_of_federations(
    home: Homestead, tmp_path: Path
) -> None:
    made = home.registry.invite(home.url, home.mine.fingerprint)
    assert not decode(made.encode()).is_to_federation
    with device(tmp_path) as stranger, pytest.raises(InviteError):
        enrolment.look(stranger.homes, made)


def test_member_follows_rounds_until_it_leaves(
    home: Homestead, family: Coordination, tmp_path: Path
) -> None:
    federations = home.registry.federations
    with device(tmp_path) as phone:
        enrolment.join(phone.homes, decode(invite(home, family)), "phone")
        here, path = client(phone), f"/home/v1/federations/{family.id}"
        key = NodeKey.of(phone.homes.identity, family.id).public_key
        here.post(f"{path}/node", {"node_key": key}, timeout_seconds=10)
        (member,) = federations.members(family.id)
        assert member.node_key == key
        with pytest.raises(HomeRefusedError):
            here.post(f"{path}/node", {"node_key": "none"}, timeout_seconds=10)
        federations.begin(family.id, 4711)
        for number in (1, 2):
            federations.note(family.id, number, {"number": number, "epsilon": number / 2})
        told = here.get(f"{path}?after=1", timeout_seconds=10)
        assert told["federation"]["port"] == 4711
        assert told["federation"]["epsilon"] == 1.0
        assert [one["number"] for one in told["rounds"]] == [2]
        here.post(f"{path}/leave", {}, timeout_seconds=10)
        assert federations.roster(family.id) == []
        assert federations.members(family.id)[0].node_key is None
        with pytest.raises(DeviceRefusedError):
            here.get(path, timeout_seconds=10)


def test_two_members_cannot_have_one_node_key(
    home: Homestead, family: Coordination, tmp_path: Path
) -> None:
    path = f"/home/v1/federations/{family.id}/node"
    with device(tmp_path / "one") as one, device(tmp_path / "other") as other:
        for there in (one, other):
            enrolment.join(there.homes, decode(invite(home, family)))
        key = NodeKey.of(one.homes.identity, family.id).public_key
        for _ in range(2):
            client(one).post(path, {"node_key": key}, timeout_seconds=10)
        for same in (key, f" {key}", f"{key}#"):
            with pytest.raises(HomeRefusedError):
                client(other).post(path, {"node_key": same}, timeout_seconds=10)


def test_nobody_joins_what_has_begun(home: Homestead, family: Coordination, tmp_path: Path) -> None:
    code = decode(invite(home, family))
    home.registry.federations.begin(family.id, 1)
    with device(tmp_path) as late:
        with pytest.raises(HomeRefusedError):
            enrolment.join(late.homes, code)
        # The invite was not used up by that.
        assert enrolment.look(late.homes, code)["federation"]["state"] == "running"


def test_other_devices_hear_nothing(home: Homestead, family: Coordination, tmp_path: Path) -> None:
    with device(tmp_path) as neighbour:
        neighbour.join(home, "neighbour")
        here, path = client(neighbour), f"/home/v1/federations/{family.id}"
        for ask in (
            lambda: here.get(path, timeout_seconds=10),
            lambda: here.post(f"{path}/leave", {}, timeout_seconds=10),
            lambda: here.post(f"{path}/node", {"node_key": "ab" * 32}, timeout_seconds=10),
        ):
            with pytest.raises(DeviceRefusedError):
                ask()


def test_revoked_device_takes_part_no_more(
    home: Homestead, family: Coordination, tmp_path: Path
) -> None:
    with device(tmp_path) as lost:
        _, name = enrolment.join(lost.homes, decode(invite(home, family)), "lost phone")
    assert len(home.registry.federations.roster(family.id)) == 1
    number = home.registry.federations.safety_number(family)
    home.registry.revoke(name)
    assert home.registry.federations.roster(family.id) == []
    assert home.registry.federations.safety_number(family) != number
    home.registry.federations.remove(family.id)
    assert home.registry.federations.members(family.id) == []

"""Who comes in at home: signed, for this home, now, once. And what the registry knows of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from homestead import Clock

from ondol import database, rebuild
from ondol.errors import ClockError, DeviceRefusedError, InviteError, SignatureError, UsageError
from ondol.home import certificate
from ondol.home.admission import Gate, SeenNonces
from ondol.home.registry import Device, Registry
from ondol.home.serving import code_of, reachable_url
from ondol.homes.enrolled import Enrolments
from ondol.identity import Identity
from ondol.ledger.entries import Entry
from ondol.signatures import REQUIRED, Request, content_digest, sign

NOW = 1_800_000_000
MINE = b"m" * 32
URL = "https://home:11436/v1/chat/completions"
COVERED = (*REQUIRED, "ondol-home", "ondol-request")


@pytest.fixture
def clock() -> Clock:
    return Clock(lambda: float(NOW))


@pytest.fixture
def registry(tmp_path: Path, clock: Clock) -> Iterator[Registry]:
    with closing(database.connect(tmp_path / "home.db")) as connection:
        yield Registry(connection, now=clock)


@pytest.fixture
def identity() -> Identity:
    with closing(database.connect(database.IN_MEMORY)) as connection:
        return Identity.open(connection)


@pytest.fixture
def gate(registry: Registry, identity: Identity, clock: Clock) -> Gate:
    registry.enrol(registry.invite("https://home", MINE), identity.public_key, "laptop")
    return Gate(registry, MINE, SeenNonces(now=clock), 1000, NOW - 1000, clock)


def request(
    identity: Identity,
    *,
    created: int = NOW,
    nonce: str = "n",
    tag: str = "ondol-home",
    components: tuple[str, ...] = COVERED,
    **fields: str,
) -> Request:
    given = {
        "content-digest": content_digest(b"{}"),
        "ondol-home": MINE.hex(),
        "ondol-request": "0" * 32,
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    made = Request("POST", URL, given)
    added = sign(identity, made, created=created, nonce=nonce, tag=tag, components=components)
    return replace(made, fields={**given, **added})


def test_enrolled_device_comes_in(gate: Gate, identity: Identity) -> None:
    found, _ = gate.admit(request(identity))
    assert (found.name, found.id) == ("laptop", identity.device_id)


def test_request_comes_in_once(gate: Gate, identity: Identity) -> None:
    seen = request(identity)
    gate.admit(seen)
    with pytest.raises(SignatureError, match="seen before"):
        gate.admit(seen)
    gate.admit(request(identity, nonce="another"))


def test_old_request_cannot_come_again_when_its_nonce_is_forgotten(
    gate: Gate, identity: Identity, clock: Clock
) -> None:
    seen = request(identity)
    gate.admit(seen)
    clock.ahead_seconds = 62
    gate.nonces._until.clear()
    with pytest.raises(ClockError):
        gate.admit(seen)


def test_request_from_before_a_restart_does_not_come_in(
    gate: Gate, identity: Identity, clock: Clock
) -> None:
    seen = request(identity)
    gate.admit(seen)
    restarted = replace(gate, nonces=SeenNonces(now=clock), opened_at=NOW + 5)
    with pytest.raises(ClockError):
        restarted.admit(seen)


@pytest.mark.parametrize("created", [NOW - 61, NOW + 61, 0])
def test_request_of_another_time_is_refused(gate: Gate, identity: Identity, created: int) -> None:
    with pytest.raises(ClockError):
        gate.admit(request(identity, created=created))


@pytest.mark.parametrize(
    "change",
    [
        {"tag": "another"},
        {"ondol_home": "0" * 64},
        {"ondol_home": "ü"},
        {"ondol_request": "no id"},
        {"components": REQUIRED},
        {"components": (*REQUIRED, "ondol-request")},
        {"ondol_ledger": f"1:{'a' * 64}"},  # sent, but not signed
    ],
)
def test_request_that_is_not_signed_for_this_is_refused(
    gate: Gate, identity: Identity, change: dict[str, str]
) -> None:
    if change.get("ondol_home") == "ü":
        made = request(identity)
        made = replace(made, fields={**made.fields, "ondol-home": "ü"})
    else:
        made = request(identity, **change)  # type: ignore[arg-type]
    with pytest.raises(SignatureError):
        gate.admit(made)


def test_request_with_another_key_behind_the_name_is_refused(
    gate: Gate, identity: Identity
) -> None:
    with closing(database.connect(database.IN_MEMORY)) as connection:
        other = Identity.open(connection)
    with pytest.raises(DeviceRefusedError):
        gate.admit(request(other))
    other.device_id = identity.device_id
    with pytest.raises(SignatureError):
        gate.admit(request(other))


def test_revoked_device_is_refused(gate: Gate, registry: Registry, identity: Identity) -> None:
    registry.revoke("laptop")
    with pytest.raises(DeviceRefusedError):
        gate.admit(request(identity))
    with pytest.raises(UsageError, match="no device called phone"):
        registry.revoke("phone")


def test_memory_for_nonces_is_bounded_and_closes_when_full(
    identity: Identity, clock: Clock
) -> None:
    nonces = SeenNonces(now=clock, size=2)
    assert nonces.is_new("d", "1", NOW) and nonces.is_new("d", "2", NOW)
    assert not nonces.is_new("d", "3", NOW)
    clock.ahead_seconds = 120
    assert nonces.is_new("d", "3", NOW + 120)


def test_invite_takes_in_one_of_many_at_once(registry: Registry) -> None:
    invite = registry.invite("https://home", MINE)
    taken: list[str] = []
    refused: list[InviteError] = []

    def enrol(number: int) -> None:
        try:
            taken.append(registry.enrol(invite, bytes([number]) * 32, "d").name)
        except InviteError as error:
            refused.append(error)

    threads = [threading.Thread(target=enrol, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), len(refused)) == (1, 7)


def test_secret_of_an_invite_is_not_kept(registry: Registry, tmp_path: Path) -> None:
    invite = registry.invite("https://home", MINE)
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert invite.secret_hash in kept and invite.secret not in kept


def test_two_devices_of_one_name_are_told_apart(registry: Registry) -> None:
    names = [
        registry.enrol(registry.invite("https://home", MINE), bytes([n]) * 32, "laptop").name
        for n in range(3)
    ]
    assert names == ["laptop", "laptop-2", "laptop-3"]


def test_rebuilt_library_knows_its_homes_and_devices(tmp_path: Path) -> None:
    file = tmp_path / "ondol.db"
    with closing(database.connect(file)) as connection:
        Enrolments(connection).add("nest", "https://nest:1", MINE)
        registry = Registry(connection)
        for number, name in enumerate(("laptop", "phone")):
            registry.enrol(registry.invite("https://home", MINE), bytes([number]) * 32, name)
        registry.revoke("phone")
        key = Identity.open(connection).public_key
    rebuild.rebuild(file, force=True)
    with closing(database.connect(file)) as connection:
        assert [home.name for home in Enrolments(connection).all()] == ["nest"]
        devices = Registry(connection).devices()
        assert [(d.name, d.revoked_at is None) for d in devices] == [
            ("laptop", True),
            ("phone", False),
        ]
        assert Identity.open(connection).public_key == key


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ({"lo": "127.0.0.1", "docker0": "172.17.0.1", "eth0": "192.168.0.10"}, "192.168.0.10"),
        ({"eth0": "1.2.3.4", "wlan0": "10.0.0.3"}, "10.0.0.3"),
        ({"lo": "127.0.0.1", "eth0": "169.254.3.4", "down0": "10.0.0.9"}, "127.0.0.1"),
    ],
)
def test_invite_names_the_address_that_devices_can_reach(
    addresses: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    found = {
        name: [SimpleNamespace(family=socket.AF_INET, address=address)]
        for name, address in addresses.items()
    }
    up = {name: SimpleNamespace(isup=name != "down0") for name in addresses}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: found)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: up)
    assert reachable_url("0.0.0.0", 7) == f"https://{expected}:7"
    assert reachable_url("home.lan", 7) == "https://home.lan:7"
    assert reachable_url("::1", 7) == "https://[::1]:7"


@pytest.mark.parametrize("id", ["-8zvJkkhlm10tGviJqukkiN4lBO1QUKOJESR9BYnQbI", "_" * 43])
def test_every_device_has_a_name_in_the_ledger(id: str) -> None:
    device = Device(id, "laptop", b"", "", None, None, None, None)
    entry = Entry("served", device=code_of(device)).cleaned()
    assert entry.device == f"key:{id}"


def test_certificate_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    found: set[bytes] = set()
    threads = [
        threading.Thread(target=lambda: found.add(certificate.ensure(tmp_path).fingerprint))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["home.pem"]
    assert (tmp_path / "home.pem").stat().st_mode & 0o777 == 0o600

"""The phones' door, tried as an owner would and as an attacker would."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
import sys
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from house import House, scripted_house

from ondol import database, paths
from ondol.config import load
from ondol.errors import ConfigError
from ondol.server.door import authority, network
from ondol.server.door.pairing import (
    CODE_SECONDS,
    MAX_TRIES,
    Pairing,
    PairingBusyError,
    PairingError,
)
from ondol.server.door.phone import PhoneDoor, _FromPhones
from ondol.server.listening import PHONES

ENVIRON = {"ONDOL_PHONE_PORT": "0", "ONDOL_PHONE_ADDRESS": "127.0.0.1"}
KEY = "the owner's key"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with scripted_house(tmp_path, ENVIRON) as house:
        yield house


@pytest.fixture
def locked_house(tmp_path: Path) -> Iterator[House]:
    with scripted_house(tmp_path, {**ENVIRON, "ONDOL_API_KEY": KEY}) as house:
        yield house


def open_door(house: House, **headers: str) -> dict[str, Any]:
    with house.client(headers=headers) as client:
        assert client.patch("/ondol/v1/pairing", json={"open": True}).json() == {"open": True}
        return dict(client.get("/ondol/v1/pairing").json())


def phone(house: House, shown: dict[str, Any], key: str = "", **how: Any) -> httpx2.Client:
    """A phone that trusts the certificate it was given."""
    with house.client() as client:
        der = client.get("/ondol/v1/pairing/certificate").content
    trusting = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(der))
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx2.Client(
        base_url=shown["address"], verify=trusting, headers=headers, trust_env=False, **how
    )


def pair(house: House, shown: dict[str, Any], name: str = "My phone") -> tuple[str, dict[str, Any]]:
    with phone(house, shown) as client:
        told = client.post("/ondol/v1/pairing", json={"code": shown["code"], "name": name})
    assert told.status_code == 201, told.text
    return told.json()["key"], told.json()["device"]


def test_a_phone_gives_its_code_and_is_let_in(house: House) -> None:
    shown = open_door(house)
    assert shown["url"] == f"{shown['address']}/#/pair?code={shown['code']}"
    assert shown["qr_svg"].startswith("<?xml") and len(shown["fingerprint"]) == 95
    key, device = pair(house, shown)
    with phone(house, shown, key) as client:
        assert client.get("/ondol/v1/models").status_code == 200
        listed = client.get("/ondol/v1/pairing/devices").json()
    assert listed["this"] == device["id"] and listed["devices"][0]["name"] == "My phone"
    assert listed["devices"][0]["seen_at"]


@pytest.mark.parametrize(
    "path", ["/ondol/v1/models", "/api/tags", "/v1/models", "/openapi.json", "/ondol/v1/ledger"]
)
@pytest.mark.parametrize("key", ["", "ondol-device-guess", KEY, "Bearer"])
def test_without_a_key_nothing_is_told_to_the_network(house: House, path: str, key: str) -> None:
    shown = open_door(house)
    with phone(house, shown, key) as client:
        assert client.get(path).status_code == 401


def test_the_shell_and_the_certificate_need_no_key(house: House) -> None:
    shown = open_door(house)
    with phone(house, shown) as client:
        page = client.get("/", headers={"Accept": "text/html"})
        assert page.status_code == 200 and "text/html" in page.headers["content-type"]
        told = client.get("/ondol/v1/pairing/certificate")
    assert told.headers["content-type"] == "application/x-x509-ca-cert"


def test_a_phone_that_does_not_know_the_authority_does_not_trust_it(house: House) -> None:
    shown = open_door(house)
    with httpx2.Client(trust_env=False) as client, pytest.raises(httpx2.ConnectError):
        client.get(shown["address"])


def test_a_code_is_good_once(house: House) -> None:
    shown = open_door(house)
    pair(house, shown)
    with phone(house, shown) as client:
        again = client.post("/ondol/v1/pairing", json={"code": shown["code"]})
    assert again.status_code == 403 and again.json()["error"]["code"] == "pairing_refused"


def test_wrong_codes_are_counted_and_then_the_right_one_waits_too(house: House) -> None:
    shown = open_door(house)
    with phone(house, shown) as client:
        for _ in range(MAX_TRIES):
            told = client.post("/ondol/v1/pairing", json={"code": "AAAAA-AAAAA"})
            assert told.status_code == 403
        told = client.post("/ondol/v1/pairing", json={"code": shown["code"]})
    assert told.status_code == 429 and int(told.headers["retry-after"]) > 0


def test_a_revoked_phone_is_let_in_no_more_and_the_others_still_are(house: House) -> None:
    shown = open_door(house)
    key, device = pair(house, shown)
    other, _ = pair(house, open_door(house), "Another")
    with house.client() as client:
        assert client.delete(f"/ondol/v1/pairing/devices/{device['id']}").status_code == 200
        assert client.delete(f"/ondol/v1/pairing/devices/{device['id']}").status_code == 404
    with phone(house, shown, key) as client:
        assert client.get("/ondol/v1/models").status_code == 401
    with phone(house, shown, other) as client:
        assert client.get("/ondol/v1/models").status_code == 200


def test_a_phone_sees_and_removes_itself_only(house: House) -> None:
    shown = open_door(house)
    key, device = pair(house, shown)
    _, other = pair(house, open_door(house), "Another")
    with phone(house, shown, key) as client:
        listed = client.get("/ondol/v1/pairing/devices").json()["devices"]
        assert [one["id"] for one in listed] == [device["id"]]
        assert client.delete(f"/ondol/v1/pairing/devices/{other['id']}").status_code == 404
        assert client.delete(f"/ondol/v1/pairing/devices/{device['id']}").status_code == 200
        assert client.get("/ondol/v1/models").status_code == 401


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", {"open": False})])
def test_a_paired_phone_cannot_let_in_another_one(
    house: House, method: str, body: dict[str, bool] | None
) -> None:
    shown = open_door(house)
    key, _ = pair(house, shown)
    with phone(house, shown, key) as client:
        assert client.request(method, "/ondol/v1/pairing", json=body).status_code == 403
    # Nor by way of the first door, where the key is good too.
    with house.client(headers={"Authorization": f"Bearer {key}"}) as client:
        assert client.request(method, "/ondol/v1/pairing", json=body).status_code == 403


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("folders", {"path": "/etc", "watch": True}),
        ("documents", {"paths": ["/etc/hostname"], "stream": False}),
        ("hubs/publish/look", {"adapter": "smollm2:135m:style"}),
        ("pulls", {"model": "/etc/hostname"}),
        ("models/pull", {"model": " file:///etc/hostname", "stream": False}),
    ],
)
def test_a_phone_names_no_file_of_this_machine(
    house: House, path: str, body: dict[str, Any]
) -> None:
    shown = open_door(house)
    key, _ = pair(house, shown)
    with phone(house, shown, key) as client:
        assert client.post(f"/ondol/v1/{path}", json=body).status_code == 403
        sent = client.post("/ondol/v1/uploads?name=a.txt", content=b"A stove burns oak.")
        assert sent.status_code == 201
    with house.client(headers={"Authorization": f"Bearer {key}"}) as client:
        assert client.post(f"/ondol/v1/{path}", json=body).status_code == 403
    assert [str(one.source) for one in house.parts.library.documents()] == [sent.json()["source"]]


@pytest.mark.skipif(sys.platform == "darwin", reason="127.0.0.2 is not there")
def test_who_knocks_without_end_keeps_nobody_else_out(house: House) -> None:
    shown = open_door(house)
    port = int(shown["address"].rpartition(":")[2])
    with ExitStack() as stack:
        knocking = [
            stack.enter_context(
                socket.create_connection(("127.0.0.1", port), 10, source_address=("127.0.0.2", 0))
            )
            for _ in range(PHONES.most_of_one + 10)
        ]
        # They say nothing. Those that are one too many are hung up on.
        for one in knocking[PHONES.most_of_one :]:
            assert one.recv(1) == b""
        key, _ = pair(house, shown)
        for one in knocking:
            one.close()
    with phone(house, shown, key) as client:
        assert client.get("/ondol/v1/models").status_code == 200


def test_who_has_no_key_sends_no_large_body(house: House) -> None:
    shown = open_door(house)
    with phone(house, shown) as client:
        large = {"code": "x" * (2 * 1024 * 1024)}
        assert client.post("/ondol/v1/pairing", json=large).status_code == 413
    # The code is still good.
    pair(house, shown)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost:3000"},
        {"Origin": "app://obsidian.md"},
        {"Origin": "https://evil.example"},
        {"Host": "box.tailnet.ts.net"},
        {"Host": "evil.example"},
        # Where a foreign page sends its visitor's browser, there is no Origin.
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
    ],
)
def test_pages_and_proxies_see_no_code(tmp_path: Path, headers: dict[str, str]) -> None:
    environ = {**ENVIRON, "ONDOL_HOSTS": "box.tailnet.ts.net"}
    with scripted_house(tmp_path, environ) as house, house.client() as client:
        client.patch("/ondol/v1/pairing", json={"open": True})
        told = client.get("/ondol/v1/pairing", headers=headers)
        assert told.status_code == 403 and "code" not in told.json()


@pytest.mark.parametrize("host", ["evil.example", "192.168.7.7", "phone.evil.example"])
def test_a_foreign_host_is_refused_at_the_phones_door(house: House, host: str) -> None:
    shown = open_door(house)
    key, _ = pair(house, shown)
    with phone(house, shown, key) as client:
        assert client.get("/ondol/v1/models", headers={"Host": host}).status_code == 403


def test_a_foreign_page_is_refused_at_the_phones_door(house: House) -> None:
    shown = open_door(house)
    key, _ = pair(house, shown)
    with phone(house, shown, key) as client:
        own = {"Origin": shown["address"]}
        assert client.get("/ondol/v1/models", headers=own).status_code == 200
        foreign = {"Origin": "https://evil.example"}
        assert client.get("/ondol/v1/models", headers=foreign).status_code == 403


def test_plain_http_and_old_tls_are_not_spoken(house: House) -> None:
    shown = open_door(house)
    with httpx2.Client(trust_env=False) as client:
        plain = client.get(shown["address"].replace("https", "http"))
        assert plain.status_code == 400 and "https" in plain.text
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with httpx2.Client(verify=old, trust_env=False) as client, pytest.raises(httpx2.ConnectError):
        client.get(shown["address"])


def test_a_closed_door_takes_no_code_and_no_connection(house: House) -> None:
    shown = open_door(house)
    with house.client() as client:
        client.patch("/ondol/v1/pairing", json={"open": False})
        assert client.get("/ondol/v1/pairing").json() == {"open": False}
        told = client.post("/ondol/v1/pairing", json={"code": shown["code"]})
        assert told.status_code == 409
    with httpx2.Client(verify=False, trust_env=False) as client:
        with pytest.raises(httpx2.ConnectError):
            client.get(shown["address"])
    again = open_door(house)
    key, _ = pair(house, again)
    with phone(house, again, key) as client:
        assert client.get("/ondol/v1/models").status_code == 200


def test_the_certificate_is_asked_for_in_vain_while_no_phone_may_come_in(house: House) -> None:
    with house.client() as client:
        assert client.get("/ondol/v1/pairing/certificate").status_code == 409


def test_the_servers_own_key_opens_both_doors_and_shows_codes_here(locked_house: House) -> None:
    with locked_house.client() as client:
        assert client.get("/ondol/v1/pairing").status_code == 401
    bearer = {"Authorization": f"Bearer {KEY}"}
    shown = open_door(locked_house, **bearer)
    with phone(locked_house, shown, KEY) as client:
        assert client.get("/ondol/v1/models").status_code == 200
        assert client.get("/ondol/v1/pairing").status_code == 403
    key, _ = pair(locked_house, shown)
    with locked_house.client(headers={"Authorization": f"Bearer {key}"}) as client:
        assert client.get("/ondol/v1/models").status_code == 200


def test_no_key_is_kept_and_the_private_keys_are_the_owners_only(house: House) -> None:
    key, _ = pair(house, open_door(house))
    kept = b"".join(file.read_bytes() for file in paths.data_dir().glob("ondol.db*"))
    assert key.encode() not in kept and b"My phone" in kept
    for name in (authority.AUTHORITY_NAME, authority.CERTIFICATE_NAME):
        mode = stat.S_IMODE(os.stat(paths.data_dir() / name).st_mode)
        assert mode == 0o600


# The certificate authority


def test_the_certificate_stays_and_is_made_anew_for_another_address(tmp_path: Path) -> None:
    first = authority.issue(tmp_path, ["192.168.0.10", "box.local"])
    before = first.file.read_bytes()
    assert authority.issue(tmp_path, ["192.168.0.10", "box.local"]).file.read_bytes() == before
    moved = authority.issue(tmp_path, ["10.0.0.7"])
    assert moved.file.read_bytes() != before
    assert moved.authority == first.authority, "a phone would have to trust a new one"


@pytest.mark.parametrize(
    "name", ["example.com", "8.8.8.8", "2001:4860:4860::8888", "local.evil.com", "com", ""]
)
def test_it_vouches_for_nothing_of_the_internet(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no certificate"):
        authority.issue(tmp_path, [name])


def test_a_phone_takes_no_certificate_of_its_for_a_website(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stole the key could sign one; the constraints in the authority make it worthless."""
    monkeypatch.setattr(authority, "may_vouch_for", lambda name: True)
    issued = authority.issue(tmp_path, ["bank.example", "203.0.113.9"])
    trusting = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(issued.authority))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(issued.file)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        shake_hands(trusting, serving, "bank.example")


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname=name)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (one, other):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


def test_hands_are_shaken_where_the_name_is_right(tmp_path: Path) -> None:
    issued = authority.issue(tmp_path, ["box.local"])
    trusting = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(issued.authority))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(issued.file)
    shake_hands(trusting, serving, "box.local")


# The codes


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pairing(clock: Clock) -> Iterator[Pairing]:
    made = Pairing(lambda: database.connect(database.IN_MEMORY), now=clock)
    yield made
    made.close()


def test_a_code_expires(pairing: Pairing, clock: Clock) -> None:
    code, _ = pairing.new_code()
    clock.now += CODE_SECONDS + 1
    with pytest.raises(PairingError):
        pairing.pair(code, "late")


def test_a_code_may_be_typed_with_small_letters_and_spaces(pairing: Pairing) -> None:
    code, _ = pairing.new_code()
    key, device = pairing.pair(f" {code.lower().replace('-', ' ')} ", " My\nphone\x1b[2J ")
    assert device.name == "My phone[2J"
    assert pairing.admits(f"Bearer {key}") == device.id


def test_wrong_codes_are_forgotten_after_a_minute(pairing: Pairing, clock: Clock) -> None:
    code, _ = pairing.new_code()
    for _ in range(MAX_TRIES):
        with pytest.raises(PairingError):
            pairing.pair("wrong", "guesser")
    with pytest.raises(PairingBusyError):
        pairing.pair(code, "owner")
    clock.now += 61
    assert pairing.pair(code, "owner")


def test_who_guesses_keeps_nobody_else_from_pairing(pairing: Pairing) -> None:
    code, _ = pairing.new_code()
    for _ in range(MAX_TRIES):
        with pytest.raises(PairingError):
            pairing.pair("wrong", "guesser", "192.168.1.66")
    with pytest.raises(PairingBusyError):
        pairing.pair(code, "guesser", "192.168.1.66")
    assert pairing.pair(code, "owner", "192.168.1.20")


def test_a_phone_lets_nothing_travel_further(house: House) -> None:
    shown = open_door(house)
    key, _ = pair(house, shown)
    with house.client() as client:
        client.post("/ondol/v1/collections", json={"name": "papers", "sensitivity": "private"})
    headers = {"Authorization": f"Bearer {key}"}
    with house.client(headers=headers) as client:
        loosened = client.patch("/ondol/v1/collections/papers", json={"sensitivity": "public"})
        assert loosened.status_code == 403
        made = client.post("/ondol/v1/collections", json={"name": "own", "sensitivity": "trusted"})
        assert made.status_code == 201
        # What goes less far it may decide.
        tightened = client.patch("/ondol/v1/collections/own", json={"sensitivity": "private"})
        assert tightened.status_code == 200
        folder = str(house.parts.config.models_dir)
        limit = {"path": folder, "sensitivity": "private"}
        assert client.post("/ondol/v1/limits", json=limit).status_code == 200
        freed = client.post("/ondol/v1/limits", json=limit | {"sensitivity": "public"})
        assert freed.status_code == 403
    with house.client() as client:
        assert client.post("/ondol/v1/limits", json=limit | {"sensitivity": "public"}).is_success
        listed = client.get("/ondol/v1/collections").json()["collections"]
    assert {one["name"]: one["sensitivity"] for one in listed}["papers"] == "private"


def test_only_the_newest_codes_stay_open(pairing: Pairing) -> None:
    codes = [pairing.new_code()[0] for _ in range(9)]
    with pytest.raises(PairingError):
        pairing.pair(codes[0], "first")
    assert pairing.pair(codes[-1], "last")


@pytest.mark.parametrize("said", ["", "Bearer", "Bearer x", "Basic KEY", "KEY", "bearer  KEY "])
def test_only_a_bearer_key_is_a_key(pairing: Pairing, said: str) -> None:
    key, device = pairing.pair(pairing.new_code()[0], "phone")
    expected = device.id if said == "bearer  KEY " else None
    assert pairing.admits(said.replace("KEY", key)) == expected


# The door


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """In a thread of its own: a browser test before this one has a loop in ours."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@pytest.mark.parametrize(
    ("client", "is_let_in"),
    [
        ("192.168.0.7", True),
        ("100.100.1.2", True),
        ("fe80::1", True),
        ("8.8.8.8", False),
        ("2001:4860:4860::8888", False),
        ("", False),
    ],
)
def test_who_comes_from_the_internet_is_turned_away(client: str, is_let_in: bool) -> None:
    reached: list[str] = []
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/", "client": (client, 1) if client else None}
    run(_FromPhones(app)(scope, None, send))  # type: ignore[arg-type]
    assert bool(reached) is is_let_in
    assert [message.get("status") for message in sent] == ([] if is_let_in else [403, None])


def test_another_network_gets_a_certificate_for_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def names() -> list[str]:
        assert door.issued and door.place
        trusting = ssl.create_default_context(
            cadata=ssl.DER_cert_to_PEM_cert(door.issued.authority)
        )
        address = "127.0.0.1"
        _, writer = await asyncio.open_connection(address, door.place.port, ssl=trusting)
        found = writer.get_extra_info("peercert")["subjectAltName"]
        writer.transport.abort()
        return [name for _, name in found]

    async def move() -> tuple[list[str], list[str]]:
        await door.open(app)
        before = await names()
        monkeypatch.setattr(network, "addresses", lambda: ["10.9.8.7"])
        await door.refresh()
        after = await names()
        await door.close()
        return before, after

    monkeypatch.setattr(network, "addresses", lambda: ["192.168.3.4"])
    door = PhoneDoor(load(environ=ENVIRON))
    before, after = run(move())
    assert "192.168.3.4" in before and "10.9.8.7" not in before
    assert "10.9.8.7" in after and "192.168.3.4" not in after


def test_without_a_network_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "addresses", lambda: ["203.0.113.5"])
    with scripted_house(tmp_path, {"ONDOL_PHONE_PORT": "0"}) as house, house.client() as client:
        told = client.patch("/ondol/v1/pairing", json={"open": True})
        assert told.status_code == 422 and "no address" in told.json()["error"]["message"]
        assert client.get("/ondol/v1/pairing").json() == {"open": False}


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = other.getsockname()[1]
        environ = {**ENVIRON, "ONDOL_PHONE_PORT": str(port)}
        with scripted_house(tmp_path, environ) as house, house.client() as client:
            told = client.patch("/ondol/v1/pairing", json={"open": True})
    assert told.status_code == 500 and str(port) in told.json()["error"]["message"]

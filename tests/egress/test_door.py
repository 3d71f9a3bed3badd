"""What may leave, for what, and to whom; every request is one passage, and what is refused is not
at the server, not one byte of it.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from listener import OK, Listener, certificate, listening

from ondol.egress import PURPOSES, Egress, Passage
from ondol.errors import EgressError, LockedError
from ondol.types import Sensitivity

PRIVATE, TRUSTED, PUBLIC = Sensitivity


@pytest.fixture
def told() -> list[Passage]:
    return []


@pytest.fixture
def egress(told: list[Passage]) -> Egress:
    return Egress(record=told.append)


def outward(told: list[Passage]) -> list[Passage]:
    """Those of what was to leave, without those of what came back."""
    return [passage for passage in told if passage.about is None]


def redirect(url: str, status: int = 302) -> bytes:
    head = f"HTTP/1.1 {status} Moved\r\nLocation: {url}\r\nContent-Length: 0\r\nConnection: close"
    return f"{head}\r\n\r\n".encode()


def test_passage_has_every_byte_of_the_request_and_the_answer(
    egress: Egress, told: list[Passage]
) -> None:
    with listening() as server:
        with egress.client(server.url, "home", sensitivity=TRUSTED) as client:
            said = client.post(f"{server.url}/a?b=c", content=b"question", headers={"X-A": "1"})
        assert said.text == "ok"
        (received,) = server.received
    there = f"127.0.0.1:{server.port}"
    out, back = told
    assert out == Passage("home", there, TRUSTED, len(received), 0, True)
    assert (back.destination, back.bytes_out, back.bytes_in) == (there, 0, len(OK))
    assert (back.about, back.count) == ("", 1)


@given(
    purpose=st.sampled_from([*PURPOSES, "analytics", ""]),
    declared=st.sampled_from(Sensitivity),
    seen=st.sampled_from(Sensitivity),
)
def test_no_label_below_the_purpose_and_never_a_private_one_passes(
    purpose: str, declared: Sensitivity, seen: Sensitivity
) -> None:
    told: list[Passage] = []
    egress = Egress(record=told.append, inspector=lambda sent: seen)
    url = "https://somewhere.example/x"
    egress.declare(purpose, url)
    label = egress.inspect(b"x", declared)
    passes = purpose in PURPOSES and label >= PURPOSES[purpose].least and label > PRIVATE
    if passes:
        egress.check(url, purpose, sensitivity=label)
        assert told == []
    else:
        with pytest.raises(EgressError):
            egress.check(url, purpose, sensitivity=label)
        assert [(p.allowed, p.bytes_out) for p in told] == [(False, 0)]


@pytest.mark.parametrize("purpose", ["home", "remote-model", "vectors"])
def test_destination_that_nobody_declared_is_refused(
    egress: Egress, told: list[Passage], purpose: str
) -> None:
    egress.declare(purpose, "https://mine.example:8443/v1")
    egress.check("https://mine.example:8443/other", purpose, sensitivity=TRUSTED)
    for url in ("https://mine.example/", "https://mine.example.evil.example:8443/"):
        with pytest.raises(EgressError, match="no setting and no enrolment"):
            egress.check(url, purpose, sensitivity=TRUSTED)
    assert [p.reason for p in told] == ["undeclared_destination"] * 2


def test_home_needs_tls_beyond_this_machine(egress: Egress, told: list[Passage]) -> None:
    egress.declare("home", "http://192.168.0.9:1")
    with pytest.raises(EgressError, match="https"):
        egress.check("http://192.168.0.9:1", "home", sensitivity=TRUSTED)
    assert told[0].reason == "no_tls"


@pytest.mark.parametrize(
    ("url", "headers", "body"),
    [
        ("/?q=SECRET", {}, b""),
        ("/SECRET", {}, b""),
        ("/", {"X-Note": "SECRET"}, b""),
        ("/", {"User-Agent": "SECRET"}, b""),
        ("/", {"Accept-Language": "SECRET"}, b""),
        ("/", {"Authorization": "Bearer SECRET"}, b""),
        ("/", {"Signature": "SECRET"}, b""),
        ("/", {"Content-Digest": "sha-256=:SECRET:"}, b""),
        ("/", {"Host": "SECRET.example"}, b""),
        ("/", {}, b"x SECRET x"),
    ],
)
def test_inspector_sees_whatever_would_leave(
    egress: Egress, told: list[Passage], url: str, headers: dict[str, str], body: bytes
) -> None:
    egress.inspector = lambda sent: PRIVATE if b"SECRET" in sent else PUBLIC
    with (
        listening() as server,
        egress.client(server.url, "home", sensitivity=TRUSTED) as client,
    ):
        with pytest.raises(EgressError, match="holds private text"):
            client.post(server.url + url, headers=headers, content=body)
        assert server.received == []
    assert [(p.reason, p.sensitivity, p.bytes_out) for p in told] == [("seen", PRIVATE, 0)]


def test_inspector_is_not_shown_what_belongs_to_the_protocol(egress: Egress) -> None:
    seen: list[bytes] = []
    egress.inspector = lambda sent: seen.append(sent) or PUBLIC  # type: ignore[func-returns-value]
    signature = f"sig=:{'A' * 86}==:"
    with (
        listening() as server,
        egress.client(
            server.url, "home", sensitivity=TRUSTED, headers={"Authorization": "Bearer own-key"}
        ) as client,
    ):
        client.post(f"{server.url}/p", content=b"body", headers={"Signature": signature})
        assert b"own-key" in server.received[0]
    assert b"own-key" not in seen[0]
    assert signature.encode() not in seen[0]
    assert seen[0].startswith(f"POST {server.url}/p\r\n".encode())
    assert seen[0].endswith(b"\r\n\r\nbody")


def test_vectors_are_numbers_and_a_text_among_them_is_seen(
    egress: Egress, told: list[Passage]
) -> None:
    seen: list[bytes] = []
    egress.inspector = lambda sent: seen.append(sent) or (PRIVATE if b"SECRET" in sent else PUBLIC)  # type: ignore[func-returns-value]
    egress.is_inside = lambda origin, purpose: False  # type: ignore[method-assign]
    vector = [0.0821, -1.5e-05, 0.9101] * 100
    with listening() as server, egress.client(server.url, "vectors", sensitivity=TRUSTED) as client:
        client.put(server.url, json={"points": [{"id": 1, "vector": vector}]})
        assert b"0.0821" in server.received[0]
        assert b"0.0821" not in seen[0]
        with pytest.raises(EgressError, match="private text"):
            client.put(server.url, json={"points": [{"vector": vector, "payload": "SECRET"}]})
    assert [p.reason for p in outward(told)] == ["", "seen"]


def test_inspector_that_fails_lets_nothing_out(egress: Egress, told: list[Passage]) -> None:
    def broken(sent: bytes) -> Sensitivity:
        raise RuntimeError

    def locked(sent: bytes) -> Sensitivity:
        raise LockedError("The library is locked.")

    with listening() as server, egress.client(server.url, "home", sensitivity=TRUSTED) as client:
        egress.inspector = broken
        with pytest.raises(EgressError):
            client.get(server.url)
        egress.inspector = locked
        with pytest.raises(LockedError):
            client.get(server.url)
        assert server.received == []
    assert [p.reason for p in told] == ["seen"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_another_server_never_gets_a_body(egress: Egress, told: list[Passage], status: int) -> None:
    with listening() as other, listening(redirect(other.url, status)) as server:
        with egress.client(server.url, "home", sensitivity=TRUSTED) as client:
            with pytest.raises(EgressError, match="send us on"):
                client.post(server.url, content=b"question")
        assert other.received == []
    assert [(p.allowed, p.reason) for p in outward(told)] == [(True, ""), (False, "redirect")]


def test_download_follows_without_what_was_for_the_first_server(egress: Egress) -> None:
    with listening() as other, listening(redirect(f"{other.url}/file")) as server:
        headers = {"Authorization": "Bearer key", "X-Api-Key": "key", "Range": "bytes=5-"}
        with egress.client(server.url, "download", headers=headers) as client:
            client.cookies.set("session", "key")
            assert client.get(server.url).text == "ok"
        (received,) = other.received
    assert b"key" not in received
    assert b"Range: bytes=5-" in received


def test_download_goes_nowhere_that_no_server_named(egress: Egress, told: list[Passage]) -> None:
    with listening() as other, listening() as server:
        with egress.client(server.url, "download") as client:
            with pytest.raises(EgressError, match="send us on"):
                client.get(f"{other.url}/?q=anything")
        assert other.received == []
    assert [p.reason for p in told] == ["redirect"]


@pytest.mark.parametrize("target", ["http://203.0.113.9/x", "ftp://203.0.113.9/x"])
def test_download_is_not_led_away_from_tls(egress: Egress, target: str) -> None:
    with (
        listening(redirect(target)) as server,
        egress.client(server.url, "download") as client,
        pytest.raises((EgressError, httpx2.UnsupportedProtocol)),
    ):
        client.get(server.url)


def test_no_cookie_is_kept(egress: Egress) -> None:
    answer = OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: track=1; Path=/\r\n\r\n")
    with listening(answer) as server:
        with egress.client(server.url, "home", sensitivity=TRUSTED) as client:
            client.get(server.url)
            client.get(server.url, headers={"Cookie": "mine=1"})
        assert not [r for r in server.received if b"ookie" in r]
        assert len(server.received) == 2


def test_proxies_of_the_environment_are_not_used(
    egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening() as proxy, listening() as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with egress.client(server.url, "home", sensitivity=TRUSTED) as client:
            assert client.get(server.url).text == "ok"
        assert proxy.received == []


class Names:
    """Name service of the test: each name's answers in turn, the last one for good."""

    def __init__(self, answers: dict[str, list[str]]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.real = socket.getaddrinfo

    def __call__(self, host: str, port: int, *more: Any, **named: Any) -> Any:
        if host not in self.answers:
            return self.real(host, port, *more, **named)
        self.asked.append(host)
        found = self.answers[host]
        address = found.pop(0) if len(found) > 1 else found[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


def test_name_is_asked_once_and_what_was_checked_is_connected_to(
    egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names({"models.example": ["127.0.0.1", "203.0.113.9"]})
    monkeypatch.setattr(socket, "getaddrinfo", names)
    with listening() as server:
        url = f"http://models.example:{server.port}/v1"
        egress.declare("remote-model", url)
        with egress.client(url, "remote-model", sensitivity=TRUSTED) as client:
            assert [client.get(url).text for _ in range(3)] == ["ok"] * 3
        assert len(server.received) == 3
    assert names.asked == ["models.example"]


def test_public_name_for_a_private_address_is_no_download(
    egress: Egress, told: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names({"cdn.example": ["127.0.0.1"]}))
    with listening() as server:
        url = f"http://cdn.example:{server.port}/model.gguf"
        with egress.client(url, "download") as client:
            with pytest.raises(EgressError, match="private network"):
                client.get(url)
        assert server.received == []
    assert [p.reason for p in told] == ["private_address"]


def test_name_of_the_local_network_may_be_a_mirror(
    egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names({"mirror.lan": ["127.0.0.1"]}))
    with listening() as server:
        url = f"http://mirror.lan:{server.port}/model.gguf"
        with egress.client(url, "download") as client:
            assert client.get(url).text == "ok"


def test_pinned_certificate_is_the_only_one(
    egress: Egress, told: list[Passage], tmp_path: Path
) -> None:
    tls, fingerprint = certificate(tmp_path)
    other, _ = certificate(tmp_path)
    written = ":".join(fingerprint[i : i + 2] for i in range(0, 64, 2)).upper()
    for pinned in (fingerprint, written):
        with listening(tls=tls) as home:
            url = f"https://127.0.0.1:{home.port}/ask"
            with egress.client(url, "home", sensitivity=TRUSTED, pinned=pinned) as client:
                assert client.post(url, content=b"question").text == "ok"
    with listening(tls=other) as liar:
        url = f"https://127.0.0.1:{liar.port}/ask"
        with egress.client(url, "home", sensitivity=TRUSTED, pinned=fingerprint) as client:
            with pytest.raises(EgressError, match="certificate"):
                client.post(url, content=b"question")
        assert b"".join(liar.received) == b""
    assert [(p.allowed, p.reason) for p in told][-1] == (False, "certificate")


def test_certificate_of_nobody_known_is_refused(
    egress: Egress, told: list[Passage], tmp_path: Path
) -> None:
    tls, _ = certificate(tmp_path)
    with listening(tls=tls) as server:
        url = f"https://localhost:{server.port}/"
        with egress.client(url, "home", sensitivity=TRUSTED) as client:
            with pytest.raises(EgressError, match="certificate"):
                client.post(url, content=b"question")
        assert b"".join(server.received) == b""
    assert told[-1].reason == "certificate"


def test_pin_without_tls_is_refused(egress: Egress) -> None:
    with pytest.raises(EgressError, match="https"):
        egress.check("http://127.0.0.1:9", "home", sensitivity=TRUSTED, pinned="ab" * 32)


def test_server_that_is_not_there_is_a_passage_of_no_bytes(
    egress: Egress, told: list[Passage]
) -> None:
    with listening() as gone:
        pass
    with egress.client(gone.url, "home", sensitivity=TRUSTED) as client:
        with pytest.raises(httpx2.ConnectError):
            client.post(gone.url, content=b"question")
    assert told == [Passage("home", told[0].destination, TRUSTED, 0, 0, True, "failed")]


def test_answer_that_breaks_off_counts_what_came(egress: Egress, told: list[Passage]) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    with listening(answer) as server, egress.client(server.url, "home", sensitivity=TRUSTED) as c:
        with pytest.raises(httpx2.RemoteProtocolError), c.stream("GET", server.url) as response:
            response.read()
    assert [p.bytes_in for p in told] == [0, len(answer)]


def test_program_that_is_let_out_is_a_passage(egress: Egress, told: list[Passage]) -> None:
    egress.let_out("https://mirror.example/simple", "download", "pip")
    assert [(p.destination, p.allowed, p.reason) for p in told] == [
        ("mirror.example:443", True, "program:pip")
    ]


def test_what_stays_on_this_machine_is_no_passage(egress: Egress, told: list[Passage]) -> None:
    with listening() as server:
        for purpose in ("remote-model", "vectors", "download"):
            with egress.client(server.url, purpose, sensitivity=PRIVATE) as client:
                client.post(server.url, content=b"private")
        assert len(server.received) == 3
    assert told == []


def test_home_is_another_machine_even_on_loopback(
    egress: Egress, told: list[Passage], listener: Listener
) -> None:
    with pytest.raises(EgressError, match="private"):
        with egress.client(listener.url, "home", sensitivity=PRIVATE) as client:
            client.post(listener.url, content=b"private")
    assert listener.received == []
    assert told[0].reason == "label"


@pytest.fixture
def listener() -> Any:
    with listening() as server:
        yield server

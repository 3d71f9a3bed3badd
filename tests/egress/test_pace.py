"""Servers that keep us waiting byte by byte, and purposes that only read."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx2
import pytest
from listener import OK, listening

from ondol.egress import Egress, Passage
from ondol.egress.connections import Pace, TooSlowError
from ondol.egress.wire import as_seen
from ondol.errors import EgressError
from ondol.routing.inspection import Inspector
from ondol.types import Sensitivity

HURRIED = Pace(grace_seconds=0.3, least_bytes_per_second=1000)


@contextmanager
def trickling(head: bytes) -> Iterator[str]:
    """A server that sends ``head`` at once and then a byte every few milliseconds, without end."""
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def talk() -> None:
        with suppress(OSError):
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(head)
                while not over.wait(0.01):
                    connection.sendall(b"a")

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        over.set()
        server.close()
        thread.join(10)


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nX-Endless: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"],
    ids=["header", "body"],
)
def test_who_sends_a_byte_before_each_timeout_is_left(head: bytes) -> None:
    with trickling(head) as url, Egress().client(url, "hub", pace=HURRIED) as client:
        with pytest.raises(TooSlowError):
            client.get(url)


def test_who_is_fast_enough_is_heard() -> None:
    with listening() as server:
        with Egress().client(server.url, "hub", pace=HURRIED) as client:
            assert client.get(server.url).text == "ok"


@pytest.mark.parametrize(("method", "body"), [("POST", b""), ("PUT", b""), ("GET", b"words")])
def test_where_only_reading_is_meant_nothing_is_sent(method: str, body: bytes) -> None:
    told: list[Passage] = []
    with listening(OK) as server, Egress(record=told.append).client(server.url, "hub") as client:
        with pytest.raises(EgressError, match="sends nothing"):
            client.request(method, server.url, content=body)
    assert server.received == []
    assert [(one.allowed, one.reason) for one in told] == [(False, "not_read_only")]


def test_a_hub_is_asked_only_where_the_owner_added_it() -> None:
    egress = Egress()
    with pytest.raises(EgressError, match="no setting and no enrolment"):
        egress.check("https://hub.example.org/metadata/1.root.json", "hub")
    egress.declare("hub", "https://hub.example.org")
    egress.check("https://hub.example.org/metadata/1.root.json", "hub")


def test_a_hub_sends_nobody_on_to_another_server() -> None:
    with listening() as other:
        moved = f"HTTP/1.1 302 Found\r\nLocation: {other.url}/x\r\nContent-Length: 0\r\n\r\n"
        with listening(moved.encode()) as server, Egress().client(server.url, "hub") as client:
            with pytest.raises(EgressError, match="tried to send us on"):
                client.get(server.url)
    assert other.received == []


def test_a_digest_in_an_address_is_no_number_of_anybodys() -> None:
    phone = "d6a4031733610bb080d0bfa794fcc9dbdcff74834aeaab7c6b927e21e9754037"
    address = f"https://hub.example.org/deltas/{phone}-{phone[::-1]}.delta1"
    request = httpx2.Request("GET", address)
    seen = as_seen(request, b"", (), names_digests=True)
    assert b"0317336" not in seen and b"/deltas/digest-digest.delta1" in seen
    assert b"0317336" in as_seen(request, b"", ())
    commit = f"/o/r/resolve/{phone[:40]}/config.json"
    upstream = httpx2.Request("GET", f"https://hub.example.org{commit}")
    assert b"0317336" not in as_seen(upstream, b"", (), names_digests=True)
    longer = httpx2.Request("GET", f"https://hub.example.org/{phone}4111111111111111")
    assert b"4111111111111111" in as_seen(longer, b"", (), names_digests=True)


def test_text_that_is_written_like_a_digest_is_looked_at() -> None:
    secret = b"my card: 4111 1111 1111 1111 ok?".hex()
    request = httpx2.Request("GET", f"https://hub.example.org/blobs/sha256-{secret}")
    look = Inspector(lambda text: False)
    assert look(as_seen(request, b"", (), names_digests=True)) is Sensitivity.PRIVATE

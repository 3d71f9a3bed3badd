"""Clients that trickle, flood or never end what they began, on the wire."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from house import CHAT, GatedEngine, House
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ondol.server.door import patience, sizes
from ondol.server.listening import Crowd, listen


@contextmanager
def wire(house: House) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", house.port), timeout=20) as connection:
        yield connection


def rest(connection: socket.socket) -> bytes:
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionError:
        pass
    return found


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(patience, "BODY_SECONDS", 0.4)
    monkeypatch.setattr(patience, "SILENT_SECONDS", 0.4)


def trickle(connection: socket.socket, text: bytes) -> bool:
    """Send ``text`` a byte at a time; whether the server hung up before the end."""
    for byte in text:
        try:
            connection.sendall(bytes([byte]))
        except OSError:
            return True
        time.sleep(0.02)
    return rest(connection) == b""


@pytest.mark.usefixtures("hasty")
def test_a_head_that_trickles_is_hung_up_on(house: House) -> None:
    with wire(house) as connection:
        head = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 400
        assert trickle(connection, head)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("length", [b"Content-Length: 9000\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_body_that_trickles_is_hung_up_on(house: House, length: bytes) -> None:
    with wire(house) as connection:
        head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\n" + length + b"\r\n"
        connection.sendall(head)
        assert trickle(connection, b"1\r\n{\r\n" * 50 if b"chunked" in length else b"{" * 300)


@pytest.mark.parametrize("limit", [("REST_SECONDS", 0.5), ("REST_BYTES", 100_000)])
def test_who_goes_on_sending_after_the_answer_is_hung_up_on(
    house: House, monkeypatch: pytest.MonkeyPatch, limit: tuple[str, float]
) -> None:
    monkeypatch.setattr(patience, *limit)
    with wire(house) as connection:
        head = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 40")
        begun = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() < begun + 20:
                connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")


@pytest.mark.usefixtures("hasty")
def test_who_never_says_a_word_is_hung_up_on(house: House) -> None:
    with wire(house) as connection:
        assert rest(connection) == b""


@pytest.mark.usefixtures("hasty")
def test_a_slow_answer_and_a_patient_client_are_left_alone(house: House) -> None:
    engine = GatedEngine(words=120)
    house.pool.engines[CHAT] = engine
    with house.client() as client:
        body = {"model": CHAT, "messages": [{"role": "user", "content": "Hi"}]}
        lines = client.post("/api/chat", json=body).text.splitlines()
    assert '"done":true' in lines[-1] and len(lines) > 100


@pytest.mark.usefixtures("hasty")
def test_a_connection_that_is_kept_for_the_next_request_is_left_alone(house: House) -> None:
    request = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with wire(house) as connection:
        for _ in range(3):
            connection.sendall(request)
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")
            time.sleep(0.6)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET /api/version?" + b"a" * sizes.LONGEST_TARGET_BYTES + b" HTTP/1.1\r\n", (414, 400)),
        (b"GET /api/version HTTP/1.1\r\n" + b"X: y\r\n" * 200, (431,)),
        (
            b"GET /api/version HTTP/1.1\r\nX: " + b"a" * sizes.MOST_HEADER_BYTES + b"\r\n",
            (431, 400),
        ),
        (b"GET /api/version HTTP/1.1\r\nX: " + b"a" * 2_000_000 + b"\r\n", (431, 400)),
    ],
)
def test_a_head_that_is_too_much_is_refused(
    house: House, head: bytes, expected: tuple[int, ...]
) -> None:
    with wire(house) as connection:
        try:
            connection.sendall(head + b"Host: localhost\r\nConnection: close\r\n\r\n")
            answer = rest(connection)
        except OSError:
            answer = b""
        assert status(answer) in (*expected, 0)
    with house.client() as client:
        assert client.get("/api/version").status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/tags HTTP/1.1\r\n\r\n",
        b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n"
        b"\r\n{}",
        b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET http://evil.example/api/tags HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /api/tags HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /api/tags HTTP/1.1\r\n Host: localhost\r\n\r\n",
    ],
)
def test_what_two_readers_could_read_two_ways_is_not_answered(
    house: House, request_bytes: bytes
) -> None:
    with wire(house) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        answer = rest(connection)
    assert b"200 OK" not in answer and b'"models"' not in answer


@given(st.binary(max_size=300))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_bytes_end_the_server(house: House, content: bytes) -> None:
    with wire(house) as connection:
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            answer = rest(connection)
        except OSError:
            answer = b""
    assert b"Traceback" not in answer and not answer.startswith(b"HTTP/1.1 5")


def test_the_bodies_of_all_requests_have_a_limit_together(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "BODIES_AT_ONCE", 0)
    with house.client() as client:
        refused = client.post("/api/show", json={"model": "x"})
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
        assert client.get("/api/version").status_code == 200
    monkeypatch.setattr(sizes, "BODIES_AT_ONCE", 1)
    with house.client() as client:
        # What was held has been let go of.
        for _ in range(3):
            assert (
                client.post("/api/show", json={"model": "x", "more": "y" * 999_999}).status_code
                == 404
            )


def test_who_floods_from_one_address_leaves_room_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ondol.server import listening

    monkeypatch.setattr(listening, "is_loopback", lambda host: False)
    with closing(listen("127.0.0.1", 0, crowd=Crowd(5, 3))) as listener:
        knocking = [socket.create_connection(listener.getsockname()) for _ in range(4)]
        taken = [listener.accept()[0] for _ in range(3)]
        with pytest.raises(ConnectionAbortedError):
            listener.accept()
        monkeypatch.setattr(listening, "is_loopback", lambda host: True)
        knocking.append(socket.create_connection(listener.getsockname()))
        taken.append(listener.accept()[0])
        for one in (*knocking, *taken):
            one.close()

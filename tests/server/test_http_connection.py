"""HTTP/1.1 as clients rely on it: a connection that goes on after anything that can happen."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse

import pytest
from house import CHAT, GatedEngine, House

PATIENCE_SECONDS = 20
QUESTION = {"model": CHAT, "messages": [{"role": "user", "content": "x"}], "stream": False}


class Wire:
    """One connection, byte by byte."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)

    def send(self, method: str, path: str, body: bytes = b"", *headers: str) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
        if body and not any("Transfer" in line for line in headers):
            lines.append(f"Content-Length: {len(body)}")
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def answer(self, method: str = "POST") -> tuple[int, bytes]:
        with HTTPResponse(self.socket, method=method) as response:
            response.begin()
            return response.status, response.read()

    def is_closed(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


@contextmanager
def opened(house: House) -> Iterator[Wire]:
    found = Wire(house.port)
    with found.socket:
        yield found


@pytest.fixture
def wire(house: House) -> Iterator[Wire]:
    with opened(house) as found:
        yield found


def ask(wire: Wire, path: str = "/v1/chat/completions") -> tuple[int, bytes]:
    wire.send("POST", path, json.dumps(QUESTION).encode())
    return wire.answer()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/api/chat", b'{"model": 7}', 400),
        ("POST", "/v1/messages", b'{"model": "x", "messages": []}', 400),
        ("POST", "/api/chat", b'{"model": "nobody", "messages": [{}]}', 404),
        ("GET", "/api/nothing", b"", 404),
        ("PUT", "/api/chat", b"{}", 405),
    ],
)
def test_a_connection_goes_on_after_an_error(house, wire, method, path, body, status) -> None:
    wire.send(method, path, body)
    assert wire.answer(method)[0] == status
    assert ask(wire)[0] == 200


def test_requests_that_are_sent_at_once_are_answered_in_turn(wire: Wire) -> None:
    body = json.dumps(QUESTION).encode()
    for _ in range(3):
        wire.send("POST", "/api/chat", body)
        wire.send("GET", "/api/version")
        wire.send("POST", "/v1/chat/completions", b"{")
    seen = []
    reader = wire.socket.makefile("rb")
    for _ in range(9):
        status = reader.readline().split()[1]
        length = 0
        while (line := reader.readline().strip()) != b"":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        seen.append((status, reader.read(length)[:9]))
    kinds = [(status, start[:2] == b'{"') for status, start in seen]
    assert kinds == [(b"200", True), (b"200", True), (b"400", True)] * 3


def test_a_body_that_is_too_large_is_refused_before_it_is_read(wire: Wire) -> None:
    wire.socket.sendall(
        b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n{"
    )
    status, body = wire.answer()
    assert (status, "error" in json.loads(body)) == (413, True)


def test_a_body_in_chunks_is_read(wire: Wire) -> None:
    body = json.dumps(QUESTION).encode()
    half = len(body) // 2
    pieces = [body[:half], body[half:], b""]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    wire.send("POST", "/v1/chat/completions", framed, "Transfer-Encoding: chunked")
    assert wire.answer()[0] == 200
    assert ask(wire)[0] == 200


def test_who_waits_for_a_hundred_is_told_to_go_on(wire: Wire) -> None:
    body = json.dumps(QUESTION).encode()
    wire.send("POST", "/api/chat", b"", "Expect: 100-continue", f"Content-Length: {len(body)}")
    assert wire.socket.recv(4096).startswith(b"HTTP/1.1 100")
    wire.socket.sendall(body)
    assert wire.answer()[0] == 200
    assert ask(wire)[0] == 200


def test_who_waits_for_a_hundred_and_is_refused_is_not_told_to_go_on(wire: Wire) -> None:
    wire.send("POST", "/api/chat", b"", "Expect: 100-continue", "Content-Length: 99999999999")
    assert wire.answer()[0] == 413


def test_head_has_the_headers_and_no_body(wire: Wire) -> None:
    wire.send("HEAD", "/")
    status, body = wire.answer("HEAD")
    assert (status, body) == (200, b"")
    assert ask(wire)[0] == 200


def test_a_client_may_say_that_it_is_the_last_one(wire: Wire) -> None:
    wire.send("GET", "/api/version", b"", "Connection: close")
    assert wire.answer("GET")[0] == 200
    assert wire.is_closed()


def test_old_http_is_answered_and_hung_up_on(wire: Wire) -> None:
    wire.socket.sendall(b"GET /api/version HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert wire.answer("GET")[0] == 200
    assert wire.is_closed()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
        b"Content-Length: 4\r\n\r\nabcd",
        b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA b: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 300_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_is_hung_up_on_and_hurts_nobody(house: House, wire: Wire, nonsense) -> None:
    wire.socket.sendall(nonsense)
    wire.socket.settimeout(PATIENCE_SECONDS)
    received = b""
    try:
        while part := wire.socket.recv(4096):
            received += part
    except ConnectionResetError:
        pass
    assert received == b"" or received.split()[1][:1] == b"4"
    with opened(house) as another:
        assert ask(another)[0] == 200


def test_a_stream_that_is_left_ends_and_the_next_connection_is_served(house: House) -> None:
    house.pool.engines[CHAT] = engine = GatedEngine(words=1_000_000)
    body = json.dumps({**QUESTION, "stream": True}).encode()
    with opened(house) as one:
        one.send("POST", "/v1/chat/completions", body)
        assert one.socket.recv(4096)
    assert engine.closed.wait(PATIENCE_SECONDS)
    house.pool.engines.clear()
    with opened(house) as another:
        assert ask(another)[0] == 200


def test_a_request_behind_a_stream_waits_for_its_end(house: House, wire: Wire) -> None:
    body = json.dumps({**QUESTION, "stream": True}).encode()
    wire.send("POST", "/v1/chat/completions", body)
    wire.send("GET", "/api/version")
    received = b""
    while b'{"version"' not in received:
        part = wire.socket.recv(65536)
        assert part
        received += part
    assert received.index(b"[DONE]") < received.index(b'{"version"')


@pytest.mark.parametrize("length", ["0", "4", "30"])
def test_a_body_that_ends_in_two_ways_is_refused_and_nothing_is_read_after_it(
    wire: Wire, length: str
) -> None:
    body = b"4\r\n{}  \r\n0\r\n\r\nGET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
    both = (f"Content-Length: {length}", "Transfer-Encoding: chunked")
    wire.send("POST", "/api/show", body, *both)
    status, said = wire.answer()
    assert status == 400 and b"Content-Length" in said
    assert wire.is_closed()

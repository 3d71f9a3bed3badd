"""Who reads slowly, or not at all, holds up nobody, and not for ever."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress

import pytest
from house import CHAT, House

from ondol.server import relay
from ondol.server.door import connection
from ondol.types import GenerateOptions, Message, Token, Usage

PATIENCE_SECONDS = 30
READERS = 40
LONG = "x" * 8192


class Talker:
    """Says more than any buffer holds, as fast as it is taken; knows how many listen to it."""

    model = CHAT

    def __init__(self, words: int = 1_000_000) -> None:
        self.words = words
        self.lock = threading.Lock()
        self.speaking = 0
        self.said = 0

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[Token]:
        with self.lock:
            self.speaking += 1
        try:
            for _ in range(self.words):
                with self.lock:
                    self.said += len(LONG)
                yield Token(LONG)
            yield Token("", finish_reason="stop", usage=Usage(1, self.words))
        finally:
            with self.lock:
                self.speaking -= 1

    def complete(self, prompt: str, options: GenerateOptions) -> Iterator[Token]:
        return self.generate([Message("user", prompt)], options)


def listen(house: House) -> socket.socket:
    """A client that asks for a stream and takes nothing of it."""
    body = json.dumps({"model": CHAT, "messages": [{"role": "user", "content": "x"}]}).encode()
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    found.connect(("127.0.0.1", house.port))
    head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    found.sendall(head.encode() + body)
    return found


def until(condition) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_others_are_answered_beside_clients_that_read_nothing(house: House) -> None:
    house.pool.engines[CHAT] = engine = Talker()
    with ExitStack() as stack:
        for _ in range(READERS):
            stack.enter_context(listen(house))
        until(lambda: engine.speaking == READERS)
        house.pool.engines.clear()
        with house.client() as client:
            for path in ("/api/tags", "/v1/models"):
                assert client.get(path).status_code == 200
            asked = {"model": CHAT, "messages": [{"role": "user", "content": "x"}]}
            answer = client.post("/v1/chat/completions", json=asked).json()
            assert "온돌" in answer["choices"][0]["message"]["content"]
    until(lambda: engine.speaking == 0)


def test_an_answer_is_no_further_ahead_than_it_may(house: House) -> None:
    house.pool.engines[CHAT] = engine = Talker()
    with listen(house):
        until(lambda: engine.said > relay.AHEAD_BYTES)
        seen = -1
        # It stands still once the buffers here and in the kernel are full.
        while seen != engine.said:
            seen = engine.said
            time.sleep(0.3)
        assert engine.said < relay.AHEAD_BYTES + (16 << 20)
    until(lambda: engine.speaking == 0)


def test_who_takes_nothing_is_hung_up_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALL_SECONDS", 0.2)
    house.pool.engines[CHAT] = engine = Talker()
    with listen(house) as silent:
        until(lambda: engine.said > 0)
        until(lambda: engine.speaking == 0)
        silent.settimeout(PATIENCE_SECONDS)
        received = b""
        with suppress(ConnectionResetError):
            while part := silent.recv(1 << 20):
                received += part
        assert b'"done":true' not in received


def test_an_answer_outlives_its_making_for_who_reads_slowly(house: House) -> None:
    house.pool.engines[CHAT] = engine = Talker(words=12)
    with listen(house) as slow:
        # The model is free for somebody else long before this client has read anything.
        until(lambda: engine.said == 12 * len(LONG) and engine.speaking == 0)
        slow.settimeout(PATIENCE_SECONDS)
        received = b""
        while b'"done":true' not in received:
            received += slow.recv(4096)
        assert received.count(LONG.encode()) >= 11

"""A client that hangs up really stops the work, at every moment and on every route."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from fastapi import Request
from house import CHAT, GatedEngine, House
from starlette.types import Message

from ondol.i18n import t, use_language
from ondol.server.relay import places
from ondol.server.streaming import SSE, Source, StoppedError, Work, stream
from ondol.types import Token

QUESTION = {"model": CHAT, "messages": [{"role": "user", "content": "Tell me a very long story."}]}
ROUTES = [
    ("/api/chat", QUESTION),
    ("/api/generate", {"model": CHAT, "prompt": "Tell"}),
    ("/api/generate", {"model": CHAT, "prompt": "Tell", "raw": True}),
    ("/v1/chat/completions", QUESTION),
    ("/v1/completions", {"model": CHAT, "prompt": "Tell"}),
    ("/v1/responses", {"model": CHAT, "input": "Tell"}),
    ("/v1/messages", {**QUESTION, "max_tokens": 1_000_000}),
]
PATIENCE_SECONDS = 20


def ask_raw(house: House, path: str, body: object) -> socket.socket:
    """A plain TCP connection on which a request has just been sent."""
    connection = socket.create_connection(("127.0.0.1", house.port), timeout=PATIENCE_SECONDS)
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
    connection.sendall(head.encode() + content)
    return connection


@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_hanging_up_in_mid_stream_stops_the_engine(house: House, path: str, body) -> None:
    house.pool.engines[CHAT] = engine = GatedEngine(words=1_000_000)
    with ask_raw(house, path, {**body, "stream": True}) as connection:
        received = b""
        while b"word1" not in received:
            received += connection.recv(4096)
    assert engine.closed.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_hanging_up_while_waiting_for_a_whole_answer_stops_the_engine(house, path, body) -> None:
    house.pool.engines[CHAT] = engine = GatedEngine(words=1_000_000)
    with ask_raw(house, path, {**body, "stream": False}):
        assert engine.said_a_word.wait(PATIENCE_SECONDS)
    assert engine.closed.wait(PATIENCE_SECONDS)


class ReadingEngine(GatedEngine):
    """Reads its prompt for ever; its tokens can be closed from any thread."""

    def generate(self, messages, options):
        return Reading(self)

    def complete(self, prompt, options):
        return Reading(self)


class Reading:
    def __init__(self, engine: ReadingEngine) -> None:
        self.engine = engine

    def __iter__(self) -> Iterator[Token]:
        return self

    def __next__(self) -> Token:
        self.engine.said_a_word.set()
        assert self.engine.closed.wait(PATIENCE_SECONDS)
        raise StopIteration

    def close(self) -> None:
        self.engine.closed.set()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "body"), ROUTES)
def test_hanging_up_before_the_first_token_stops_the_engine(house, path, body, stream) -> None:
    house.pool.engines[CHAT] = engine = ReadingEngine()
    with ask_raw(house, path, {**body, "stream": stream}):
        assert engine.said_a_word.wait(PATIENCE_SECONDS)
        assert not engine.closed.is_set()
    assert engine.closed.wait(PATIENCE_SECONDS)


def test_many_clients_are_served_while_others_wait(house: House) -> None:
    house.pool.engines[CHAT] = engine = ReadingEngine()
    waiting = [ask_raw(house, *ROUTES[0]) for _ in range(60)]
    try:
        with house.client() as client:
            assert client.get("/api/tags").status_code == 200
    finally:
        for connection in waiting:
            connection.close()
    assert engine.closed.wait(PATIENCE_SECONDS)


def test_a_source_is_closed_when_it_is_stopped_between_items() -> None:
    closed = threading.Event()

    def count() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            closed.set()

    source = Source(count)
    assert next(source) == 0
    source.stop()
    assert closed.is_set()
    with pytest.raises(StoppedError):
        next(source)


def test_a_generator_that_is_running_is_closed_at_its_next_item() -> None:
    entered, release, closed = threading.Event(), threading.Event(), threading.Event()

    def wait() -> Iterator[int]:
        try:
            entered.set()
            release.wait(PATIENCE_SECONDS)
            yield 1
            yield 2
        finally:
            closed.set()

    source = Source(wait)
    reader = threading.Thread(target=lambda: next(source))
    reader.start()
    assert entered.wait(PATIENCE_SECONDS)
    source.stop()
    assert not closed.is_set()
    release.set()
    reader.join(PATIENCE_SECONDS)
    assert closed.is_set()


def test_a_source_that_was_stopped_first_never_starts() -> None:
    source: Source[int] = Source(lambda: pytest.fail("started"))
    source.stop()
    with pytest.raises(StoppedError):
        next(source)


def test_work_yields_its_reports_and_then_its_result() -> None:
    def run(report, cancel) -> str:
        report("a")
        report("b")
        return "c"

    assert list(Work(run)) == ["a", "b", "c"]


def test_work_raises_what_the_function_raises() -> None:
    def run(report, cancel) -> str:
        report("a")
        raise LookupError

    work = Work(run)
    assert next(work) == "a"
    with pytest.raises(LookupError):
        next(work)


def test_closing_work_unwinds_the_function() -> None:
    unwound, go_on = threading.Event(), threading.Event()

    def run(report, cancel) -> str:
        report("a")
        try:
            assert go_on.wait(PATIENCE_SECONDS) and cancel.is_set()
            report("b")
        finally:
            unwound.set()
        return "c"

    work = Work(run)
    assert next(work) == "a"
    work.close()
    go_on.set()
    assert unwound.wait(PATIENCE_SECONDS)
    assert list(work) == []


def test_work_does_not_wait_for_a_slow_reader() -> None:
    done = threading.Event()

    def run(report, cancel) -> int:
        for number in range(10_000):
            report(number)
        done.set()
        return -1

    work = Work(run)
    # The end takes the place of the oldest report, if the work is that much faster.
    assert next(work) in {0, 1}
    assert done.wait(PATIENCE_SECONDS)
    assert list(work)[-1] == -1


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
def test_the_last_byte_does_not_wait_for_the_ledger(house: House, path: str, monkeypatch) -> None:
    may_write = threading.Event()
    append = house.parts.ledger.append

    def late(*given, **more) -> str:
        assert may_write.wait(PATIENCE_SECONDS)
        return append(*given, **more)

    def written() -> int:
        """Without what an earlier test gave up, which may be told of late."""
        entries = house.parts.ledger.entries(kind="answer")
        return sum("cancelled" not in entry.reasons for entry in entries)

    monkeypatch.setattr(house.parts.ledger, "append", late)
    before = written()
    more = {"max_tokens": 100} if path == "/v1/messages" else {}
    with house.client() as client:
        answer = client.post(path, json={**QUESTION, **more, "stream": True})
    assert answer.status_code == 200 and answer.content
    assert written() == before
    may_write.set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while written() == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_answer_that_is_cut_ends_in_the_language_of_its_request() -> None:
    sent: list[bytes] = []
    may_go_on = threading.Event()

    def words() -> Iterator[bytes]:
        yield b"first"
        may_go_on.wait(PATIENCE_SECONDS)
        yield b"second"

    async def scenario() -> None:
        gone = asyncio.Event()

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message.get("body", b""))

        source = Source(words)
        with use_language("ko"):
            request = Request({"type": "http"}, receive)
            response = await stream(request, source, source, SSE, lambda f: f.message.encode())
            answering = asyncio.create_task(response({"type": "http"}, receive, send))
        while b"first" not in sent:
            await asyncio.sleep(0.01)
        with use_language("en"):
            places().cut()
        await asyncio.sleep(0.01)
        may_go_on.set()
        await answering

    asyncio.run(scenario())
    with use_language("ko"):
        assert sent[-1].decode() == t("load.closing")

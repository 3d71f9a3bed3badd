"""A client that hangs up really stops the work, at every moment and on every route."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest
from house import CHAT, GatedEngine, House

from ondol.server.streaming import Source, StoppedError, Work
from ondol.types import Token

QUESTION = {"model": CHAT, "messages": [{"role": "user", "content": "Tell me a very long story."}]}
ROUTES = [
    ("/api/chat", QUESTION),
    ("/api/generate", {"model": CHAT, "prompt": "Tell"}),
    ("/api/generate", {"model": CHAT, "prompt": "Tell", "raw": True}),
    ("/v1/chat/completions", QUESTION),
    ("/v1/completions", {"model": CHAT, "prompt": "Tell"}),
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
    assert next(work) == 0
    assert done.wait(PATIENCE_SECONDS)
    assert list(work)[-1] == -1

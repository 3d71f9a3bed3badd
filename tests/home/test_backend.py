"""Servers behind a home: the least loaded one is asked, and the next one when it fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ondol import config as configuration
from ondol.egress import Egress
from ondol.engine.scripted import ScriptedEngine
from ondol.errors import EngineError, UsageError
from ondol.home.backend import OwnEngine, Upstreams, choose
from ondol.parts import Parts
from ondol.types import GenerateOptions, Message

QUESTION = [Message("user", "What keeps a house warm?")]


def test_the_engine_at_home_keeps_nothing_of_what_devices_say() -> None:
    engine = ScriptedEngine(["A roof."])

    class House:
        config = configuration.load()

        def engine(self, name: str) -> ScriptedEngine:
            return engine

    list(OwnEngine(House()).generate(QUESTION, GenerateOptions(max_tokens=3)))
    assert engine.requests[0].options == GenerateOptions(max_tokens=3, keeps_nothing=True)


class Double:
    """An OpenAI-compatible server. ``mode``: well, broken (500), mute (hangs up at once), dying
    (hangs up after a word), picky (400), empty (no models), held (waits for ``go_on``)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mode = "well"
        self.asked: list[dict[str, object]] = []
        self.keys: list[str] = []
        self.go_on = threading.Event()
        self.is_held = threading.Event()
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.keys.append(handler.headers.get("Authorization", ""))
        if handler.command == "GET":
            model = {"id": f"{self.name}-model", "max_model_len": 32768}
            self._say(handler, 200, {"data": [] if self.mode == "empty" else [model]})
            return
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.asked.append(json.loads(body))
        if self.mode == "mute":
            return
        if self.mode in ("broken", "picky"):
            error = {"error": {"message": f"{self.name} is {self.mode}"}}
            self._say(handler, 500 if self.mode == "broken" else 400, error)
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        self._event(handler, {"choices": [{"delta": {"content": f"{self.name} "}}]})
        if self.mode == "held":
            self.is_held.set()
            self.go_on.wait(30)
        if self.mode == "dying":
            return
        self._event(handler, {"choices": [{"delta": {"content": "says"}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 9, "completion_tokens": 2}
        self._event(handler, {"choices": [], "usage": usage})
        handler.wfile.write(b"data: [DONE]\n\n")

    def _say(self, handler: BaseHTTPRequestHandler, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _event(self, handler: BaseHTTPRequestHandler, event: object) -> None:
        handler.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        handler.wfile.flush()


@contextmanager
def served(double: Double) -> Iterator[Double]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            double.answer(self)

        do_POST = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    double.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield double
    finally:
        double.go_on.set()
        server.shutdown()
        thread.join(30)
        server.server_close()


@pytest.fixture
def two() -> Iterator[tuple[Double, Double]]:
    with ExitStack() as stack:
        yield (
            stack.enter_context(served(Double("one"))),
            stack.enter_context(served(Double("two"))),
        )


def upstreams(*doubles: Double, **how: object) -> Upstreams:
    return Upstreams(Egress(), [d.url for d in doubles], timeout_seconds=30, **how)  # type: ignore[arg-type]


def said(backend: Upstreams) -> str:
    return "".join(token.text for token in backend.generate(QUESTION, GenerateOptions()))


def test_servers_take_turns_and_are_asked_for_their_own_model(two: tuple[Double, Double]) -> None:
    backend = upstreams(*two, api_key="sesame")
    assert backend.describe() == ("one-model", 32768)
    assert [said(backend), said(backend)] == ["one says", "two says"]
    assert [d.asked[0]["model"] for d in two] == ["one-model", "two-model"]
    assert {*two[0].keys, *two[1].keys} == {"Bearer sesame"}


def test_model_that_is_named_is_asked_for(two: tuple[Double, Double]) -> None:
    backend = upstreams(two[0], model="big")
    assert said(backend) == "one says"
    assert two[0].asked[0]["model"] == "big" and backend.describe() == ("big", None)


def test_less_loaded_server_is_asked(two: tuple[Double, Double]) -> None:
    one, other = two
    one.mode = "held"
    backend = upstreams(one, other)
    first = backend.generate(QUESTION, GenerateOptions())
    assert next(first).text == "one "
    assert [said(backend), said(backend)] == ["two says", "two says"]
    one.go_on.set()
    assert "".join(token.text for token in first) == "says"


@pytest.mark.parametrize("mode", ["broken", "mute", "empty"])
def test_next_server_answers_where_one_fails_before_a_word(
    two: tuple[Double, Double], mode: str
) -> None:
    two[0].mode = mode
    moment = [0.0]
    backend = upstreams(*two, now=lambda: moment[0])
    assert said(backend) == "two says"
    asked = len(two[0].asked)
    # It is left alone for a while, then tried again.
    assert said(backend) == "two says" and len(two[0].asked) == asked
    two[0].mode = "well"
    moment[0] = 6.0
    assert said(backend) == "one says"


def test_server_that_is_not_there_is_passed_over(two: tuple[Double, Double]) -> None:
    gone = Double("gone")
    with served(gone):
        pass
    assert said(upstreams(gone, two[1])) == "two says"


def test_nothing_is_asked_twice_after_the_first_word(two: tuple[Double, Double]) -> None:
    two[0].mode = "dying"
    tokens = upstreams(*two).generate(QUESTION, GenerateOptions())
    assert next(tokens).text == "one "
    with pytest.raises(EngineError):
        list(tokens)
    assert two[1].asked == []


def test_what_one_server_refuses_no_other_is_asked(two: tuple[Double, Double]) -> None:
    two[0].mode = "picky"
    with pytest.raises(UsageError, match="one is picky"):
        said(upstreams(*two))
    assert two[1].asked == []


def test_failure_of_all_is_that_of_one(two: tuple[Double, Double]) -> None:
    for double in two:
        double.mode = "broken"
    with pytest.raises(EngineError, match="is broken"):
        said(upstreams(*two))
    assert [len(double.asked) for double in two] == [1, 1]


def test_home_is_not_well_when_all_have_failed(two: tuple[Double, Double]) -> None:
    moment = [0.0]
    backend = upstreams(*two, now=lambda: moment[0])
    for double in two:
        double.mode = "broken"
    assert backend.is_well
    with pytest.raises(EngineError):
        said(backend)
    assert not backend.is_well
    moment[0] = 6.0
    assert backend.is_well


def test_closing_stops_the_server(two: tuple[Double, Double]) -> None:
    two[0].mode = "held"
    backend = upstreams(two[0])
    tokens = backend.generate(QUESTION, GenerateOptions())
    assert next(tokens).text == "one "
    waiting = threading.Thread(target=lambda: list(tokens))
    waiting.start()
    tokens.close()
    waiting.join(30)
    assert not waiting.is_alive()
    assert backend._servers[0].active == 0


def test_settings_say_who_thinks(tmp_path: object) -> None:
    config = configuration.load(environ={})
    with Parts(config.with_flags({"home.upstreams": "http://127.0.0.1:9/v1"})) as parts:
        chosen = choose(parts)
        assert isinstance(chosen, Upstreams) and chosen.slots == 8
    with Parts(config.with_flags({"home.parallel": 3})) as parts:
        chosen = choose(parts)
        assert isinstance(chosen, OwnEngine) and chosen.slots == 3

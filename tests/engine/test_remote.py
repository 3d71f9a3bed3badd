"""RemoteEngine against the real llama worker's /v1 and against servers that misbehave."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ondol.egress import Egress
from ondol.engine import rendezvous
from ondol.engine.remote import RemoteEngine
from ondol.errors import ContextLengthError, EgressError, EngineError, UsageError
from ondol.types import GenerateOptions, Message

QUESTION = [Message("user", "Say hi")]
OPTIONS = GenerateOptions(max_tokens=3)
PIECE = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": None}]}


def event(value) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


@pytest.fixture(scope="module")
def remote(pool):
    pool.stop("a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendezvous, "make", lambda: None)  # a remote server has an address
        pool.load("a")
    process = pool._residents["a"].process
    return RemoteEngine(f"{process.address}/v1", "any", process.key, Egress())


def test_a_real_server_answers_with_logprobs_and_usage(remote):
    tokens = list(remote.generate(QUESTION, GenerateOptions(4, temperature=0, logprobs=2)))
    assert tokens[-1].finish_reason == "length"
    assert tokens[-1].usage.completion_tokens == 4
    assert all(t.logprob <= 0 and len(t.top) == 2 for t in tokens[:-1])
    *raw, _ = remote.complete("The capital of France is", GenerateOptions(1, temperature=0))
    assert "".join(t.text for t in raw) == " Paris"
    assert remote.model == "any"


def test_a_real_server_holds_to_a_schema(remote):
    options = GenerateOptions(20, json_schema={"enum": ["안녕"]})
    assert "".join(t.text for t in remote.generate(QUESTION, options)) == '"안녕"'


def test_closing_stops_the_remote_generation(remote, pool, until):
    def busy():
        return any(s["is_processing"] for s in pool._residents["a"].client.get("/slots").json())

    tokens = remote.generate([Message("user", "Tell a long story")], GenerateOptions(900))
    next(tokens)
    assert busy()
    tokens.close()
    until(lambda: not busy())


def test_a_real_refusal_is_a_sentence(remote):
    with pytest.raises(ContextLengthError):
        next(remote.generate([Message("user", "word " * 3000)], OPTIONS))
    with pytest.raises(UsageError):
        next(remote.generate(QUESTION, GenerateOptions(json_schema={"type": "nonsense"})))


def test_an_adapter_is_refused_because_nobody_there_could_switch_it_on(remote):
    with pytest.raises(UsageError) as caught:
        remote.generate(QUESTION, GenerateOptions(adapters={"a": 1.0}))
    assert caught.value.param == "adapters" and "as that server calls it" in caught.value.hint
    assert list(remote.generate(QUESTION, GenerateOptions(1, adapters={"a": 0.0})))


def test_a_wrong_key_is_a_sentence(remote):
    with pytest.raises(EngineError) as caught:
        next(RemoteEngine(remote._base_url, "m", "wrong", Egress()).generate(QUESTION, OPTIONS))
    assert "401" in caught.value.message


def test_the_shut_door_stays_shut():
    engine = RemoteEngine("https://models.example/v1", "m", "", Egress(offline=True))
    with pytest.raises(EgressError):
        next(engine.generate(QUESTION, OPTIONS))


def test_an_estimate_of_tokens_is_on_the_high_side(remote, pool):
    for text in ("", "hello world", "The quick brown fox jumps over the lazy dog." * 3):
        assert remote.count_tokens(text) >= pool.engine("a").count_tokens(text)
    assert remote.count_tokens("안녕") == 2


class Misbehaving(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        getattr(self, request["model"].replace("-", "_"))()
        self.close_connection = True

    def _status(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, *parts):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for part in parts:
            self.wfile.write(part)
            self.wfile.flush()

    def fails(self):
        self._status(500, b'{"error":{"message":"the GPU is on fire"}}')

    def fails_in_html(self):
        self._status(502, b"<html>" + b"x" * 200_000, "text/html")

    def unknown_model(self):
        self._status(404, b'{"error":"no such model"}')

    def too_many(self):
        self._status(429, b'{"error":{"message":"slow down"}}')

    def too_long(self):
        self._status(400, b'{"error":{"message":"too long","code":"context_length_exceeded"}}')

    def garbage(self):
        self._stream(event(PIECE), b"data: {oops\n\n")

    def not_a_stream(self):
        self._status(200, b'{"hello": 1}')

    def disconnects(self):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(event(PIECE))

    def ends_early(self):
        self._stream(event(PIECE))

    def error_event(self):
        self._stream(event(PIECE), event({"error": {"message": "lost my mind", "code": 500}}))

    def stalls(self):
        self._stream(event(PIECE))
        self.server.released.wait(30)

    def no_usage(self):
        self._stream(
            b": comment\n\nevent: message\n",
            event(PIECE),
            event(PIECE),
            event({"choices": [{"delta": {}, "finish_reason": "stop"}]}),
        )

    def moves_away(self):
        self.send_response(307)
        self.send_header("Location", "http://models.example/v1/chat/completions")
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Misbehaving) as server:
        server.released = threading.Event()
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def engine(server, behaviour, **more):
    return RemoteEngine(
        f"http://127.0.0.1:{server.server_port}/v1/", behaviour, "", Egress(offline=True), **more
    )


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("fails", "on fire"),
        ("fails-in-html", "502"),
        ("unknown-model", "no such model"),
        ("too-many", "slow down"),
        ("garbage", "complete answer"),
        ("not-a-stream", "complete answer"),
        ("disconnects", "failed"),
        ("ends-early", "complete answer"),
        ("error-event", "lost my mind"),
    ],
)
def test_a_server_that_misbehaves_is_a_sentence(server, behaviour, said):
    with pytest.raises(EngineError) as caught:
        list(engine(server, behaviour).generate(QUESTION, OPTIONS))
    assert said in caught.value.message
    assert caught.value.hint


def test_a_context_that_is_too_short_keeps_its_class(server):
    with pytest.raises(ContextLengthError):
        list(engine(server, "too-long").generate(QUESTION, OPTIONS))


def test_a_stall_is_given_up(server):
    tokens = engine(server, "stalls", timeout_seconds=0.3).generate(QUESTION, OPTIONS)
    assert next(tokens).text == "Hi"
    with pytest.raises(EngineError) as caught:
        next(tokens)
    assert "0.3" in caught.value.message


def test_a_stall_can_be_cancelled(server):
    tokens = engine(server, "stalls").generate(QUESTION, OPTIONS)
    first, seen = threading.Event(), []

    def read():
        for token in tokens:
            seen.append(token)
            first.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert first.wait(20)
    tokens.close()
    reader.join(20)
    assert not reader.is_alive()
    assert len(seen) == 1 or seen[-1].finish_reason == "cancelled"


def test_a_server_without_usage_is_counted(server):
    *_, last = engine(server, "no-usage").generate(QUESTION, OPTIONS)
    assert (last.finish_reason, last.usage.completion_tokens) == ("stop", 2)


def test_a_redirect_is_checked_at_the_door(server):
    with pytest.raises(EgressError):
        list(engine(server, "moves-away").generate(QUESTION, OPTIONS))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "http://[::1", "gopher://127.0.0.1/v1"])
def test_an_address_nobody_answers_is_a_sentence(url):
    with pytest.raises(EngineError):
        list(RemoteEngine(url, "m", "", Egress()).generate(QUESTION, OPTIONS))

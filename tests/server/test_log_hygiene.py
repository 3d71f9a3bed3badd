"""No prompt, document, key or header value reaches a log, stdout or stderr; not in any dialect, and
not when something fails in the middle."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from house import CHAT, EMBEDDING, GatedEngine, House
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MARK = "xylophon-4711-geheim"
WORDS = st.lists(st.sampled_from([MARK, MARK.upper(), "온돌", "{}", "%s", "\n", '"']), max_size=3)


class Failing:
    """An engine whose errors quote what they were given, as bad libraries do."""

    model = CHAT

    def __init__(self, error: type[Exception], *, late: bool) -> None:
        self._error = error
        self._late = late

    def generate(self, messages: Any, options: Any) -> Iterator[Any]:
        from ondol.types import Token

        if self._late:
            yield Token("a word")
        raise self._error(f"cannot answer {[m.content for m in messages]}")

    complete = generate

    def infill(self, *said: Any) -> Iterator[Any]:
        raise self._error(str(said))

    def embed(self, texts: Any, **how: Any) -> Any:
        raise self._error(str(texts))

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def requests(word: str) -> Iterator[tuple[str, str, Any]]:
    messages = [{"role": "system", "content": word}, {"role": "user", "content": word}]
    tool = {"type": "function", "function": {"name": "f", "description": word, "parameters": {}}}
    for stream in (False, True):
        chat = {"model": CHAT, "messages": messages, "stream": stream, "tools": [tool]}
        yield "POST", "/v1/chat/completions", chat
        yield "POST", "/api/chat", chat
        yield "POST", "/v1/messages", {"model": CHAT, "max_tokens": 9, "messages": [messages[1]]}
        yield "POST", "/v1/responses", {"model": CHAT, "input": word, "stream": stream}
        yield "POST", "/v1/completions", {"model": CHAT, "prompt": word, "stream": stream}
        yield "POST", "/api/generate", {"model": CHAT, "prompt": word, "stream": stream}
        yield "POST", "/ondol/v1/ask", {"question": word, "stream": stream}
    yield "POST", "/v1/embeddings", {"model": EMBEDDING, "input": word}
    yield "POST", "/api/embed", {"model": EMBEDDING, "input": [word]}
    yield "POST", "/v1/rerank", {"query": word, "documents": [word]}
    yield "POST", "/ondol/v1/search", {"query": word}
    yield "POST", "/ondol/v1/documents", {"paths": [f"/nowhere/{MARK}"], "stream": False}
    yield "POST", "/api/show", {"model": word}
    yield "POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": word, "params": {"x": word}}
    yield "GET", f"/ondol/v1/keys/{MARK}", None
    yield "GET", f"/ondol/v1/documents/view?source=/{MARK}", None
    yield "GET", f"/{MARK}/%ff?{MARK}", None


def send_everything(house: House, word: str, headers: dict[str, str]) -> None:
    with house.client() as client:
        for method, path, body in requests(word):
            try:
                with client.stream(method, path, json=body, headers=headers) as response:
                    response.read()
            except httpx2.HTTPError:
                pass  # a stream that breaks is what some of these are about
        client.post("/api/chat", content=f'{{"model": "{MARK}"'.encode(), headers=headers)
        client.post("/v1/chat/completions", content=MARK.encode() * 100, headers=headers)


HEADERS = [
    {},
    {"Authorization": f"Bearer ondol-key-0123456789ab-{MARK}"},
    {"Authorization": f"Bearer {MARK}", "x-api-key": MARK, "User-Agent": f"{MARK}/1"},
    {"Host": f"{MARK}.example"},
    {"Origin": f"https://{MARK}.example", "Referer": f"https://x/{MARK}"},
    {"Content-Encoding": "gzip", "X-Custom": MARK, "Cookie": f"a={MARK}"},
    {"Content-Type": f"multipart/form-data; boundary={MARK}"},
]


def check(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    out, err = capfd.readouterr()
    said = [record.getMessage() for record in caplog.records]
    said += [record.exc_text or "" for record in caplog.records]
    said += [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    everything = "\n".join([*said, out, err]).lower()
    assert MARK not in everything and "geheim" not in everything
    assert "traceback" not in everything


def ours(caplog: pytest.LogCaptureFixture) -> None:
    # What the server itself logs, at its finest. The client of the test logs what it sends.
    caplog.set_level(logging.DEBUG)
    # A command that ran in this process before has set its own.
    caplog.set_level(logging.DEBUG, "ondol")
    for name in ("httpx2", "httpcore2", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@pytest.mark.parametrize("headers", HEADERS, ids=lambda h: "-".join(h) or "none")
def test_nothing_that_is_sent_is_logged(
    house: House,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    headers: dict[str, str],
) -> None:
    ours(caplog)
    send_everything(house, MARK, headers)
    check(caplog, capfd)


@pytest.mark.parametrize("error", [RuntimeError, ValueError, KeyError, UnicodeError, MemoryError])
@pytest.mark.parametrize("late", [False, True])
def test_an_error_that_quotes_what_was_sent_is_not_logged(
    house: House,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    error: type[Exception],
    late: bool,
) -> None:
    ours(caplog)
    house.pool.engines[CHAT] = Failing(error, late=late)
    send_everything(house, MARK, {})
    # That something went wrong, and where, is there.
    assert any(error.__name__ in record.getMessage() for record in caplog.records)
    check(caplog, capfd)
    with house.client() as client:
        body = {"model": CHAT, "messages": [{"role": "user", "content": MARK}], "stream": False}
        for path in ("/v1/chat/completions", "/api/chat", "/v1/messages", "/v1/responses"):
            sent = body | {"max_tokens": 5, "input": MARK}
            answer = client.post(path, json=sent)
            assert answer.status_code >= 500 and MARK not in answer.text


def test_a_client_that_hangs_up_leaves_no_word(
    house: House, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    ours(caplog)
    engine = GatedEngine(words=100_000)
    house.pool.engines[CHAT] = engine
    body = {"model": CHAT, "messages": [{"role": "user", "content": MARK}], "stream": True}
    with house.client() as client:
        for path in ("/v1/chat/completions", "/api/chat"):
            with client.stream("POST", path, json=body) as response:
                next(response.iter_lines())
    assert engine.closed.wait(20)
    check(caplog, capfd)


@given(words=WORDS, field=st.sampled_from(["content", "role", "tools", "format", "stop", "images"]))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_is_wrong_with_a_request_it_is_not_logged(
    house: House,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    field: str,
) -> None:
    ours(caplog)
    wrong: Any = [*words, {MARK: words}]
    message = {"role": "user", "content": "x"} | ({field: wrong} if field != "tools" else {})
    body = {"model": CHAT, "messages": [message], field: wrong, "stream": False, "max_tokens": 5}
    with house.client() as client:
        for path in ("/v1/chat/completions", "/api/chat", "/v1/messages", "/ondol/v1/ask"):
            assert client.post(path, json=body).status_code < 500
    check(caplog, capfd)

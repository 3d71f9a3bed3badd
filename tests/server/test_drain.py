"""A server that is told to end: what is being answered is answered, and nobody waits for ever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from house import CHAT

SCRIPT = Path(__file__).with_name("draining.py")
QUESTION: dict[str, Any] = {"model": CHAT, "messages": [{"role": "user", "content": "x"}]}
PATIENCE_SECONDS = 40


@dataclass
class Serving:
    process: subprocess.Popen[str]
    url: str

    def client(self) -> httpx2.Client:
        return httpx2.Client(
            base_url=self.url, timeout=PATIENCE_SECONDS, trust_env=False, verify=False
        )

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> str:
        told, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        return told


@contextmanager
def serving(folder: Path, grace: float, words: int) -> Iterator[Serving]:
    process = subprocess.Popen(
        [sys.executable, SCRIPT, folder, str(grace), str(words)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout is not None
        yield Serving(process, f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_is_being_given_is_given_and_nobody_is_let_in(tmp_path, stream) -> None:
    with serving(tmp_path, 30, 60) as server, server.client() as client:
        asked = {**QUESTION, "stream": stream}
        if stream:
            with client.stream("POST", "/api/chat", json=asked) as answer:
                lines = answer.iter_lines()
                assert "word0" in next(lines)
                server.end()
                *_, last = lines
            assert json.loads(last)["done_reason"] == "stop"
        else:
            with server.client() as other, other.stream("POST", "/api/chat", json=QUESTION) as one:
                begun = one.iter_lines()
                assert next(begun)
                found: list[httpx2.Response] = []
                waiting = threading.Thread(
                    target=lambda: found.append(client.post("/api/chat", json=asked))
                )
                waiting.start()
                for _ in range(5):
                    next(begun)
                server.end()
                waiting.join(PATIENCE_SECONDS)
            assert found[0].json()["message"]["content"].endswith("word59 ")
        assert "ended" in server.ended()
        with pytest.raises(httpx2.ConnectError), server.client() as late:
            late.get("/api/version")


@pytest.mark.parametrize(
    ("path", "sign"),
    [
        ("/api/chat", '{"error":"The server is about to end.'),
        ("/v1/chat/completions", '"code":"server_closing"'),
    ],
)
def test_an_answer_that_takes_longer_than_the_grace_is_told_so(tmp_path, path, sign) -> None:
    with serving(tmp_path, 0.5, 100_000) as server, server.client() as client:
        with client.stream("POST", path, json={**QUESTION, "stream": True}) as answer:
            lines = answer.iter_lines()
            assert next(lines)
            server.end()
            said = [line for line in lines if line]
        assert sign in said[-1]
        assert "ended" in server.ended()
        assert server.process.returncode == 0


def test_a_whole_answer_that_takes_longer_than_the_grace_is_a_503(tmp_path: Path) -> None:
    with serving(tmp_path, 0.5, 100_000) as server, server.client() as client:
        found: list[httpx2.Response] = []

        def ask() -> None:
            found.append(client.post("/v1/chat/completions", json=QUESTION))

        with server.client() as other, other.stream("POST", "/api/chat", json=QUESTION) as one:
            lines = one.iter_lines()
            waiting = threading.Thread(target=ask)
            waiting.start()
            for _ in range(20):
                next(lines)
            server.end()
            waiting.join(PATIENCE_SECONDS)
        assert found[0].status_code == 503
        assert found[0].json()["error"]["code"] == "server_closing"
        assert int(found[0].headers["retry-after"]) > 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, 1000, 100_000) as server, server.client() as client:
        with (
            pytest.raises(httpx2.TransportError),
            client.stream("POST", "/api/chat", json=QUESTION) as answer,
        ):
            lines = answer.iter_lines()
            assert next(lines)
            server.end()
            for _ in range(10):
                next(lines)
            server.end()
            for _ in lines:
                pass
        assert "ended" in server.ended()


def test_a_run_keeps_what_was_said(tmp_path: Path) -> None:
    with serving(tmp_path, 0.5, 100_000) as server, server.client() as client:
        one = client.post("/ondol/v1/conversations", json={"mode": "chat"}).json()
        path = f"/ondol/v1/conversations/{one['id']}/runs"
        run = client.post(path, json={"content": "x", "mode": "chat"}).json()
        events = f"/ondol/v1/runs/{run['run']}/events"
        with client.stream("GET", events) as heard:
            lines = heard.iter_lines()
            while "word3" not in next(lines):
                pass
            server.end()
            said = "\n".join(lines)
        assert "event: end" in said
        assert "ended" in server.ended()
    with serving(tmp_path, 0.5, 1) as server, server.client() as client:
        kept = client.get(f"/ondol/v1/conversations/{one['id']}").json()["messages"][-1]
        assert kept["status"] == "stopped"
        assert kept["content"].startswith("word0 word1 word2 word3")

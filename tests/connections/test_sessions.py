"""The owner's MCP servers as real ones: programs and addresses, in order and out of it."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ondol.connections.servers import ToolServer
from ondol.connections.sessions import Sessions
from ondol.egress import Egress, Passage
from ondol.errors import EgressError, ToolServerError
from ondol.types import Sensitivity

TRUSTED, PRIVATE = Sensitivity.TRUSTED, Sensitivity.PRIVATE
SCRIPT = str(Path(__file__).with_name("tool_server.py"))
PROGRAM = ToolServer("weather", (sys.executable, SCRIPT))


@pytest.fixture
def sessions() -> Iterator[Sessions]:
    made = Sessions(Egress(), start_seconds=20, call_seconds=20)
    yield made
    made.close()


@pytest.fixture
def port() -> Iterator[int]:
    """Where a server of the SDK's listens, over streamable HTTP."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    child = subprocess.Popen(
        [sys.executable, SCRIPT, str(number)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(400):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", number)) == 0:
                    break
            time.sleep(0.05)
        yield number
    finally:
        child.terminate()
        child.wait(30)


def test_program_is_started_asked_and_ended(sessions: Sessions) -> None:
    offers, left_out = sessions.offers(PROGRAM)
    assert "weather__weather" in {one.tool.name for one in offers} and left_out == []
    result = sessions.call(PROGRAM, "weather", {"city": "Seoul"}, PRIVATE)
    assert (result.text, result.is_error) == ("It is 21 degrees in Seoul.", False)
    assert sessions.call(PROGRAM, "add", {"a": 2, "b": 3}, PRIVATE).text == "5"


def test_address_is_asked_through_the_door(sessions: Sessions, port: int) -> None:
    server = ToolServer("web", url=f"http://127.0.0.1:{port}/mcp")
    assert "web__add" in {one.tool.name for one in sessions.offers(server)[0]}
    for n in range(3):
        assert sessions.call(server, "add", {"a": n, "b": 3}, PRIVATE).text == str(n + 3)


def test_program_has_neither_secrets_nor_a_network(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("ONDOL_PASSPHRASE", "secret")
    server = dataclasses.replace(PROGRAM, variables={"CITY": "Seoul"})
    found = sessions.call(server, "environment", {}, PRIVATE).text.split()
    assert "CITY" in found
    assert not {"OPENAI_API_KEY", "ONDOL_PASSPHRASE", "ONDOL_HOME"} & set(found)
    if sys.platform == "linux":
        assert sessions.call(server, "reach", {}, PRIVATE).text.startswith("no:")


def test_network_is_there_where_the_owner_said_so(sessions: Sessions) -> None:
    server = dataclasses.replace(PROGRAM, has_network=True)
    assert sessions.call(server, "reach", {}, TRUSTED).text == "yes"
    assert PROGRAM.stays_here and not server.stays_here


def test_tool_that_fails_is_a_result_that_says_so(sessions: Sessions) -> None:
    result = sessions.call(PROGRAM, "fail", {}, PRIVATE)
    assert result.is_error and "secret of the tool" not in result.text
    assert sessions.call(PROGRAM, "no_such_tool", {}, PRIVATE).is_error
    assert sessions.call(PROGRAM, "add", {"a": "x"}, PRIVATE).is_error
    assert sessions.call(PROGRAM, "add", {"a": 1, "b": 1}, PRIVATE).text == "2"


def test_result_has_a_length_and_no_hidden_letters(sessions: Sessions) -> None:
    text = sessions.call(PROGRAM, "shout", {"letters": 40_000}, PRIVATE).text
    assert len(text) < 17_000 and "more characters" in text
    assert text.startswith("ab[31mxxx")


def test_program_that_ends_is_started_again(sessions: Sessions) -> None:
    sessions.offers(PROGRAM)
    with pytest.raises(ToolServerError) as raised:
        sessions.call(PROGRAM, "die", {}, PRIVATE)
    assert "weather" in raised.value.message
    assert sessions.call(PROGRAM, "add", {"a": 1, "b": 1}, PRIVATE).text == "2"


def test_tool_that_takes_too_long_is_given_up() -> None:
    impatient = Sessions(Egress(), call_seconds=0.5)
    try:
        impatient.offers(PROGRAM)
        with pytest.raises(ToolServerError, match="timeout"):
            impatient.call(PROGRAM, "sleep", {"seconds": 30}, PRIVATE)
    finally:
        impatient.close()


@pytest.mark.parametrize(
    "server",
    [
        dataclasses.replace(PROGRAM, variables={"MISCHIEF": "silent"}),
        dataclasses.replace(PROGRAM, variables={"MISCHIEF": "garbage"}),
        dataclasses.replace(PROGRAM, variables={"MISCHIEF": "silent"}, has_network=True),
        ToolServer("none", ("/no/such/program",)),
        ToolServer("none", ("/no/such/program",), has_network=True),
        ToolServer("none", url="http://127.0.0.1:9/mcp"),
    ],
    ids=["silent", "garbage", "silent-with-network", "missing", "missing-with-network", "nobody"],
)
def test_what_is_no_server_is_said_in_a_sentence(server: ToolServer) -> None:
    impatient = Sessions(Egress(), start_seconds=3)
    try:
        with pytest.raises(ToolServerError) as raised:
            impatient.offers(server)
        assert server.name in raised.value.message and raised.value.hint
    finally:
        impatient.close()


def test_a_line_without_an_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ondol.connections.sessions.MOST_ANSWER_BYTES", 1 << 20)
    sessions = Sessions(Egress(), start_seconds=300)
    try:
        with pytest.raises(ToolServerError, match="weather wrote a line of more than 1 MB"):
            sessions.offers(dataclasses.replace(PROGRAM, variables={"MISCHIEF": "endless"}))
    finally:
        sessions.close()


def test_closing_leaves_no_program_behind(sessions: Sessions, tmp_path: Path) -> None:
    marker = f"marker-{os.getpid()}-{time.monotonic_ns()}"
    server = dataclasses.replace(PROGRAM, command=(*PROGRAM.command, "stdio"), name=marker[:30])
    sessions.call(
        dataclasses.replace(server, variables={"MARK": marker}), "add", {"a": 1, "b": 1}, PRIVATE
    )
    sessions.close()
    if sys.platform == "linux":
        assert not list(_with(marker))


def _with(marker: str) -> Iterator[str]:
    for one in Path("/proc").iterdir():
        try:
            if one.name.isdecimal() and marker.encode() in (one / "environ").read_bytes():
                yield one.name
        except OSError:
            continue


class Written:
    """What the ledger would be told."""

    def __init__(self) -> None:
        self.passages: list[Passage] = []

    def __call__(self, passage: Passage) -> str:
        self.passages.append(passage)
        return "id"


def test_private_text_goes_to_no_address_beyond_this_machine(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    from ondol.egress import door, transport

    # As if this machine were another: nothing is inside, and a name of the network stands for it.
    real: Any = door.is_loopback
    monkeypatch.setattr(door, "is_loopback", lambda host: host != "127.0.0.1" and real(host))
    monkeypatch.setattr(transport, "is_loopback", lambda host: False)
    written = Written()
    sessions = Sessions(Egress(record=written), start_seconds=20)
    server = ToolServer("web", url=f"http://127.0.0.1:{port}/mcp", headers={"X-Api-Key": "k" * 40})
    try:
        assert sessions.call(server, "add", {"a": 1, "b": 2}, TRUSTED).text == "3"
        with pytest.raises(EgressError):
            sessions.call(server, "weather", {"city": "private words"}, PRIVATE)
    finally:
        sessions.close()
    refused = [one for one in written.passages if not one.allowed]
    assert [one.reason for one in refused] == ["label"]
    sent = [one for one in written.passages if one.allowed and one.bytes_out]
    assert sent and {one.purpose for one in sent} == {"tools"}


def test_offline_nothing_is_asked_beyond_this_machine() -> None:
    sessions = Sessions(Egress(offline=True), start_seconds=5)
    try:
        with pytest.raises(EgressError):
            sessions.offers(ToolServer("web", url="https://mcp.example.com/mcp"))
    finally:
        sessions.close()


def test_redirect_of_a_server_leads_nowhere() -> None:
    import http.server
    import threading

    reached: list[str] = []

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            reached.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    class Sending(Elsewhere):
        def do_POST(self) -> None:
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{other.server_port}/latest/meta-data")
            self.end_headers()

    other = http.server.HTTPServer(("127.0.0.1", 0), Elsewhere)
    first = http.server.HTTPServer(("127.0.0.1", 0), Sending)
    for one in (other, first):
        threading.Thread(target=one.serve_forever, daemon=True).start()
    sessions = Sessions(Egress(), start_seconds=10)
    try:
        with pytest.raises((ToolServerError, EgressError)):
            sessions.offers(ToolServer("web", url=f"http://127.0.0.1:{first.server_port}/mcp"))
    finally:
        sessions.close()
        for one in (other, first):
            one.shutdown()
            one.server_close()
    assert reached == []


@pytest.mark.parametrize("is_packed", [False, True])
def test_answer_without_an_end_is_given_up(is_packed: bool) -> None:
    import http.server
    import threading

    sent: list[int] = []
    asked: list[str] = []

    class Endless(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            if is_packed:
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            asked.append(self.headers["Accept-Encoding"])
            block = b" " * (1 << 20)
            try:
                for number in range(2048):
                    self.wfile.write(block)
                    sent.append(number)
            except OSError:
                pass

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sessions = Sessions(Egress(), start_seconds=60)
    try:
        with pytest.raises(ToolServerError):
            sessions.offers(ToolServer("web", url=f"http://127.0.0.1:{server.server_port}/mcp"))
    finally:
        sessions.close()
        server.shutdown()
        server.server_close()
    assert set(asked) == {"identity"}
    assert is_packed or max(sent) >= 15
    assert max(sent, default=0) < 512

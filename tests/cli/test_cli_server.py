"""``ondol up``, ``serve``, ``down``, ``ps``, ``stop``; and the other commands while one runs."""

from __future__ import annotations

import signal
import socket
import subprocess

import httpx2
import psutil
import pytest
from terminal import COMMAND

pytestmark = pytest.mark.model


def test_up_starts_a_server_that_answers_and_says_what_is_next(ondol, config) -> None:
    result = ondol("up", "--port", 0)
    try:
        assert result.code == 0
        address = result.stdout.split()[-1]
        assert httpx2.get(f"{address}/ondol/v1/health").json()["status"] == "ok"
        assert all(word in result.stderr for word in ("ondol add", "ondol ask", "ondol down"))
    finally:
        stopped = ondol("down")
    assert stopped.code == 0 and address in stopped.stdout


def test_second_up_says_where_the_first_one_is(ondol, server: str) -> None:
    again = ondol("up", "--port", 1)
    assert again.code == 0 and server in again.stdout and "already" in again.stdout
    assert ondol("up", "--quiet").stdout == f"{server}\n"
    assert ondol("up", "--foreground", "--json").json["started"] is False


def test_taken_port_is_named_with_what_to_do(ondol, config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for command in ("up", "serve"):
            result = ondol(command, "--port", port)
            assert result.code == 2 and str(port) in result.stderr and "--port" in result.stderr
            assert "Traceback" not in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_well_when_told_to(config, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "http://127.0.0.1:" in process.stdout.readline()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in stderr


def test_nothing_running_is_a_sentence(ondol) -> None:
    for command in (["ps"], ["down"], ["stop", "smollm2:135m"], ["stop", "--server"]):
        result = ondol(*command)
        assert result.code == 0 and "Traceback" not in result.stderr
    assert "ondol up" in ondol("ps").stderr
    assert ondol("ps", "--json").json == {"loaded": []}
    assert ondol("down", "--json").json == {"stopped": False}
    assert ondol("stop", "x", "--json").json == {"stopped": False}


def test_stop_needs_a_name(ondol) -> None:
    assert ondol("stop").code == 2


def test_run_uses_the_running_server_s_model(ondol, server: str) -> None:
    result = ondol("run", "smollm2:135m", "Say hello.", "--max-tokens", 4, "--json")
    assert result.code == 0 and result.json["usage"]["completion_tokens"] == 4
    (loaded,) = ondol("ps", "--json").json["loaded"]
    assert loaded["model"] == "smollm2:135m"
    # Two slots of 90 MiB; set aside, so it is in what the process holds.
    assert loaded["kv_cache_bytes"] == 2 * 90 * 2**20 < loaded["size_bytes"]
    assert loaded["cache_type"] == "f16"
    shown = ondol("ps").stdout
    assert "smollm2:135m" in shown and "188.7 MB f16" in shown
    assert ondol("stop", "smollm2:135m", "--json").json == {"stopped": True}
    assert ondol("ps", "--json").json == {"loaded": []}
    assert ondol("stop", "nosuch").code == 3


@pytest.mark.slow
def test_answers_are_the_same_with_and_without_a_server(ondol, server: str, papers) -> None:
    ondol("add", papers)
    commands = (
        ["ask", "When does the warranty of the washing machine end?", "--max-tokens", 12, "--json"],
        ["ask", "Who composed the opera about the moon landing?", "--json"],
        ["search", "apple trees", "--json"],
        ["run", "Say hello.", "--temperature", 0, "--max-tokens", 6, "--json"],
        ["ask", "anything", "--model", "nosuch", "--json"],
    )
    with_server = [ondol(*command) for command in commands]
    assert ondol("ps", "--json").json["loaded"]
    ondol("down")
    without = [ondol(*command) for command in commands]
    for one, other in zip(with_server, without, strict=True):
        assert one.code == other.code
        changing = dict.fromkeys(("seconds", "cost", "ledger_id"))
        assert one.json | changing == other.json | changing
    ondol("up", "--port", 0)


def test_human_answer_streams_through_the_server(ondol, server: str, papers) -> None:
    ondol("add", papers)
    result = ondol("ask", "Who planted the apple trees?", "--max-tokens", 8, "--verbose")
    assert result.code == 0 and "[1] " in result.stdout and "garden.txt" in result.stdout
    assert "tokens" in result.stderr


def test_interrupted_client_stops_the_server_s_generation(ondol, server: str) -> None:
    process = subprocess.Popen(
        [*COMMAND, "run", "smollm2:135m", "Write a very long story.", "--max-tokens", "4000"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.read(20)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    with httpx2.Client(base_url=server) as client:
        while client.get("/ondol/v1/loaded").json()["loaded"][0]["in_use"]:
            pass


def test_server_killed_in_the_middle_is_a_sentence(ondol, config) -> None:
    pid = ondol("up", "--port", 0, "--json").json["pid"]
    process = subprocess.Popen(
        [*COMMAND, "run", "smollm2:135m", "Write a very long story.", "--max-tokens", "4000"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.read(20)
    family = psutil.Process(pid).children(recursive=True)
    psutil.Process(pid).kill()
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 4 and "ondol up" in stderr and "Traceback" not in stderr
    assert not psutil.wait_procs(family, timeout=10)[1]


def test_key_of_the_settings_is_sent(ondol, config) -> None:
    ondol("config", "set", "server.api_key", "s3cret")
    url = ondol("up", "--port", 0, "--json").json["url"]
    try:
        assert httpx2.get(f"{url}/ondol/v1/loaded").status_code == 401
        assert ondol("ps").code == 0
        refused = ondol("ps", "--json", ONDOL_API_KEY="wrong")
        assert refused.code == 1 and refused.json["error"]["code"] == "unauthorized"
    finally:
        ondol("down")


def test_removed_model_leaves_the_server_s_memory(ondol, own_models, monkeypatch) -> None:
    ondol("up", "--port", 0)
    try:
        ondol("run", "smollm2:135m", "hello", "--max-tokens", 1)
        assert ondol("rm", "smollm2:135m").code == 0
        assert ondol("ps", "--json").json == {"loaded": []}
    finally:
        ondol("down")


@pytest.mark.parametrize(
    ("environ", "is_terminal", "opens"),
    [
        ({"DISPLAY": ":0"}, True, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True, True),
        ({"DISPLAY": ":0"}, False, False),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1 2 3 4"}, True, False),
        ({}, True, False),
    ],
)
def test_the_page_is_opened_where_somebody_sits_before_a_screen(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], is_terminal: bool, opens: bool
) -> None:
    import webbrowser

    from ondol.cli import server as command

    opened: list[str] = []
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(command.sys, "platform", "linux")
    monkeypatch.setattr(command.sys.stdout, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(webbrowser, "open", opened.append)
    command._open_page("http://127.0.0.1:11435")
    assert opened == (["http://127.0.0.1:11435"] if opens else [])

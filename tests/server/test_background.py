"""The running server as a process: its address file, its lock, its port, its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from ondol.errors import AddressInUseError, ConfigError
from ondol.server import background, listening
from ondol.server.background import StartFailedError, log_file, running, state_file, stop

PATIENCE_SECONDS = 60

# What `ondol serve` does, with a model that is scripted: it says a word whenever a file appears.
SERVER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from house import GatedEngine, HashEmbedder, ScriptedPool, add_models
from ondol import config
from ondol.errors import OndolError
from ondol.parts import Parts
from ondol.server import listening
from ondol.server.background import serve
from ondol.types import Token, Usage

listening.GRACE_SECONDS = 2
home = Path(sys.argv[2])

class Engine(GatedEngine):
    def generate(self, messages, options):
        yield Token("first ")
        while not (home / "go-on").exists():
            time.sleep(0.01)
        yield Token("last", finish_reason="stop", usage=Usage(1, 2))

class Pool(ScriptedPool):
    def close(self):
        (home / "engines-closed").touch()

try:
    parts = Parts(config.load().with_flags({"server.port": sys.argv[3]}))
    home.mkdir(exist_ok=True)
    add_models(parts.store, home)
    pool = Pool()
    pool.engines["smollm2:135m"] = Engine()
    parts._built |= {"pool": pool, "embedder": HashEmbedder()}
    serve(parts, on_ready=lambda info: print(info.url, flush=True))
except OndolError as error:
    print(f"error: {error.message}\\nhint: {error.hint}", file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    script = tmp_path / "serve.py"
    script.write_text(SERVER)
    return script


@pytest.fixture
def start(script: Path, home: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a server process; it is killed after the test if it still runs."""
    started = []

    def start(port: int = 0) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(script, home, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=PATIENCE_SECONDS)


def command(script: Path, home: Path, port: int = 0) -> list[str]:
    return [sys.executable, str(script), str(Path(__file__).parent), str(home), str(port)]


def ready(process: subprocess.Popen[str]) -> str:
    """The address of a server that answers."""
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url, process.communicate(timeout=PATIENCE_SECONDS)
    return url


def get(url: str) -> httpx2.Response:
    return httpx2.get(url, trust_env=False, verify=False, timeout=PATIENCE_SECONDS)


def client_of(url: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, trust_env=False, verify=False, timeout=PATIENCE_SECONDS)


def test_nothing_runs_in_a_fresh_home(home: Path) -> None:
    assert running() is None
    assert not home.exists()


def test_a_server_can_be_found_until_it_ends(start, home: Path) -> None:
    process = start()
    url = ready(process)
    info = running()
    assert info is not None
    assert (info.url, info.pid) == (url, process.pid) and info.port > 0
    assert stat.S_IMODE(state_file().stat().st_mode) == 0o600
    assert get(url).text == "Ollama is running"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 0
    assert running() is None and not state_file().exists()
    assert (home / "engines-closed").exists()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_running_answer_may_finish_before_the_end(start, home: Path, name: str) -> None:
    process = start()
    body = {"model": "smollm2:135m", "prompt": "x"}
    with httpx2.Client(
        base_url=ready(process), trust_env=False, timeout=PATIENCE_SECONDS
    ) as client:
        with client.stream("POST", "/api/generate", json=body) as response:
            lines = response.iter_lines()
            assert json.loads(next(lines))["response"] == "first "
            process.send_signal(getattr(signal, name))
            (home / "go-on").touch()
            rest = [json.loads(line) for line in lines]
    assert rest[0]["response"] == "last" and rest[-1]["done"]
    assert process.wait(PATIENCE_SECONDS) == 0
    assert process.stderr is not None and process.stderr.read() == ""


def test_an_answer_that_never_ends_does_not_keep_the_server(start, home: Path) -> None:
    process = start()
    body = {"model": "smollm2:135m", "prompt": "x"}
    with httpx2.Client(
        base_url=ready(process), trust_env=False, timeout=PATIENCE_SECONDS
    ) as client:
        with client.stream("POST", "/api/generate", json=body) as response:
            lines = response.iter_lines()
            next(lines)
            process.send_signal(signal.SIGTERM)
            assert "about to end" in list(lines)[-1]
            # The engine of this test cannot be stopped while it waits; a real one is killed.
            (home / "go-on").touch()
    assert process.wait(PATIENCE_SECONDS) == 0
    assert not state_file().exists()


def test_a_second_server_is_refused_with_the_address_of_the_first(start) -> None:
    url = ready(start())
    second = start()
    _, errors = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == AddressInUseError.exit_code
    assert url in errors and "ondol down" in errors
    assert running() is not None


def test_after_kill_9_nothing_runs_and_a_new_server_can_start(start) -> None:
    first = start()
    ready(first)
    first.kill()
    first.wait(PATIENCE_SECONDS)
    assert state_file().exists()
    assert running() is None
    assert not state_file().exists()
    url = ready(start())
    info = running()
    assert info is not None and info.url == url


def test_an_address_file_of_a_program_that_is_not_ondol_is_not_believed(home: Path) -> None:
    background.paths.ensure(background.paths.state_dir())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fields = {"pid": os.getpid(), "host": "127.0.0.1", "port": listener.getsockname()[1]}
        for content in (json.dumps(fields | {"started_at": "", "version": ""}), "{", "[]", "7"):
            state_file().write_text(content)
            assert running() is None


def test_a_taken_port_is_named_with_its_holder(start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(port)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == AddressInUseError.exit_code
    assert f"Port {port} is taken by" in errors and str(os.getpid()) in errors
    assert "hint:" in errors and not state_file().exists()


def test_a_port_that_nobody_may_take_is_an_error_of_configuration() -> None:
    with pytest.raises(ConfigError, match="no address"):
        listening.listen("no.such.host.invalid", 0)
    with pytest.raises(ConfigError, match="Cannot listen"):
        listening.listen("203.0.113.1", 0)


def test_ipv6_loopback_has_brackets_in_its_address() -> None:
    info = background.ServerInfo(1, "::1", 80, "", "")
    assert info.url == "http://[::1]:80"
    assert background.ServerInfo(1, "0.0.0.0", 80, "", "").url == "http://127.0.0.1:80"


def test_a_server_starts_in_the_background_once(script: Path, home: Path) -> None:
    waits: list[float] = []
    info = background.start_in_background(command=command(script, home), on_wait=waits.append)
    try:
        assert get(f"{info.url}/ondol/v1/health").json()["status"] == "ok"
        assert info.pid != os.getpid() and waits
        assert os.getsid(info.pid) != os.getsid(0)
        again = background.start_in_background(command=["/bin/false"])
        assert again == info
    finally:
        assert stop(info)
    assert running() is None
    assert (home / "engines-closed").exists()
    assert stop(info)


def test_two_at_once_find_the_same_server(script: Path, home: Path) -> None:
    code = (
        "import sys; from ondol.server.background import start_in_background;"
        "print(start_in_background(command=sys.argv[1:]).url)"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, *command(script, home)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    urls = {process.communicate(timeout=PATIENCE_SECONDS)[0].strip() for process in both}
    info = running()
    assert info is not None
    try:
        assert urls == {info.url}
    finally:
        assert stop(info)


def test_a_background_server_that_dies_says_why(script: Path, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartFailedError, match=f"Port {port} is taken") as caught:
            background.start_in_background(command=command(script, home, port))
    assert caught.value.exit_code == AddressInUseError.exit_code
    assert "ondol serve --port 0" in caught.value.hint
    assert stat.S_IMODE(log_file().stat().st_mode) == 0o600


def test_a_background_server_that_dies_in_silence_points_to_its_log(home: Path) -> None:
    with pytest.raises(StartFailedError, match="ended before") as caught:
        background.start_in_background(command=[sys.executable, "-c", ""])
    assert str(log_file()) in caught.value.hint


def test_a_background_server_that_never_answers_is_given_up(home: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    with pytest.raises(StartFailedError, match="in time"):
        background.start_in_background(command=sleeper, timeout_seconds=0.3)


def test_ollamas_port_is_shared_when_it_is_free_and_left_alone_when_not(
    start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONDOL_OLLAMA_PORT", "true")
    try:
        probe = socket.create_server(("127.0.0.1", background.OLLAMA_PORT))
    except OSError:
        pytest.skip("something already listens on Ollama's port")
    probe.close()
    first = start()
    ready(first)
    assert get(f"http://127.0.0.1:{background.OLLAMA_PORT}/").text == "Ollama is running"
    first.terminate()
    assert first.wait(PATIENCE_SECONDS) == 0
    with socket.create_server(("127.0.0.1", background.OLLAMA_PORT)):
        assert get(ready(start())).status_code == 200


def test_access_is_never_logged(start) -> None:
    process = start()
    url = ready(process)
    get(f"{url}/api/tags?secret=1")
    process.terminate()
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert "secret" not in output + errors


def test_a_port_is_free_again_as_soon_as_its_server_has_gone() -> None:
    with listening.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(AddressInUseError):
            listening.listen("127.0.0.1", port)
    listening.listen("127.0.0.1", port).close()


def test_a_module_in_the_folder_that_one_is_in_is_not_the_server(tmp_path: Path) -> None:
    (tmp_path / "ondol.py").write_text("print('not ours')")
    command = [*background.SERVE, "--help"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "not ours" not in said and "serve" in said

"""The child by itself, and the runtime seam: a binary that takes llama-server's flags."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from ondol.engine import rendezvous, runtime
from ondol.engine.complaints import is_of_memory, useful_line
from ondol.engine.process import EngineProcess, Launch
from ondol.engine.settings import EngineSettings
from ondol.engine.wire import connect
from ondol.errors import ConfigError, EngineCrashedError, EngineError
from ondol.types import GenerateOptions, Message

QUESTION = [Message("user", "Tell a very long story")]
LAUNCH = Launch("m", "/models/m.gguf", 512, 1, 1, -1)


@pytest.fixture
def child(spec):
    process = EngineProcess(runtime.launch(spec, 512, EngineSettings()))
    process.wait_ready(60)
    yield process
    process.kill()


def status(child: EngineProcess, path: str, key: str, **headers: str) -> tuple[int, dict[str, str]]:
    with connect(child.address, key) as client:
        response = client.get(path, headers=headers)
        return response.status_code, dict(response.headers)


@pytest.mark.parametrize("has_socket", [True, False], ids=["socket file", "loopback"])
def test_the_child_keeps_its_door_shut(spec, monkeypatch, has_socket):
    if not has_socket:
        monkeypatch.setattr(rendezvous, "make", lambda: None)
    child = EngineProcess(runtime.launch(spec, 512, EngineSettings()))
    child.wait_ready(60)
    try:
        assert child.address.startswith("unix:/" if has_socket else "http://127.0.0.1:")
        assert status(child, "/props", "y")[0] == 401
        assert status(child, "/slots", "x")[0] == 401
        code, headers = status(child, "/props", child.key, Origin="http://evil.example")
        assert code == 200
        assert headers.get("access-control-allow-origin", "") == ""
        assert status(child, "/", child.key)[0] == 404
    finally:
        child.kill()


def test_the_child_listens_on_no_port_and_only_its_owner_reaches_it(child):
    assert psutil.Process(child.pid).net_connections(kind="inet") == []
    folder = Path(child.address.removeprefix("unix:")).parent
    assert folder.stat().st_mode & 0o777 == 0o700


def test_sockets_of_a_killed_parent_are_swept_and_others_are_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("ondol-engine-abc", "ondol-0-abc", "ondol-notes-2031"):
        (tmp_path / name).mkdir()
    before, made = rendezvous.make(), rendezvous.make()
    assert made is not None
    left = {folder.name for folder in tmp_path.iterdir()} - {made.parent.name}
    if made.is_relative_to(tmp_path):
        assert left == {before.parent.name, "ondol-0-abc", "ondol-notes-2031"}
    rendezvous.remove(before)
    rendezvous.remove(made)
    rendezvous.remove(made)
    assert not made.parent.exists()


def test_socket_moves_to_a_shorter_folder_when_the_path_would_be_too_long(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    made = rendezvous.make()
    assert made is not None
    assert len(str(made)) <= rendezvous.MAX_PATH_BYTES
    assert list(long.iterdir()) == []
    rendezvous.remove(made)


def test_the_key_shows_in_no_process_list_and_openmp_waits_passively(child):
    process = psutil.Process(child.pid)
    assert child.key not in " ".join(process.cmdline())
    assert process.environ()["OMP_WAIT_POLICY"] == "passive"
    assert child.key not in " ".join(process.environ().values())


def test_killing_leaves_nothing_and_may_be_repeated(child, gone):
    socket_file = Path(child.address.removeprefix("unix:"))
    assert socket_file.exists()
    child.kill()
    child.kill()
    assert gone(child.pid)
    assert not child.alive()
    assert child.rss_bytes() == 0
    assert not socket_file.parent.exists()


def test_a_child_killed_while_it_loads_is_a_sentence(spec):
    process = EngineProcess(runtime.launch(spec, 512, EngineSettings()))
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(EngineCrashedError) as caught:
        process.wait_ready(60)
    assert spec.name in caught.value.message


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (
            [
                "0.1 E gguf_init_from_reader: failed to read magic",
                "0.1 E llama_model_load: error loading model: llama_model_loader: failed to load",
            ],
            "failed to read magic",
        ),
        (
            [
                "load_tensors: loading model tensors",
                "0.1 E llama_model_load: error loading model: unknown model architecture: 'x'",
                "0.1 E common_init_: failed to load model '/models/m.gguf'",
            ],
            "unknown model architecture: 'x'",
        ),
        (["warming up", "error: cannot open /models/m.gguf."], "cannot open m"),
        (["just this"], "just this"),
        ([], ""),
    ],
)
def test_the_line_that_says_why_is_found(log, line):
    assert useful_line(log, [(LAUNCH.name, LAUNCH.model)]) == line


@pytest.mark.parametrize(
    ("log", "is_memory"),
    [
        (["ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 9"], True),
        (["llama_model_load: error loading model: unable to allocate CPU buffer"], True),
        (["0.1 E mmap failed: Cannot allocate memory"], True),
        (["E ggml_aligned_malloc: insufficient memory (attempted to allocate 9.00 MB)"], True),
        (["terminate called after throwing an instance of 'std::bad_alloc'", "what():"], True),
        (["error: this build knows no such GPU"], False),
        (["0.1 E unknown model architecture: 'x'"], False),
    ],
)
def test_too_little_memory_is_told_from_a_fault(log: list[str], is_memory: bool) -> None:
    assert is_of_memory(useful_line(log, []), log) == is_memory


def test_a_binary_answers_like_the_bundled_runtime(make_pool, llama_server, gone, until):
    pool = make_pool(runtime=str(llama_server))
    engine = pool.engine("a")
    tokens = list(engine.generate(QUESTION, GenerateOptions(max_tokens=3, logprobs=2)))
    assert tokens[-1].finish_reason == "length"
    assert tokens[-1].usage.prompt_tokens > 0
    assert len(tokens[0].top) == 2
    (loaded,) = pool.loaded()
    supervisor = psutil.Process(loaded.pid)
    (binary,) = supervisor.children()
    assert str(llama_server) in binary.cmdline()
    key = pool._residents["a"].process.key
    assert key not in " ".join(binary.cmdline() + supervisor.cmdline())
    assert loaded.size_bytes > binary.memory_info().rss * 0.9
    # kill -9 of the binary itself
    stream = engine.generate(QUESTION, GenerateOptions(max_tokens=900))
    next(stream)
    binary.kill()
    with pytest.raises(EngineCrashedError) as caught:
        list(stream)
    assert "SIGKILL" in caught.value.message
    until(lambda: gone(supervisor.pid))
    # kill -9 of the supervisor
    assert engine.count_tokens("hello world") == 2
    supervisor = psutil.Process(pool.loaded()[0].pid)
    (binary,) = supervisor.children()
    supervisor.kill()
    until(lambda: gone(binary.pid))
    pool.close()


def test_a_binary_embeds(make_pool, spec, llama_server):
    from dataclasses import replace

    pool = make_pool(
        runtime=str(llama_server),
        num_ctx=512,
        locate=lambda name: replace(spec, kind="embedding", pooling="mean"),
    )
    assert pool.engine("a").embed(["one", "two"]).shape == (2, 576)
    pool.close()


def test_a_binary_that_fails_says_why(make_pool, llama_server, monkeypatch):
    monkeypatch.setenv("DOUBLE_MODE", "fail")
    pool = make_pool(runtime=str(llama_server))
    with pytest.raises(EngineError) as caught:
        pool.load("a")
    assert "no such GPU" in caught.value.message


def test_a_binary_that_never_answers_is_given_up(make_pool, llama_server, monkeypatch):
    monkeypatch.setenv("DOUBLE_MODE", "hang")
    pool = make_pool(runtime=str(llama_server), start_timeout_seconds=2)
    with pytest.raises(EngineError) as caught:
        pool.load("a")
    assert "start_timeout_seconds" in caught.value.hint
    assert pool.loaded() == []


def test_bundled_is_no_binary():
    assert runtime.resolve("bundled") is None


def test_auto_is_bundled_where_no_engine_was_checked(llama_server, monkeypatch):
    monkeypatch.setenv("PATH", str(llama_server.parent))
    assert runtime.resolve("auto") is None


def test_a_wrong_path_is_a_config_error(tmp_path, make_pool):
    plain = tmp_path / "file"
    plain.write_text("")
    for path in (plain, tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigError) as caught:
            runtime.resolve(str(path))
        assert str(path) in caught.value.message
        assert "bundled" in caught.value.hint
    pool = make_pool(runtime=str(tmp_path / "missing"))
    with pytest.raises(ConfigError):
        pool.load("a")


def test_a_name_on_the_path_is_a_path(llama_server, monkeypatch):
    monkeypatch.setenv("PATH", str(llama_server.parent))
    assert runtime.resolve("llama-server") == Path(llama_server)


def test_threads_are_the_cores_this_process_may_use():
    assert 1 <= runtime.count_threads() <= len(os.sched_getaffinity(0))

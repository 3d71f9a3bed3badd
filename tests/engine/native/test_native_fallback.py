"""A native engine that fails: the bundled one answers, its owner is told once, and it rests."""

from __future__ import annotations

from pathlib import Path

import pytest

from ondol.engine.native import fallback, records
from ondol.engine.native.records import NativeEngine
from ondol.engine.process import Launch
from ondol.engine.starter import NoProcess
from ondol.errors import EngineCrashedError, EngineError, InvalidModelError, ModelTooLargeError
from ondol.types import GenerateOptions, Message

QUESTION = [Message("user", "Tell a very long story")]
NATIVE = Launch("m", "/models/m.gguf", 512, 1, 1, -1, binary="/x/llama-server", engine="native-1")
BUNDLED = Launch("m", "/models/m.gguf", 512, 1, 1, -1)


@pytest.fixture
def native(llama_server: Path) -> NativeEngine:
    """The double as the engine that serves."""
    stamp = records.stamp_of(llama_server)
    assert stamp is not None
    engine = NativeEngine(
        name="native-1",
        kind="built",
        binary=str(llama_server),
        stamp=stamp,
        takes_socket=True,
        health={"ok": True},
    )
    records.write(engine)
    records.use(engine.name)
    return engine


@pytest.mark.model
def test_a_native_engine_answers_at_a_socket_that_only_its_owner_reaches(make_pool, native):
    import psutil

    with make_pool(runtime="auto") as pool:
        assert len(list(pool.engine("a").generate(QUESTION, GenerateOptions(max_tokens=2)))) > 1
        process = pool._residents["a"].process
        assert process.launch.engine == native.name
        assert process.address.startswith("unix:/")
        (binary,) = psutil.Process(process.pid).children()
        assert str(native.path) in binary.cmdline()
        assert binary.net_connections(kind="inet") == []


@pytest.mark.model
def test_an_engine_that_does_not_start_leaves_the_bundled_one_to_answer(
    make_pool, native, monkeypatch
):
    monkeypatch.setenv("DOUBLE_MODE", "fail")
    with make_pool(runtime="auto") as pool:
        assert len(list(pool.engine("a").generate(QUESTION, GenerateOptions(max_tokens=2)))) > 1
        assert pool._residents["a"].process.launch.binary == ""
    assert records.serving() is None
    ((name, reason),) = fallback.untold()
    assert name == native.name
    assert "no such GPU" in reason
    assert fallback.untold() == []


@pytest.mark.model
def test_an_engine_that_crashes_in_an_answer_is_left(make_pool, native, monkeypatch, tmp_path):
    monkeypatch.setenv("DOUBLE_MODE", "crash")
    monkeypatch.setenv("DOUBLE_CUE", str(tmp_path / "cue"))
    with make_pool(runtime="auto") as pool:
        engine = pool.engine("a")
        answer = engine.generate(QUESTION, GenerateOptions(max_tokens=900))
        assert next(answer).text
        (tmp_path / "cue").touch()
        with pytest.raises(EngineCrashedError, match="SIGABRT"):
            list(answer)
        assert records.serving() is None
        assert len(list(engine.generate(QUESTION, GenerateOptions(max_tokens=2)))) > 1
        assert pool._residents["a"].process.launch.binary == ""


def test_a_kill_from_outside_is_not_the_engines_fault(native):
    for code in (None, 0, -9, -15):
        fallback.ended(native.name, code, "ended")
    assert records.serving() == native
    fallback.ended(native.name, -4, "ended by SIGILL")
    assert records.serving() is None


def test_nor_is_a_kill_while_it_loads(native):
    def begin(launch: Launch) -> str:
        if launch.engine:
            raise EngineCrashedError("killed while it was loading")
        return "bundled"

    assert fallback.begun(NATIVE, lambda: BUNDLED, begin) == "bundled"
    assert records.serving() == native


def test_where_the_bundled_engine_fails_too_nobody_is_blamed(native):
    def begin(launch: Launch) -> None:
        raise EngineError("no memory")

    with pytest.raises(EngineError):
        fallback.begun(NATIVE, lambda: BUNDLED, begin)
    assert records.serving() == native


@pytest.mark.parametrize("error", [ModelTooLargeError, NoProcess])
def test_a_moment_without_memory_is_forgotten_with_the_next_start(native, error):
    has_memory = False

    def begin(launch: Launch) -> str:
        if launch.engine and not has_memory:
            raise error("no memory")
        return launch.engine or "bundled"

    assert fallback.begun(NATIVE, lambda: BUNDLED, begin) == "bundled"
    assert fallback.fits(NATIVE.engine, NATIVE.model)
    assert records.serving() == native and fallback.untold() == []
    has_memory = True
    assert fallback.begun(NATIVE, lambda: BUNDLED, begin) == NATIVE.engine


@pytest.mark.slow
@pytest.mark.model
def test_an_engine_whose_start_had_no_memory_serves_the_next_model(make_pool, native, monkeypatch):
    monkeypatch.setenv("DOUBLE_MODE", "full")
    with make_pool(runtime="auto") as pool:
        assert len(list(pool.engine("a").generate(QUESTION, GenerateOptions(max_tokens=2)))) > 1
        assert pool._residents["a"].process.launch.binary == ""
        monkeypatch.delenv("DOUBLE_MODE")
        assert pool.stop("a")
        assert len(list(pool.engine("a").generate(QUESTION, GenerateOptions(max_tokens=2)))) > 1
        assert pool._residents["a"].process.launch.engine == native.name


def test_a_model_that_only_the_bundled_engine_can_load_is_left_to_it(native):
    def begin(launch: Launch) -> str:
        if launch.engine:
            raise InvalidModelError("unknown architecture")
        return "bundled"

    launch = Launch("m", "/models/strange.gguf", 512, 1, 1, -1, engine=native.name)
    assert fallback.begun(launch, lambda: BUNDLED, begin) == "bundled"
    assert records.serving() == native
    assert not fallback.fits(native.name, "/models/strange.gguf")
    assert fallback.fits(native.name, "/models/m.gguf")

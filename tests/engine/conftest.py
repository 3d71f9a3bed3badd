"""What the engine's tests share: the real model, pools that are always closed, a double binary."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ondol.engine.pool import EnginePool, EngineSettings, ModelSpec

DOUBLE = Path(__file__).with_name("llama_server_double.py")

PoolFactory = Callable[..., EnginePool]


@pytest.fixture(scope="session")
def spec(chat_model_file: Path) -> ModelSpec:
    size = chat_model_file.stat().st_size
    return ModelSpec("smollm2:135m", chat_model_file, "sha256:1", size, num_ctx=8192)


@pytest.fixture(scope="module")
def make_pool(spec: ModelSpec) -> Iterator[PoolFactory]:
    """Pools over the real model under any name; all are closed in the end."""
    pools: list[EnginePool] = []

    def make(*, locate=None, memory_need=None, available_bytes=None, **settings) -> EnginePool:
        pool = EnginePool(
            EngineSettings(**({"num_ctx": 1024, "start_timeout_seconds": 60} | settings)),
            locate or (lambda name: replace(spec, name=name)),
            memory_need=memory_need,
            available_bytes=available_bytes,
        )
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.close()


@pytest.fixture(scope="module")
def pool(make_pool: PoolFactory) -> EnginePool:
    """One pool for all tests of a module that leave it as they found it."""
    return make_pool()


@pytest.fixture(scope="session")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An executable that takes llama-server's flags and speaks its HTTP, with the real model."""
    binary = tmp_path_factory.mktemp("bin") / "llama-server"
    binary.write_text(f"#!{sys.executable}\n" + DOUBLE.read_text())
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    return binary


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def gone() -> Callable[[int], bool]:
    return is_gone

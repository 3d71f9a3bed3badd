"""Which adapters a pool loads, over processes that are only pretended: what changes while a request
waits, and what cannot be loaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ondol.engine import pool as pool_module
from ondol.engine import resident
from ondol.engine.generation import Cancellation
from ondol.engine.llama import Loaded
from ondol.engine.pool import AdapterFile, EnginePool, EngineSettings, ModelSpec
from ondol.engine.process import Launch
from ondol.errors import AdapterNotFoundError, InvalidModelError, ModelTooLargeError

BASE_BYTES = 60


class Process:
    """A child that is ready at once, unless it was given an adapter that is broken."""

    launched: list[tuple[str, ...]] = []  # noqa: RUF012
    seconds = 0.0
    address = key = ""
    pid = 1

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self._paths = tuple(path for _, path in launch.adapters)
        self.launched.append(self._paths)
        self._is_alive = True

    def wait_ready(self, timeout_seconds: float) -> None:
        time.sleep(self.seconds)
        if any("broken" in path for path in self._paths):
            raise InvalidModelError("broken")

    def alive(self) -> bool:
        return self._is_alive

    def kill(self) -> None:
        self._is_alive = False

    def private_bytes(self) -> int:
        return 0


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The adapters of every child that was started, by path."""
    monkeypatch.setattr(Process, "launched", [])
    monkeypatch.setattr(resident, "EngineProcess", Process)
    monkeypatch.setattr(pool_module, "connect", lambda address, key: object())
    return Process.launched


@pytest.fixture
def installed() -> list[AdapterFile]:
    """What is installed now; a test may change it while the pool runs."""
    return [adapter("a"), adapter("b")]


@pytest.fixture
def available() -> list[int]:
    return [1000]


@pytest.fixture
def pool(
    launched: list[tuple[str, ...]], installed: list[AdapterFile], available: list[int]
) -> Iterator[EnginePool]:
    def locate(name: str) -> ModelSpec:
        size = BASE_BYTES + sum(one.size_bytes for one in installed)
        return ModelSpec(name, Path("base"), "sha256:1", size, adapters=tuple(installed))

    with EnginePool(
        EngineSettings(threads=1),
        locate,
        memory_need=lambda spec, num_ctx: spec.size_bytes,
        available_bytes=lambda: available[0],
    ) as pool:
        yield pool


def adapter(name: str, version: str = "1", size_bytes: int = 30) -> AdapterFile:
    return AdapterFile(name, Path(f"{name}{version}"), f"sha256:{name}{version}", size_bytes)


def load(pool: EnginePool, name: str = "") -> None:
    pool.engine("m", adapters={name: 1.0} if name else {}).load()


def held(pool: EnginePool) -> AbstractContextManager[Loaded]:
    """A request that is being answered with the bare model."""
    return pool._lease("m", None, None, Cancellation(), True, {})


def test_all_adapters_are_loaded_so_that_switching_needs_no_other_process(pool, launched):
    for name in ("", "a", "b", ""):
        load(pool, name)
    assert launched == [("a1", "b1")]


@pytest.fixture
def waiting(
    pool: EnginePool, installed: list[AdapterFile], until: Callable[..., None]
) -> Iterator[Callable[[int], list[Future[None]]]]:
    """Makes requests for "c", a new adapter, that wait until ``held`` ends."""
    with ThreadPoolExecutor(4) as threads:

        def wait(count: int) -> list[Future[None]]:
            installed.append(adapter("c"))
            found = [threads.submit(load, pool, "c") for _ in range(count)]
            until(lambda: pool._demand.count["m"] == 1 + count)
            until(lambda: pool._residents["m"].retiring)
            return found

        yield wait


def test_an_adapter_replaced_while_requests_wait_is_the_new_one_once(
    pool, launched, installed, waiting
):
    with held(pool):
        requests = waiting(3)
        installed[:] = [adapter(name, "2") for name in "abc"]
    for request in requests:
        request.result(20)
    assert launched == [("a1", "b1"), ("a2", "b2", "c2")]


def test_an_adapter_removed_while_a_request_waits_is_one_sentence(
    pool, launched, installed, waiting
):
    with held(pool):
        (request,) = waiting(1)
        installed.pop()
    with pytest.raises(AdapterNotFoundError, match="m has no adapter c"):
        request.result(20)
    load(pool)
    assert launched == [("a1", "b1"), ("a1", "b1")]


def test_a_request_that_knows_an_older_adapter_does_not_retire_the_newer(
    pool, launched, installed, monkeypatch
):
    """It looked before the adapter was replaced, and comes to its turn after."""
    arrived, go_on = threading.Event(), threading.Event()
    await_turn = EnginePool._await_turn

    def late(self, *arguments):
        if not arrived.is_set():
            arrived.set()
            self._changed.release()
            go_on.wait(20)
            self._changed.acquire()
        return await_turn(self, *arguments)

    monkeypatch.setattr(EnginePool, "_await_turn", late)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(load, pool, "a")
        assert arrived.wait(20)
        installed[0] = adapter("a", "2")
        load(pool, "a")
        go_on.set()
        slow.result(20)
    assert launched == [("a2", "b1")]


def test_a_broken_adapter_is_nobodys_loss_but_its_users(pool, launched, installed):
    installed[:] = [adapter("a"), adapter("broken")]
    load(pool)
    assert launched == [("a1", "broken1"), ()]
    load(pool, "a")
    assert launched[2:] == [("a1", "broken1"), ("a1",)]
    load(pool)
    assert len(launched) == 4
    with pytest.raises(InvalidModelError):
        load(pool, "broken")
    assert launched[4:] == [("a1", "broken1"), ("broken1",)]
    load(pool)


def test_those_who_wait_for_a_start_that_a_broken_adapter_ends_are_answered(
    pool, launched, installed, monkeypatch
):
    installed[:] = [adapter("a"), adapter("broken")]
    monkeypatch.setattr(Process, "seconds", 0.02)
    names = ["", "a"] * 8
    with ThreadPoolExecutor(len(names)) as threads:
        requests = []
        for name in names:
            requests.append(threads.submit(load, pool, name))
            time.sleep(0.005)  # so that some come while others' starts fail
        for request in requests:
            request.result(20)
    assert set(launched) <= {("a1", "broken1"), ("a1",), ()}


def test_adapters_that_nobody_asks_for_do_not_keep_a_model_out(pool, launched, available):
    available[0] = BASE_BYTES + 30
    load(pool)
    assert launched == [()]
    load(pool, "a")
    load(pool, "b")
    assert launched == [(), ("a1",), ("b1",)]
    available[0] = BASE_BYTES + 29
    pool.stop("m")
    with pytest.raises(ModelTooLargeError):
        load(pool, "a")
    load(pool)

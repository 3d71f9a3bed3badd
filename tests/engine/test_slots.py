"""Slots are given to callers in turn, and a wait ends when it has to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial

import pytest

from ondol import callers
from ondol.engine.generation import Cancellation, Cancelled
from ondol.engine.slots import Demand, Slots
from ondol.errors import EngineBusyError


class Desk:
    """Slots, and requests in threads of their own that say when they are answered."""

    def __init__(self, count: int = 1) -> None:
        self.changed = threading.Condition()
        self.slots = Slots(self.changed, count)
        self.order: list[str] = []
        self.is_gone = False
        self.release = threading.Semaphore(0)
        self.threads: list[threading.Thread] = []
        self.cancellations: dict[str, Cancellation] = {}

    def ask(self, caller: str, name: str, until: Callable[..., None]) -> None:
        """A request of ``caller`` that waits, or is answered until ``release``."""
        cancellation = self.cancellations[name] = Cancellation()

        def proceed() -> bool:
            cancellation.check()
            return not self.is_gone

        def work() -> None:
            try:
                with self.slots.one(cancellation, proceed):
                    self.order.append(name)
                    assert self.release.acquire(timeout=20)
            except Cancelled:
                self.order.append(f"{name} cancelled")

        before = len(self.slots._waiting) + len(self.order)
        with callers.calling(callers.Caller(caller)):
            thread = threading.Thread(target=partial(copy_context().run, work))
            thread.start()
        self.threads.append(thread)
        until(lambda: len(self.slots._waiting) + len(self.order) > before)

    def join(self) -> None:
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture
def desk(until: Callable[..., None]) -> Iterator[Desk]:
    desk = Desk()
    yield desk
    for _ in desk.threads:
        desk.release.release()
    desk.join()


def served(desk: Desk, until: Callable[..., None]) -> None:
    for number in range(len(desk.threads)):
        until(lambda at=number: len(desk.order) > at)
        desk.release.release()
    desk.join()


def test_one_program_with_many_requests_does_not_starve_another(desk: Desk, until) -> None:
    for name in ("a0", "a1", "a2", "a3", "b0", "c0", "b1"):
        desk.ask(name[0], name, until)
    served(desk, until)
    assert desk.order == ["a0", "a1", "b0", "c0", "a2", "b1", "a3"]


def test_programs_of_the_owner_take_turns_too(desk: Desk, until) -> None:
    for name in ("x0", "x1", "x2", "y0"):
        with callers.calling(callers.Caller(name=name[0])):
            assert callers.current().id == "owner"
        desk.ask(f"owner {name[0]}", name, until)
    served(desk, until)
    assert desk.order == ["x0", "x1", "y0", "x2"]


def test_a_wait_that_is_cancelled_leaves_the_line(desk: Desk, until) -> None:
    for name in ("a0", "a1", "b0"):
        desk.ask(name[0], name, until)
    desk.cancellations["a1"].cancel()
    until(lambda: "a1 cancelled" in desk.order)
    desk.release.release()
    until(lambda: "b0" in desk.order)
    assert len(desk.slots._waiting) == 0


def test_who_waits_for_what_is_gone_is_told(desk: Desk, until) -> None:
    desk.ask("a", "a0", until)
    desk.ask("b", "b0", until)
    with desk.changed:
        desk.is_gone = True
        desk.slots.wake()
    until(lambda: desk.order == ["a0", "b0"])


def test_an_error_frees_its_slot(desk: Desk, until) -> None:
    with pytest.raises(LookupError), desk.slots.one(Cancellation(), lambda: True):
        raise LookupError
    desk.ask("a", "a0", until)
    assert desk.order == ["a0"]


@contextmanager
def held(demand: Demand, caller: str, count: int) -> Iterator[None]:
    if not count:
        yield
        return
    with callers.calling(callers.Caller(caller)), demand.one("m"), held(demand, caller, count - 1):
        yield


def test_one_caller_cannot_have_every_place() -> None:
    demand = Demand(threading.Condition(), 16)
    with held(demand, "greedy", 14):
        with pytest.raises(EngineBusyError) as refused, held(demand, "greedy", 1):
            pass
        assert refused.value.retry_after_seconds > 0
        with (
            held(demand, "other", 2),
            pytest.raises(EngineBusyError),
            held(demand, "third", 1),
        ):
            pass
        assert demand.count["m"] == 14
    with held(demand, "greedy", 14):
        pass
    assert demand.count["m"] == 0

"""How long home waits for whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ondol.errors import UpdateRefusedError
from ondol.federated.coordinating import asking
from ondol.federated.coordinating.asking import Heard, Patience
from ondol.federated.grid import Failure

PATIENCE = Patience(training=1000.0, other=100.0, again=5.0, tries=9, grace=2)
GONE = Failure("gone", "")


class Clocked:
    """Devices that answer from some second on, and a clock that runs while they are asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, since: dict[int, float]) -> None:
        self.now, self.since, self.asked = 0.0, since, list[list[int]]()
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def nodes(self) -> list[int]:
        return list(self.since)

    def ask(self, stage: str, bodies: dict[int, bytes], timeout_seconds: float) -> dict[int, Any]:
        self.asked.append(list(bodies))
        last = max(self.since[node] for node in bodies)
        self.now = max(self.now, min(self.now + timeout_seconds, last))
        return {node: b"here" if self.since[node] <= self.now else GONE for node in bodies}

    def wait(self, seconds: float) -> None:
        self.now += seconds


def heard(grid: Clocked, need: int, patience: Patience = PATIENCE, **more: Any) -> Heard:
    check: Callable[..., Any] = more.pop("check", lambda node, said: None)
    bodies = {node: b"q" for node in grid.since}
    return asking.ask(
        grid, "train", bodies, need=need, check=check, patience=patience, wait=grid.wait, **more
    )


def test_all_who_answer_at_once_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Clocked(monkeypatch, {1: 0.0, 2: 0.0})
    found = heard(grid, 2)
    assert (found.answers, found.dropped) == ({1: b"here", 2: b"here"}, ())
    assert (found.bytes_up, found.bytes_down) == (8, 2) and len(grid.asked) == 1


def test_the_slower_ones_have_as_long_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = heard(Clocked(monkeypatch, {1: 150.0, 2: 160.0, 3: 390.0, 4: 5000.0}), 2)
    assert sorted(found.answers) == [1, 2, 3] and found.dropped == (4,)


def test_who_answered_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Clocked(monkeypatch, {1: 0.0, 2: 150.0})
    heard(grid, 2)
    assert grid.asked == [[1, 2], [2]]


def test_nobody_is_waited_for_longer_than_a_training_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grid = Clocked(monkeypatch, {1: 0.0, 2: 1e9})
    found = heard(grid, 2, most_seconds=300.0)
    assert found.dropped == (2,) and 300.0 <= grid.now < 420.0


def test_where_too_many_refuse_nobody_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(node: int, said: bytes) -> None:
        raise UpdateRefusedError("No.")

    grid = Clocked(monkeypatch, {1: 0.0, 2: 1e9})
    found = heard(grid, 2, check=check)
    assert found.refused == {1: "No."} and len(grid.asked) == 1


def test_where_enough_never_come_the_tries_end(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Clocked(monkeypatch, {1: 1e9, 2: 1e9})
    assert heard(grid, 2).dropped == (1, 2) and len(grid.asked) == PATIENCE.tries


def test_an_answer_that_nobody_foresaw_is_refused_and_the_others_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def check(node: int, said: bytes) -> None:
        if node == 2:
            raise ValueError("secret words of a vector")

    found = heard(Clocked(monkeypatch, {1: 0.0, 2: 0.0, 3: 0.0}), 2, check=check)
    assert sorted(found.answers) == [1, 3]
    assert found.refused == {2: "What came is no message of a round (ValueError)."}

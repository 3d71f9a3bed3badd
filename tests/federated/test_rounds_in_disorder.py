"""Whatever is lost, comes twice, comes late, or is killed, in whatever order: a round ends in the
very sum of those who are in it, or in none."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rounds import IMPATIENT, PLAN, SIZE, Household

from ondol import whole_file
from ondol.errors import OndolError, RoundFailedError
from ondol.federated.coordinating.device import Participant
from ondol.federated.coordinating.learned import Learned
from ondol.federated.coordinating.messages import Message
from ondol.federated.encoding import Codec
from ondol.federated.grid import Failure
from ondol.federated.privacy.clipping import clip

PATIENT = replace(IMPATIENT, tries=12, grace=2, ready=6, failures=3)
SECURE = replace(PLAN, rounds=2)
INDIVIDUAL = replace(SECURE, aggregation="individual")


class Killed(BaseException):
    """As if by SIGKILL: nothing catches it."""


class Fuse:
    """Ends who writes: at the n-th file from now, before it is there or right after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: list[int | None] = [None]
        write = whole_file.write

        def fused(*given: Any, **named: Any) -> None:
            left = self.left[-1]
            if left is not None:
                self.left[-1] = left - 1
                if left == 0:
                    raise Killed
            write(*given, **named)
            if left == 1:
                raise Killed

        monkeypatch.setattr(whole_file, "write", fused)

    @contextmanager
    def burning(self, left: int | None) -> Iterator[None]:
        self.left.append(left)
        try:
            yield
        finally:
            self.left.pop()


class Noting(Participant):
    """Tells what it encoded last for each round."""

    encodings: dict[tuple[int, bytes], Any]

    def encoded(self, learned: Learned, round: int, num_clients: int) -> Any:
        ring = super().encoded(learned, round, num_clients)
        self.encodings[round, self._signer.public_key] = (ring, num_clients)
        return ring


class Disorder:
    """A grid on which ``draw`` decides what becomes of each message."""

    def __init__(
        self, household: Household, fuse: Fuse, draw: random.Random, trouble: float
    ) -> None:
        self.household, self.fuse, self.draw, self.trouble = household, fuse, draw, trouble
        self.encodings: dict[tuple[int, bytes], Any] = {}
        self.asked: dict[int, list[tuple[str, bytes]]] = {node: [] for node in household.nodes}
        self.said: dict[tuple[Any, ...], set[bytes]] = {}
        self.asleep: set[int] = set()
        self.devices = {number: self._started(number) for number in range(household.count)}

    def nodes(self) -> list[int]:
        return self.household.nodes

    def ask(self, stage: str, bodies: dict[int, bytes], timeout_seconds: float) -> dict[int, Any]:
        if self.draw.random() < self.trouble / 3:
            raise Killed
        if stage == "ready":
            self.asleep.clear()
        elif self.draw.random() < self.trouble:
            self.asleep.add(self.draw.choice(self.household.nodes))
        order = list(bodies)
        self.draw.shuffle(order)
        with self.fuse.burning(None):
            came = {node: self._one(stage, node, bodies[node]) for node in order}
        if self.draw.random() < self.trouble / 3:
            raise Killed
        return came

    def _one(self, stage: str, node: int, body: bytes) -> bytes | Failure:
        number = self.household.nodes.index(node)
        lot = self.draw.random() / self.trouble if self.trouble else 9.0
        if lot < 0.2 or node in self.asleep:
            return Failure("gone", "lost on its way")
        if lot < 0.4:
            self.devices[number] = self._started(number)
        elif lot < 0.6 and self.asked[node]:
            self._answered(number, *self.draw.choice(self.asked[node]))
        fuse = self.draw.randint(0, 6) if 0.6 < lot < 0.8 else None
        self.asked[node].append((stage, body))
        try:
            with self.fuse.burning(fuse):
                said = self._answered(number, stage, body)
        except Killed:
            self.devices[number] = self._started(number)
            return Failure("gone", "killed")
        if isinstance(said, bytes):
            message = Message(self.household.plan, body)
            about = (stage, node, message.round, message._fields.get("sum"))
            if stage not in ("ready", "adopt"):
                self.said.setdefault(about, set()).add(said)
        return Failure("gone", "lost on its way back") if 0.8 < lot < 1.0 else said

    def _answered(self, number: int, stage: str, body: bytes) -> bytes | Failure:
        try:
            return self.devices[number].answer(stage, body)
        except OndolError as error:
            return Failure(error.code, error.message)

    def _started(self, number: int) -> Noting:
        household = self.household
        device = Noting(
            household.folder / f"device-{number}",
            household.plan,
            household.learners[number],
            household.identities[number],
            household.roster,
        )
        device.encodings = self.encodings
        return device


def until_it_ends(start: Callable[[], Any], fuse: Fuse, grid: Disorder) -> Any:
    """Home's side, begun again whenever it is killed; after a while all is quiet."""
    draw = grid.draw
    for turn in range(60):
        if turn == 40:
            grid.trouble = 0.0
        is_killed = draw.random() < grid.trouble
        coordinator = start()
        try:
            with fuse.burning(draw.randint(0, 40) if is_killed else None):
                coordinator.run()
        except Killed:
            continue
        except RoundFailedError:
            return coordinator
        return coordinator
    raise AssertionError("it never ends")


def check_sum(household: Household, grid: Disorder, record: Any, mean: Any) -> None:
    keys = {node: key for node, key in household.roster.items() if node in record.clients}
    rings = [grid.encodings[record.number, key] for key in keys.values()]
    codec = Codec.of(household.plan, rings[0][1], SIZE, record.number)
    if household.plan.aggregation == "secure":
        total = sum(ring.astype(np.int64) for ring, _ in rings)
        expected = codec.decode_sum(codec.wrap(total), len(rings)) / np.float32(len(rings))
        assert (mean == expected).all()
    else:
        # Rounding may lengthen an update a little; home cuts it as the device did.
        each = [clip(codec.decode_sum(ring, 1), PLAN.clip_norm) for ring, _ in rings]
        assert np.allclose(mean, np.mean(each, axis=0), atol=1e-6)


def play(seed: int, trouble: float, plan: Any, fuse: Fuse) -> str:
    """One federation in disorder; how its rounds ended."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        household = Household(Path(folder), draw.choice((3, 4, 5)), plan)
        grid = Disorder(household, fuse, draw, trouble)
        means: dict[int, Any] = {}

        def start() -> Any:
            def finished(event: str, fields: Any) -> None:
                if event == "finished" and not fields["failed"]:
                    means[fields["number"]] = coordinator.state.mean()

            coordinator = household.coordinator(grid, patience=PATIENT, on_event=finished)
            return coordinator

        coordinator = until_it_ends(start, fuse, grid)
        records = coordinator.state.records()
        assert [record.number for record in records] == list(range(1, len(records) + 1))
        vector = np.zeros(SIZE, np.float32)
        for record in records:
            assert bool(record.failed) == (not record.clients)
            if not record.failed:
                assert len(record.clients) >= 3
                if record.number in means:
                    check_sum(household, grid, record, means[record.number])
                    vector = vector + means[record.number]
        if len(means) == sum(not record.failed for record in records):
            last = coordinator.state.vector()
            assert (np.zeros(SIZE) == vector).all() if last is None else (last == vector).all()
        # One answer to a question, however often it is asked: so one vector under one key.
        assert all(len(said) == 1 for said in grid.said.values())
        return "".join("x" if record.failed else "." for record in records)


@pytest.fixture
def fuse(monkeypatch: pytest.MonkeyPatch) -> Fuse:
    return Fuse(monkeypatch)


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.integers(0, 2**32), st.sampled_from([0.05, 0.15, 0.3]))
def test_a_secret_round_ends_in_the_sum_of_who_is_in_it_or_in_none(
    fuse: Fuse, seed: int, trouble: float
) -> None:
    play(seed, trouble, SECURE, fuse)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**32), st.sampled_from([0.1, 0.3, 0.5]))
def test_an_open_round_ends_in_the_mean_of_who_is_in_it_or_in_none(
    fuse: Fuse, seed: int, trouble: float
) -> None:
    play(seed, trouble, INDIVIDUAL, fuse)

"""What home takes of updates that it sees, and of sums that it does not see into."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rounds import PLAN, SIZE, Household, Towards, Update

from ondol.errors import UpdateRefusedError
from ondol.federated.coordinating import checks, messages
from ondol.federated.coordinating.defences import (
    bad,
    median,
    multi_krum,
    robust_mean,
    trimmed_mean,
)
from ondol.federated.coordinating.learned import Learned
from ondol.federated.coordinating.messages import Message
from ondol.federated.encoding import Codec

INDIVIDUAL = replace(PLAN, aggregation="individual", rounds=2)
HONEST = np.random.default_rng(0).normal(0.1, 0.02, (10, 6)).astype(np.float32)


@pytest.mark.parametrize("defence", ["median", "trimmed", "krum"])
@pytest.mark.parametrize("attack", [-1.0, 1.0, 30.0])
def test_a_fifth_of_attackers_hardly_moves_a_robust_mean(defence: Any, attack: float) -> None:
    updates = HONEST.copy()
    updates[:2] = attack * np.array([1, -1, 1, -1, 1, -1])
    mean, rows = robust_mean(defence, updates)
    assert np.abs(mean - HONEST[2:].mean(axis=0)).max() < 0.03
    assert defence != "krum" or rows == list(range(2, 10))
    assert np.abs(robust_mean("norm", updates)[0] - HONEST.mean(axis=0)).max() > 0.1


def test_without_attackers_all_of_them_are_near_the_mean() -> None:
    for defence in ("norm", "median", "trimmed", "krum"):
        mean, _ = robust_mean(defence, HONEST)  # type: ignore[arg-type]
        assert np.abs(mean - HONEST.mean(axis=0)).max() < 0.02


@given(st.integers(1, 40))
def test_krum_reckons_with_no_more_than_it_can_bear(count: int) -> None:
    assert 0 <= bad(count) and (bad(count) == 0 or count >= 2 * bad(count) + 3)
    updates = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
    assert len(multi_krum(updates, bad(count))) == count - bad(count)
    assert np.isfinite(trimmed_mean(updates, count)).all()


@settings(max_examples=30)
@given(st.permutations(range(10)))
def test_the_order_of_devices_changes_nothing(order: list[int]) -> None:
    mixed = HONEST[order]
    assert np.allclose(median(mixed), median(HONEST))
    assert sorted(order[row] for row in multi_krum(mixed, 2)) == multi_krum(HONEST, 2)


@pytest.mark.parametrize(
    ("update", "before", "reason"),
    [
        (np.full(SIZE, np.nan), None, "no numbers"),
        (np.full(SIZE, np.inf), None, "no numbers"),
        (np.zeros(SIZE), None, "zero"),
        (np.arange(SIZE) * 0.01, np.arange(SIZE) * 3.0, "copy"),
    ],
)
def test_updates_that_are_none_are_refused(update: Any, before: Any, reason: str) -> None:
    earlier = None if before is None else before.astype(np.float32)
    with pytest.raises(UpdateRefusedError, match=reason):
        checks.bounded(PLAN, update.astype(np.float32), earlier)


def test_an_update_is_never_longer_than_the_plan_allows() -> None:
    long = np.full(SIZE, 5.0, np.float32)
    assert np.linalg.norm(checks.bounded(PLAN, long, None)) == pytest.approx(PLAN.clip_norm)
    noisy = replace(PLAN, noise_multiplier=1.0)
    assert np.linalg.norm(checks.bounded(noisy, long * 100, None)) < 8


def test_a_mean_of_a_sum_is_not_longer_than_one_update_can_be() -> None:
    codec = Codec.of(PLAN, 4, SIZE, 1)
    fair = np.full(SIZE, 1 / np.sqrt(SIZE), np.float32)
    assert checks.mean_norm(codec, fair, 4) == pytest.approx(1.0)
    for wrong in (fair * 1.5, fair * np.nan):
        with pytest.raises(UpdateRefusedError, match="too long"):
            checks.mean_norm(codec, wrong.astype(np.float32), 4)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=30))
def test_many_small_steps_down_lead_no_further_than_one(losses: list[float]) -> None:
    best = None
    for loss in losses:
        if not checks.is_worse(loss, best):
            assert loss <= checks.WORSE * losses[0]
            best = loss if best is None else min(best, loss)
    assert checks.is_worse(float("inf"), best) and checks.is_worse(float("nan"), None)


class Lazy(Towards):
    """Learns nothing."""

    def train(self, round: int, vector: Any, folder: Path) -> Update:
        return Update(np.zeros(SIZE, np.float32))


class Wild(Towards):
    """Is far off, as far as the clip lets it."""

    def train(self, round: int, vector: Any, folder: Path) -> Update:
        return Update(np.full(SIZE, -100.0, np.float32))


def with_learner(household: Household, number: int, learner: Any) -> None:
    household.learners[number] = learner
    household.grid.devices[household.nodes[number]] = household.device(number)


def test_a_free_rider_is_refused_where_home_sees_it(tmp_path: Path) -> None:
    household = Household(tmp_path, plan=INDIVIDUAL)
    with_learner(household, 0, Lazy(household.learners[0].target))
    (record,) = household.coordinator().run(1)
    assert "zero" in record.refused[household.nodes[0]] and len(record.clients) == 3


def test_krum_leaves_out_who_is_far_off_and_says_so(tmp_path: Path) -> None:
    alike = [Towards(np.full(SIZE, 0.2 + number / 100, np.float32)) for number in range(6)]
    household = Household(tmp_path, 6, replace(INDIVIDUAL, defence="krum"), list(alike))
    with_learner(household, 3, Wild(household.learners[3].target))
    (record,) = household.coordinator().run(1)
    assert "far" in record.refused[household.nodes[3]]
    assert household.nodes[3] not in record.clients


@pytest.mark.parametrize("defence", ["median", "trimmed"])
def test_a_wild_update_hardly_moves_the_others(tmp_path: Path, defence: Any) -> None:
    household = Household(tmp_path, 5, replace(INDIVIDUAL, defence=defence))
    with_learner(household, 3, Wild(household.learners[3].target))
    coordinator = household.coordinator()
    coordinator.run(1)
    mean = household.mean_of([0, 1, 2, 4], np.zeros(SIZE, np.float32))
    assert np.linalg.norm(coordinator.vector() - mean) < 0.35


class Said:
    """A grid in which one device's answers to "train" are others."""

    def __init__(self, household: Household, change: Any) -> None:
        self.household, self.change, self.kept = household, change, dict[int, dict[int, bytes]]()

    def nodes(self) -> list[int]:
        return self.household.nodes

    def ask(self, stage: str, bodies: dict[int, bytes], timeout_seconds: float) -> dict[int, Any]:
        came = self.household.grid.ask(stage, bodies, timeout_seconds)
        if stage == "train" and all(isinstance(said, bytes) for said in came.values()):
            round = Message(INDIVIDUAL, next(iter(bodies.values()))).round
            self.kept[round] = dict(came)
            node = self.household.nodes[0]
            came[node] = self.change(self, round, node)
        return came


def replayed(grid: Said, round: int, node: int) -> bytes:
    return grid.kept[1][node]


def another_s(grid: Said, round: int, node: int) -> bytes:
    return grid.kept[round][grid.household.nodes[1]]


def of_another_length(grid: Said, round: int, node: int) -> bytes:
    fields = Message(INDIVIDUAL, grid.kept[round][node])._fields
    return messages.write(
        INDIVIDUAL, round, start=fields["start"], length=SIZE + 2, update=fields["update"]
    )


def garbage(grid: Said, round: int, node: int) -> bytes:
    return b"garbage"


def of_another_start(grid: Said, round: int, node: int) -> bytes:
    fields = Message(INDIVIDUAL, grid.kept[round][node])._fields
    return messages.write(INDIVIDUAL, round, start="0" * 64, length=SIZE, update=fields["update"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (replayed, "over"),
        (another_s, "copy"),
        (of_another_length, "numbers"),
        (garbage, "message"),
        (of_another_start, "over"),
    ],
)
def test_answers_that_are_old_copied_or_of_another_form_are_refused(
    tmp_path: Path, change: Any, reason: str
) -> None:
    household = Household(tmp_path, 5, INDIVIDUAL)
    record = household.coordinator(Said(household, change)).run()[-1]
    assert reason in record.refused[household.nodes[0]]
    assert household.nodes[0] not in record.clients


def test_a_device_that_does_not_clip_spoils_no_more_than_its_round(tmp_path: Path) -> None:
    """Under masks home cannot see who it was; the sum's norm shows it, or the canary."""
    household = Household(tmp_path, 4, replace(PLAN, rounds=1))
    device = household.device(0)

    def encoded(learned: Learned, round: int, num_clients: int) -> Any:
        codec = Codec.of(PLAN, num_clients, SIZE, round)
        return codec.wrap(np.full(codec.length, 2**codec.bits // 3, np.int64))

    device.encoded = encoded  # type: ignore[method-assign]
    household.grid.devices[household.nodes[0]] = device
    coordinator = household.coordinator()
    (record,) = coordinator.run()
    assert record.rolled_back and record.failed and len(record.clients) == 4
    assert not coordinator.vector().any()

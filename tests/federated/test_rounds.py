"""Rounds from beginning to end, in one process: what moves, what is kept, who is asked."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from rounds import IMPATIENT, PLAN, SIZE, Household, Towards, Update

from ondol.errors import (
    ClosingError,
    FederationError,
    PlanMismatchError,
    RoundFailedError,
    RoundRefusedError,
)
from ondol.federated.coordinating import messages
from ondol.federated.coordinating.journal import alone
from ondol.federated.coordinating.messages import Message
from ondol.federated.coordinating.records import RoundRecord
from ondol.federated.encoding import Codec
from ondol.federated.grid import Failure
from ondol.federated.learning.layout import Layout, Module
from ondol.federated.learning.strategies import strategy
from ondol.federated.masking import rows
from ondol.federated.masking.circle import SEALED_BYTES

INDIVIDUAL = replace(PLAN, aggregation="individual")
NOISY = replace(PLAN, noise_multiplier=0.5, delta=1e-3)


class Overheard:
    """A grid, and all that passed it; ``gone`` are cut off."""

    def __init__(self, household: Household) -> None:
        self.household, self.said = household, list[tuple[str, int, bytes, Any]]()
        self.gone: set[int] = set()

    def nodes(self) -> list[int]:
        return [n for n in self.household.nodes if n not in self.gone]

    def ask(self, stage: str, bodies: dict[int, bytes], timeout_seconds: float) -> dict[int, Any]:
        open_ways = {node: body for node, body in bodies.items() if node not in self.gone}
        came = self.household.grid.ask(stage, open_ways, timeout_seconds)
        self.said += [(stage, node, bodies[node], said) for node, said in came.items()]
        return came | {node: Failure("gone", "") for node in bodies.keys() - open_ways.keys()}

    def stages(self) -> list[str]:
        return list(dict.fromkeys(stage for stage, *_ in self.said))


def a_step(household: Household, numbers: Any = None) -> float:
    """What one encoded number of the mean may be off by."""
    chosen = range(household.count) if numbers is None else numbers
    codec = Codec.of(household.plan, len(chosen), SIZE, 1)
    return codec.step * np.sqrt(SIZE)


@pytest.mark.parametrize("plan", [PLAN, INDIVIDUAL], ids=["secure", "individual"])
def test_the_shared_vector_moves_by_the_mean_of_the_updates(tmp_path: Path, plan: Any) -> None:
    household = Household(tmp_path, plan=plan)
    grid = Overheard(household)
    coordinator = household.coordinator(grid)
    first, second = coordinator.run()
    # The second round starts where all of a step's way was gone: at the mean of the targets.
    mean = np.mean([one.target for one in household.learners], axis=0)
    assert np.abs(coordinator.vector() - mean).max() < 3 * a_step(household)
    assert first.clients == second.clients == tuple(sorted(household.nodes))
    assert (first.number, second.number) == (1, 2) and not first.failed and not first.dropped
    assert first.bytes_up and first.bytes_down and first.at and first.epsilon == 0.0
    assert first.norm > second.norm
    assert first.loss_shared == pytest.approx(
        np.mean([np.linalg.norm(one.target - mean) for one in household.learners]), abs=0.02
    )
    assert second.loss_local == pytest.approx(0.0, abs=0.01)
    assert [RoundRecord.of(one.json()) for one in (first, second)] == [first, second]
    for learner in household.learners:
        (vector, about), *more = learner.adopted
        assert not more and (vector == coordinator.vector()).all()
        assert about == {"rounds": 2, "epsilon": 0.0}


def test_home_sees_no_update_and_no_loss_of_a_single_device(tmp_path: Path) -> None:
    household = Household(tmp_path)
    grid = Overheard(household)
    household.coordinator(grid).run(1)
    assert grid.stages() == [
        *("ready", "train", "keys", "shares", "mask", "survivors", "unmask"),
        *("evaluate", "adopt"),
    ]
    for stage, _, _, said in grid.said:
        told = set(Message(PLAN, said)._fields) - {"plan", "round"}
        assert told <= {
            "ready": {"base_sha256", "template_sha256", "holds", "last"},
            "train": {"start"},
            "mask": {"masked"},
            "evaluate": set(),
            "adopt": set(),
        }.get(stage, {"reply"})


def test_the_vector_is_sent_only_to_who_does_not_have_it(tmp_path: Path) -> None:
    household = Household(tmp_path)
    grid = Overheard(household)
    household.coordinator(grid).run()
    had = [Message(PLAN, body).has("vector") for stage, _, body, _ in grid.said if stage == "train"]
    assert had == [True] * 4 + [False] * 4
    adopt = [Message(PLAN, body) for stage, _, body, _ in grid.said if stage == "adopt"]
    assert [one.has("vector") for one in adopt] == [False] * 4


def test_noise_keeps_losses_at_home_and_counts_what_was_spent(tmp_path: Path) -> None:
    household = Household(tmp_path, plan=NOISY)
    grid = Overheard(household)
    first, second = household.coordinator(grid).run()
    assert 0 < first.epsilon < second.epsilon
    assert first.loss_shared is first.loss_local is None
    for stage, _, _, said in grid.said:
        assert stage != "evaluate" or set(Message(NOISY, said)._fields) == {"plan", "round"}
    device = household.device(0)
    assert device.contributions.spending(NOISY, SIZE).spent().epsilon >= second.epsilon
    began, then = device.contributions.all()
    # Its owner sees what was shared before and after each round, on the same held-out data.
    assert began.loss_before == np.linalg.norm(household.learners[0].target)
    assert began.loss_shared is not None and then.loss_before == began.loss_shared
    assert then.loss_shared is not None


def test_a_device_ends_its_part_before_its_budget_is_passed(tmp_path: Path) -> None:
    free = Household(tmp_path / "free", plan=NOISY)
    free.coordinator().run(1)
    spent = free.device(0).contributions.spending(NOISY, SIZE).spent().epsilon
    plan = replace(NOISY, epsilon_budget=spent * 1.2)
    household = Household(tmp_path / "bound", plan=plan)
    coordinator = household.coordinator()
    with pytest.raises(RoundFailedError, match="take part"):
        coordinator.run(2)
    assert len(coordinator.state.records()[0].clients) == 4
    assert household.device(1).contributions.spending(plan, SIZE).spent().rounds == 1


def test_a_worse_vector_is_rolled_back_and_the_best_one_stays(tmp_path: Path) -> None:
    household = Household(tmp_path)
    losses = iter([1.03, 1.0, 1.2, 1.04])
    coordinator = household.coordinator(canary=lambda vector: next(losses))
    good, bad, close = coordinator.run(3)
    assert (good.rolled_back, bad.rolled_back, close.rolled_back) == (False, True, False)
    assert bad.failed and bad.loss_canary == 1.2 and bad.loss_shared is None
    assert coordinator.state.standing().best_canary == 1.0


def test_a_first_round_is_held_against_where_it_began(tmp_path: Path) -> None:
    losses = iter([1.0, 1.1])
    coordinator = Household(tmp_path).coordinator(canary=lambda vector: next(losses))
    assert coordinator.run(1)[0].rolled_back


def test_a_canary_that_gives_no_number_rolls_back(tmp_path: Path) -> None:
    household = Household(tmp_path)
    losses = iter([1.0, float("nan")])
    coordinator = household.coordinator(canary=lambda vector: next(losses))
    (record,) = coordinator.run(1)
    assert record.rolled_back
    assert not coordinator.vector().any()


@pytest.mark.parametrize("stage", ["train", "keys", "shares", "mask", "unmask"])
def test_who_leaves_is_not_in_the_sum_or_its_vector_was_sent(tmp_path: Path, stage: str) -> None:
    household = Household(tmp_path, count=5)
    grid = Overheard(household)
    leaver = household.nodes[2]
    asked = grid.ask

    def ask(now: str, bodies: dict[int, bytes], timeout_seconds: float) -> dict[int, Any]:
        if now == stage:
            grid.gone.add(leaver)
        return asked(now, bodies, timeout_seconds)

    grid.ask = ask  # type: ignore[method-assign]
    (record,) = household.coordinator(grid).run(1)
    assert record.dropped[leaver].endswith(stage)
    others = [n for n in range(5) if stage == "unmask" or n != 2]
    assert record.clients == tuple(sorted(household.nodes[n] for n in others))
    mean = household.mean_of(others, np.zeros(SIZE, np.float32))
    vector = household.coordinator(grid).vector()
    assert np.abs(vector - mean).max() < 3 * a_step(household)


def test_who_was_away_gets_the_last_vector_when_it_is_back(tmp_path: Path) -> None:
    household = Household(tmp_path, count=5)
    grid = Overheard(household)
    grid.gone = {household.nodes[0]}
    household.coordinator(grid).run()
    assert not household.learners[0].adopted
    grid.gone = set()
    records = household.coordinator(grid).run()
    assert [len(one.adopted) for one in household.learners] == [1] * 5
    assert len(records) == 2


def test_too_few_make_no_round(tmp_path: Path) -> None:
    household = Household(tmp_path)
    grid = Overheard(household)
    grid.gone = set(household.nodes[:2])
    with pytest.raises(RoundFailedError, match="3"):
        household.coordinator(grid).run()
    # Trained, but not enough are left: the shared vector stays, and the next round is another.
    grid.gone = set()
    household.grid.devices[household.nodes[0]].learner = Diverging()
    household.grid.devices[household.nodes[1]].learner = Diverging()
    coordinator = household.coordinator(grid)
    with pytest.raises(RoundFailedError, match="train"):
        coordinator.run()
    last = coordinator.state.records()[-1]
    assert "diverged" in last.refused[household.nodes[0]]
    assert not coordinator.vector().any()


class Diverging(Towards):
    def __init__(self) -> None:
        super().__init__(np.full(SIZE, np.nan, np.float32))


def test_home_asks_a_sample_if_it_is_told_to(tmp_path: Path) -> None:
    household = Household(tmp_path, count=5)
    coordinator = household.coordinator(choose=lambda nodes, number: nodes[number : number + 3])
    one, two = coordinator.run()
    assert len(one.clients) == len(two.clients) == 3 and one.clients != two.clients


def test_a_device_that_is_in_use_is_left_out(tmp_path: Path) -> None:
    household = Household(tmp_path)

    def busy() -> None:
        raise RoundRefusedError("Somebody is writing on it.")

    household.grid.devices[household.nodes[0]] = household.device(0, condition=busy)
    record = household.coordinator().run(1)[0]
    assert record.refused == {household.nodes[0]: "Somebody is writing on it."}
    assert len(record.clients) == 3


def test_a_stopped_home_leaves_the_round_open_and_goes_on_with_it(tmp_path: Path) -> None:
    household = Household(tmp_path)
    grid = Overheard(household)
    stop = Event()
    asked = grid.ask

    def ask(stage: str, bodies: dict[int, bytes], timeout_seconds: float) -> dict[int, Any]:
        if stage == "shares" and not stop.is_set():
            stop.set()
            grid.gone = set(household.nodes[:3])
        return asked(stage, bodies, timeout_seconds)

    grid.ask = ask  # type: ignore[method-assign]
    with pytest.raises(ClosingError):
        household.coordinator(grid, stop=stop).run(1)
    grid.gone = set()
    (record,) = household.coordinator(grid).run(1)
    assert (record.number, len(record.clients)) == (1, 4)
    assert [one.trained for one in household.learners] == [[1]] * 4


def test_a_home_from_an_older_backup_goes_on_behind_its_devices(tmp_path: Path) -> None:
    household = Household(tmp_path)
    coordinator = household.coordinator()
    coordinator.run(1)
    shutil.copytree(tmp_path / "home", tmp_path / "backup")
    coordinator.run(2)
    shutil.rmtree(tmp_path / "home")
    (tmp_path / "backup").rename(tmp_path / "home")
    again = household.coordinator()
    assert [one.number for one in again.run(2)] == [1, 3]
    assert len(again.state.records()[-1].clients) == 4


def test_a_few_devices_cannot_lead_home_astray(tmp_path: Path) -> None:
    household = Household(tmp_path, count=5)
    for node in household.nodes[:2]:
        (tmp_path / f"device-{household.nodes.index(node)}").mkdir()
        state = tmp_path / f"device-{household.nodes.index(node)}" / "state.json"
        state.write_text('{"round": 1000000}')
    (record,) = household.coordinator().run(1)
    assert record.number == 1 and len(record.clients) == 3


def test_one_process_at_a_time_holds_rounds_and_only_of_its_own_plan(tmp_path: Path) -> None:
    household = Household(tmp_path)
    coordinator = household.coordinator()
    with alone(coordinator.state.folder), pytest.raises(FederationError, match="process"):
        coordinator.run()
    coordinator.run(1)
    household.plan = replace(PLAN, rounds=7)
    with pytest.raises(PlanMismatchError):
        household.coordinator().run()


def test_what_was_learned_for_a_round_that_failed_is_used_in_the_next(tmp_path: Path) -> None:
    household = Household(tmp_path)
    grid = Overheard(household)
    asked = grid.ask

    def ask(stage: str, bodies: dict[int, bytes], timeout_seconds: float) -> dict[int, Any]:
        is_first = stage == "shares" and Message(PLAN, next(iter(bodies.values()))).round == 1
        grid.gone = set(household.nodes[:3]) if is_first else set()
        return asked(stage, bodies, timeout_seconds)

    grid.ask = ask  # type: ignore[method-assign]
    failed, good = household.coordinator(grid, patience=replace(IMPATIENT, tries=1)).run(1)
    assert failed.failed and not failed.clients and good.number == 2 and len(good.clients) == 4
    assert [one.trained for one in household.learners] == [[1]] * 4


def test_secrets_of_a_round_are_gone_when_it_is_unmasked(tmp_path: Path) -> None:
    household = Household(tmp_path)
    household.coordinator().run(1)
    assert not list(tmp_path.glob("device-*/masking-*/*/seed"))
    assert not list(tmp_path.glob("home/open/*"))


def test_the_rounded_vector_is_what_everybody_starts_from() -> None:
    vector = np.array([1.0, 1.0001, -3e-8, 70000.0], np.float32)
    down = messages.rounded(vector)
    assert messages.digest(vector) == messages.digest(down)
    assert down[0] == down[1] and np.isinf(down[3])


class InLayout(Towards):
    """Learns what its strategy sends in a round, of a vector with a real layout."""

    layout: Layout

    def train(self, round: int, vector: Any, folder: Path) -> Update:
        self.trained.append(round)
        return Update((self.target - vector)[self.layout.sent(round)] / 8)

    def applied(self, vector: Any, delta: Any, round: int) -> Any:
        return self.layout.applied(vector, delta, round)


def test_factors_that_learn_in_turn_travel_in_turn(tmp_path: Path) -> None:
    plan = replace(PLAN, strategy="rolora", r=2, rounds=2)
    layout = Layout("rolora", 2, (Module("q", 4, 3), Module("v", 2, 3)))
    draw = np.random.default_rng(0)
    learners = [InLayout(draw.normal(0, 0.1, layout.size).astype(np.float32)) for _ in range(3)]
    for one in learners:
        one.layout = layout
    household = Household(tmp_path, 3, plan, list(learners))
    grid = Overheard(household)
    coordinator = household.coordinator(
        grid, start=lambda: np.zeros(layout.size, np.float32), strategy=strategy(plan, layout)
    )
    coordinator.run()
    mean = np.mean([one.target for one in learners], axis=0) / 8
    assert np.abs(coordinator.vector() - mean).max() < 3 * a_step(household)
    # One factor in a round is what the account of privacy reckons with too.
    contributions = household.device(0).contributions.all()
    assert [one.length for one in contributions] == [layout.length(1), layout.length(2)]


class Garbling(Overheard):
    """What one device sends the others for their masks is noise on its way."""

    def ask(self, stage: str, bodies: dict[int, bytes], timeout_seconds: float) -> dict[int, Any]:
        came = super().ask(stage, bodies, timeout_seconds)
        spoiler = self.household.nodes[1]
        if stage == messages.SHARES and spoiler in came:
            message = Message(self.household.plan, came[spoiler])
            sealed = rows.split(message.raw("reply"), SEALED_BYTES, self.nodes(), "shares")
            noise = rows.join({node: bytes(SEALED_BYTES) for node in sealed})
            came[spoiler] = messages.write(self.household.plan, message.round, reply=noise)
        return came


def test_who_stops_a_round_with_shares_that_nobody_can_read_is_left_out(tmp_path: Path) -> None:
    household = Household(tmp_path, count=5)
    grid = Garbling(household)
    spoiler = household.nodes[1]
    first, second, third = household.coordinator(grid).run()
    assert first.failed and "asked no more" in first.refused[spoiler]
    assert not second.failed and not third.failed
    assert spoiler not in second.clients and len(third.clients) == 4
    # Who could not read the shares had spent nothing and trained for nothing.
    spent = [household.device(n).contributions.has_released(1) for n in range(5)]
    assert spent == [False, True, False, False, False]
    # Also after home was started again.
    assert list(household.coordinator(grid).state.standing().left_out) == [spoiler]


def test_a_round_goes_on_without_the_few_who_cannot_read_one_anothers_shares(
    tmp_path: Path,
) -> None:
    household = Household(tmp_path, count=5)

    class Once(Garbling):
        def ask(self, stage: str, bodies: dict[int, bytes], timeout_seconds: float) -> Any:
            came = Overheard.ask(self, stage, bodies, timeout_seconds)
            blamed, blaming = household.nodes[:2]
            if stage == messages.MASK and blaming in came:
                round = Message(household.plan, came[blaming]).round
                came[blaming] = messages.write(household.plan, round, blamed=blamed)
            return came

    for record in household.coordinator(Once(household)).run():
        assert not record.failed and household.nodes[0] in record.clients
        assert "could not read what device" in record.refused[household.nodes[1]]
    assert not household.coordinator().state.standing().left_out

"""Simulated federations: uneven data, small models that learn, attackers, faults, and that the
arithmetic of thousands of devices is that of the whole protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import ConfigError
from ondol.federated.encoding import Codec
from ondol.federated.simulating import arithmetic, faults, letters, network, rehearsal, skew
from ondol.federated.simulating.attackers import Attacker, learned_from
from ondol.federated.simulating.history import Round
from ondol.federated.simulating.population import Population, population
from ondol.federated.simulating.scenario import ATTACKS, Attack, Scenario
from ondol.federated.simulating.simulation import simulate

FIVE = Scenario(clients=5, rounds=2)
MANY = Scenario(clients=150, clients_per_round=20, rounds=4)
CODEC = Codec(8, 2.0, 20, 0.0, 64, b"round")


@pytest.fixture(scope="module")
def like() -> Population:
    """Text and a base that others have too; fewer steps than a real simulation's."""
    text = letters.read(0, most_measured=1500)
    base = network.pretrained(text.base, FIVE.plan(), steps=60)
    return population(FIVE, text, base)


@pytest.fixture
def made(like: Population) -> Callable[[Scenario], Population]:
    return lambda scenario: population(scenario, like.text, like.network)


def choose(scenario: Scenario) -> Callable[[object, int], list[int]]:
    """The same devices for the same round."""
    numbers = range(1, scenario.clients + 1)
    return lambda ready, number: Random(number).sample(numbers, scenario.asked)


def reckoned(found: Population) -> list[Round]:
    return arithmetic.rounds(found, choose(found.scenario), lambda one: None)


# What devices have


def test_a_smaller_alpha_leaves_devices_fewer_letters(like: Population) -> None:
    labels = like.text.devices.labels

    def letters_a_device(alpha: float) -> float:
        shares = skew.dirichlet(labels, 50, 100, alpha, seed=1)
        return float(np.mean([len(set(labels[one])) for one in shares]))

    assert letters_a_device(0.05) < letters_a_device(0.5) < letters_a_device(float("inf"))


@settings(deadline=None, max_examples=25)
@given(
    devices=st.integers(1, 40),
    examples=st.integers(1, 30),
    alpha=st.floats(1e-3, 100),
    seed=st.integers(0, 1000),
)
def test_every_device_has_its_number_and_nothing_is_given_twice_before_all_of_its_kind(
    devices: int, examples: int, alpha: float, seed: int
) -> None:
    labels = np.random.default_rng(0).integers(0, 4, 200)
    shares = skew.dirichlet(labels, devices, examples, alpha, seed)
    assert [len(one) for one in shares] == [examples] * devices
    times = np.bincount(np.concatenate(shares), minlength=len(labels))
    for label in range(4):
        of_one = times[labels == label]
        assert of_one.max() - of_one.min() <= 1


# The small model


def test_what_a_device_learns_does_not_depend_on_who_learns_beside_it(like: Population) -> None:
    together = like.learned(1, like.start(), [0, 1, 2, 3, 4])
    for device in range(5):
        assert np.array_equal(together[device], like.learned(1, like.start(), [device])[0])


def test_a_device_learns_what_it_has(like: Population) -> None:
    data = like.data(0)
    vector = like.start() + like.learned(1, like.start(), [0])[0]
    assert like.network.loss(vector, *data) < 0.8 * like.network.loss(like.start(), *data)


def test_proximity_keeps_a_device_near_the_shared_vector(like: Population) -> None:
    plan = replace(like.plan, proximal_mu=2.0)
    held = network.train(like.network, plan, 1, like.start(), [0], [like.data(0)])
    free = like.learned(1, like.start(), [0])
    assert np.linalg.norm(held) < np.linalg.norm(free)


def test_together_finds_more_letters_than_alone(
    like: Population, made: Callable[[Scenario], Population]
) -> None:
    scenario = replace(MANY, rounds=8)
    found = made(scenario)
    assert reckoned(found)[-1].accuracy > found.alone(10) > 0


# The arithmetic and the whole protocol


@pytest.mark.parametrize(
    "scenario",
    [
        FIVE,
        replace(FIVE, clients=7, drop=0.3, noise_multiplier=0.5),
        replace(FIVE, clients=7, aggregation="individual", defence="trimmed", drop=0.2),
        replace(FIVE, clients=7, aggregation="individual", attackers=0.2, attack="zero"),
    ],
    ids=["all stay", "noise, and some go", "each is seen", "one learns nothing"],
)
def test_thousands_are_reckoned_as_a_few_really_go(
    scenario: Scenario, made: Callable[[Scenario], Population], tmp_path: Path
) -> None:
    """To the last bit: the loss with the shared vector is the same number."""
    everybody = list(range(1, scenario.clients + 1))
    real = rehearsal.rounds(made(scenario), lambda *_: everybody, lambda one: None, tmp_path)
    fast = arithmetic.rounds(made(scenario), lambda *_: everybody, lambda one: None)
    assert [(one.ended, one.clients, one.loss) for one in real] == [
        (one.ended, one.clients, one.loss) for one in fast
    ]
    assert "taken" in [one.ended for one in real]


@pytest.mark.parametrize(
    ("attack", "ended", "clients"), [("nan", "taken", 4), ("garbage", "refused", 5)]
)
def test_one_attacker_among_real_participants(
    attack: Attack,
    ended: str,
    clients: int,
    made: Callable[[Scenario], Population],
    tmp_path: Path,
) -> None:
    found = made(replace(FIVE, rounds=1, attackers=0.2, attack=attack))
    [one] = rehearsal.rounds(found, lambda *_: [1, 2, 3, 4, 5], lambda one: None, tmp_path)
    assert (one.ended, one.clients, one.attackers) == (ended, clients, 1)


def test_a_fault_is_as_likely_as_was_said_and_the_same_each_time() -> None:
    scenario = replace(MANY, drop=0.25)
    found = [faults.fault(scenario, device, 1) for device in range(2000)]
    assert 0.2 < np.mean([one is not None for one in found]) < 0.3
    assert found == [faults.fault(scenario, device, 1) for device in range(2000)]
    assert {one for one in found if one is not None} == set(range(len(faults.STAGES)))


def test_a_round_that_most_leave_fails_and_moves_nothing(
    made: Callable[[Scenario], Population],
) -> None:
    rounds = reckoned(made(replace(MANY, rounds=2, drop=0.9)))
    assert [one.ended for one in rounds] == ["failed", "failed"]
    assert rounds[0].loss == rounds[1].loss == pytest.approx(np.log(26), abs=1e-5)


# Attackers


@pytest.mark.parametrize("attack", sorted(set(ATTACKS) - {"nan"}))
@pytest.mark.parametrize("is_masked", [True, False])
def test_what_attackers_send_is_in_the_ring(attack: Attack, is_masked: bool) -> None:
    rng = np.random.default_rng(1)
    delta = rng.normal(size=64).astype(np.float32)
    ring = Attacker(attack, is_masked).ring(delta, -delta, CODEC, rng)
    assert ring.shape == (CODEC.length,) and int(ring.max()) < 2**CODEC.bits


def test_devices_whose_training_broke_are_no_part_of_it(
    made: Callable[[Scenario], Population],
) -> None:
    rounds = reckoned(made(replace(MANY, attackers=0.3, attack="nan")))
    assert all(one.clients == one.chosen - one.attackers for one in rounds)
    assert sum(one.attackers for one in rounds) > 0


def test_who_opposes_keeps_to_the_longest_that_may_be() -> None:
    moved = np.ones(64, np.float32)
    ring = Attacker("oppose", True).ring(moved, moved, CODEC, np.random.default_rng(1))
    sent = CODEC.decode_sum(ring, 1)
    assert sent @ moved < 0 and np.linalg.norm(sent) == pytest.approx(CODEC.clip, rel=0.1)


def test_an_update_replayed_is_the_old_one_where_home_sees_it() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(0, 0.125, (2, 64)).astype(np.float32)
    attacker = Attacker("replay", is_masked=False)
    attacker.ring(first, first, CODEC, rng)
    sent = CODEC.decode_sum(attacker.ring(second, second, CODEC, rng), 1)
    assert np.allclose(sent, first, atol=0.1) and not np.allclose(sent, second, atol=0.1)


def test_flipped_labels_are_wrong_for_every_letter() -> None:
    labels = np.arange(26)
    assert not np.any(learned_from(labels, "flip", 26) == labels)


def test_random_words_spoil_every_secret_sum_they_are_in(
    made: Callable[[Scenario], Population],
) -> None:
    rounds = reckoned(made(replace(MANY, attackers=0.4, attack="garbage")))
    assert {one.ended for one in rounds if one.attackers} == {"refused"}
    assert rounds[-1].loss == pytest.approx(np.log(26), abs=1e-5)


def test_what_is_ten_times_too_long_is_rolled_back_or_refused(
    made: Callable[[Scenario], Population],
) -> None:
    scenario = replace(MANY, attackers=0.4, attack="scale")
    ends = [one.ended for one in reckoned(made(scenario))]
    assert set(ends) <= {"rolled_back", "refused"}
    undefended = reckoned(made(replace(scenario, defence="none")))
    assert undefended[-1].loss > 2 * np.log(26)


def test_who_learns_nothing_is_not_in_the_mean_where_home_sees_it(
    made: Callable[[Scenario], Population],
) -> None:
    found = made(replace(MANY, aggregation="individual", attackers=0.3, attack="zero"))
    rounds = reckoned(found)
    assert all(one.clients == one.chosen - one.attackers for one in rounds)
    assert sum(one.attackers for one in rounds) > 0


def test_caution_finds_a_way_around_those_who_spoil_sums(like: Population) -> None:
    scenario = replace(MANY, rounds=15, attackers=0.1, attack="garbage")
    blind = simulate(scenario, like=like)
    cautious = simulate(replace(scenario, choice="cautious"), like=like)
    assert cautious.count("taken") > blind.count("taken") + 3
    assert cautious.accuracy > blind.accuracy


# What is said about it


def test_noise_is_told_as_epsilon_of_who_took_part_most(like: Population) -> None:
    outcome = simulate(replace(MANY, noise_multiplier=2.0), like=like)
    assert outcome.epsilon is not None and 0 < outcome.epsilon < 1000
    assert 1 <= outcome.most <= MANY.rounds
    assert simulate(MANY, like=like).epsilon is None


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"clients": 2}, "clients"),
        ({"clients": 10, "clients_per_round": 11}, "clients"),
        ({"rounds": 0}, "rounds"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"drop": 1.0}, "drop"),
        ({"attackers": 0.6}, "attackers"),
        ({"noise_multiplier": float("inf")}, "noise_multiplier"),
        ({"defence": "krum"}, "defence"),
    ],
)
def test_what_no_federation_can_be_is_refused_by_name(wrong: dict[str, object], what: str) -> None:
    with pytest.raises(ConfigError, match=f"--{what.replace('_', '.')}"):
        Scenario(**wrong)  # type: ignore[arg-type]

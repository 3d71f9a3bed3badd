"""What rounds cost: the bounds hold against exact divergences and dp-accounting's account."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from ondol.federated.flower import environment
from ondol.federated.plan import Plan
from ondol.federated.privacy import noise, renyi, second_opinion
from ondol.federated.privacy.spending import Accountant, noise_for

PLAN = Plan(
    *("f", "family", "m", "0" * 64, "0" * 64, "style"),
    noise_multiplier=2.0,
    min_clients=5,
    threshold=3,
    rounds=10,
)


def divergence(order: int, shift: int, variance: float) -> float:
    """Rényi's, of Skellam noise and the same noise moved by ``shift``, summed up."""
    half = noise.magnitudes(variance)
    both = np.log(np.concatenate([half[:0:-1] / 2, half[:1], half[1:] / 2]))
    here, moved = both[:-shift], both[shift:]
    return float(np.log(np.sum(np.exp(order * moved - (order - 1) * here))) / (order - 1))


@pytest.mark.parametrize("variance", [4.0, 30.0, 1e4])
@pytest.mark.parametrize("shift", [1, 3])
@pytest.mark.parametrize("order", [2, 3, 8])
def test_the_bound_is_above_the_exact_divergence_and_near_it(
    variance: float, shift: int, order: int
) -> None:
    bound = renyi.skellam(order, shift**2, shift, variance)
    exact = divergence(order, shift, variance)
    assert exact <= bound
    if variance > 100:
        assert bound < 1.01 * exact


def test_the_sampled_bound_is_above_an_exact_divergence() -> None:
    """Of 10 clients 2 are drawn: with a share of 0.2 the sum moves by 2, else by nothing."""
    half = noise.magnitudes(400.0)
    density = np.concatenate([half[:0:-1] / 2, half[:1], half[1:] / 2])
    still, moved = density[1:-1], density[2:]
    mixed = 0.8 * still + 0.2 * moved
    for order in (2, 5, 12):
        exact = np.log(np.sum(mixed**order * still ** (1 - order))) / (order - 1)
        bound = renyi.sampled(order, 0.2, lambda o: renyi.skellam(o, 4.0, 2.0, 400.0))
        assert exact <= bound <= renyi.skellam(order, 4.0, 2.0, 400.0)


def test_more_rounds_and_fewer_shares_cost_more() -> None:
    accountant = Accountant(PLAN, 10_000)
    assert accountant.spent().epsilon == 0
    one, ten = accountant.ahead(1, 5), accountant.ahead(10, 5)
    assert 0 < one.epsilon < ten.epsilon
    accountant.add(5, survivors=5)
    assert accountant.spent().epsilon < one.epsilon
    accountant.add(5)
    assert accountant.spent().rounds == 2
    assert accountant.spent(colluding=1).epsilon > accountant.spent().epsilon
    assert math.isinf(accountant.spent(colluding=5).epsilon)


def test_a_claim_of_fewer_survivors_than_possible_counts_as_the_fewest() -> None:
    claimed, least = Accountant(PLAN, 1000), Accountant(PLAN, 1000)
    claimed.add(5, survivors=1)
    least.add(5)
    assert claimed.spent() == least.spent()


def test_without_noise_nothing_is_bounded_and_json_says_none() -> None:
    accountant = Accountant(replace(PLAN, noise_multiplier=0.0), 1000)
    accountant.add(5)
    assert math.isinf(accountant.spent().epsilon)
    assert json.loads(json.dumps(accountant.spent().json()))["epsilon"] is None


def test_rounding_costs_something_and_it_is_counted() -> None:
    """A Gaussian's account of the same noise_multiplier, without rounding, is a little lower."""
    plain = {order: 10 * order / (2 * PLAN.noise_multiplier**2) for order in renyi.ORDERS}
    unrounded = renyi.epsilon(plain, PLAN.delta)
    fine = Accountant(PLAN, 10_000).ahead(10, 5).epsilon
    coarse = Accountant(replace(PLAN, value_bits=2), 10_000).ahead(10, 5).epsilon
    assert unrounded < fine < 1.02 * unrounded
    assert coarse > 1.05 * fine


def test_the_budget_is_asked_before_the_round_that_would_pass_it() -> None:
    one = Accountant(PLAN, 1000).ahead(1, 5).epsilon
    two = Accountant(PLAN, 1000).ahead(2, 5).epsilon
    accountant = Accountant(replace(PLAN, epsilon_budget=(one + two) / 2), 1000)
    assert accountant.may_take_part(5)
    accountant.add(5)
    assert not accountant.may_take_part(5)
    assert accountant.spent().epsilon <= accountant.plan.epsilon_budget
    assert Accountant(replace(PLAN, noise_multiplier=0.0), 1000).may_take_part(5)


def test_an_account_survives_on_disk() -> None:
    accountant = Accountant(PLAN, 1000)
    accountant.add(5, survivors=4)
    accountant.add(7)
    kept = json.loads(json.dumps(accountant.json()))
    assert Accountant.of(PLAN, kept).spent() == accountant.spent()


def test_where_home_sees_each_update_survivors_change_nothing() -> None:
    seen = replace(PLAN, aggregation="individual")
    few, many = Accountant(seen, 1000), Accountant(seen, 1000)
    few.add(5)
    many.add(5, survivors=5)
    assert few.spent() == many.spent()


def test_secret_sampling_costs_less_only_when_few_are_drawn() -> None:
    accountant = Accountant(replace(PLAN, min_clients=100, threshold=67), 1000)
    rare = accountant.sampled(10, 100, 0.01).epsilon
    assert rare < accountant.ahead(10, 100).epsilon
    assert accountant.sampled(10, 100, 1.0).epsilon > accountant.ahead(10, 100).epsilon


def test_the_least_noise_for_an_epsilon_just_holds_it() -> None:
    least = noise_for(PLAN, 8.0, 10, 1000)
    at = Accountant(replace(PLAN, noise_multiplier=least), 1000).ahead(10, 5).epsilon
    below = Accountant(replace(PLAN, noise_multiplier=least - 0.002), 1000).ahead(10, 5).epsilon
    assert at <= 8.0 < below


def test_dp_accounting_agrees() -> None:
    if not environment.is_ready():
        pytest.skip("the federated environment is not set up")
    accountant = Accountant(PLAN, 5000)
    for survivors in (4, 5, None):
        accountant.add(5, survivors)
    said = second_opinion.ask(accountant)
    assert said["dp_accounting"] == pytest.approx(said["ondol"], rel=1e-7)
    assert 0.75 * said["ondol"] < said["gaussian"] <= said["ondol"]

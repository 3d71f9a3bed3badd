"""What somebody reads before joining says what the numbers say, and no more."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ondol.federated.plan import Plan
from ondol.federated.privacy.examples import example_epsilon
from ondol.federated.privacy.spending import Accountant
from ondol.federated.privacy.words import drowning, plain_words, rounded
from ondol.i18n import use_language
from ondol.training import private_sgd

PLAN = Plan("f", "family", "m", "0" * 64, "0" * 64, "style", min_clients=5, threshold=3)


def words(plan: Plan, num_clients: int = 5, **more: int) -> str:
    with use_language("en"):
        return "\n".join(plain_words(plan, num_clients, **more))


def test_without_noise_no_epsilon_is_promised_and_small_groups_hear_why() -> None:
    said = words(PLAN)
    assert "no epsilon bounds" in said
    assert "With 5 devices" in said
    assert "never this device's alone" in said
    assert "all the other devices worked together" in said


def test_a_large_group_is_not_told_that_it_is_small() -> None:
    assert "out of reach" not in words(PLAN, 1_000, dimension=500)


def test_the_epsilon_that_is_said_is_the_accounts_rounded_upwards() -> None:
    noisy = replace(PLAN, noise_multiplier=5.0)
    whole = Accountant(noisy, 100_000).ahead(noisy.rounds, 5).epsilon
    assert f"epsilon is at most {rounded(whole)}, at delta 1e-05" in words(noisy)
    assert whole <= float(rounded(whole)) <= whole + 0.1
    assert rounded(math.inf) == "∞"


@pytest.mark.parametrize(
    ("noise", "said"), [(20.0, "strong protection"), (5.0, "some protection"), (0.5, "as if there")]
)
def test_what_an_epsilon_is_worth_is_said(noise: float, said: str) -> None:
    assert said in words(replace(PLAN, noise_multiplier=noise))


def test_noise_that_drowns_everything_is_named() -> None:
    noisy = replace(PLAN, noise_multiplier=5.0)
    assert "hardly anything will be learned" in words(noisy)
    assert "hardly anything will be learned" not in words(noisy, 10_000, dimension=10_000)
    # 4 shares are the promise, 5 are added: 5 * sqrt(5/4) * sqrt(100) over a sum of length 5.
    assert drowning(noisy, 5, 100) == pytest.approx(5 * math.sqrt(5 / 4) * 10 / 5)


def test_where_home_sees_each_update_it_says_so() -> None:
    said = words(replace(PLAN, aggregation="individual", noise_multiplier=5.0))
    assert "Home sees this device's update" in said
    assert "own noise would protect" not in said


def test_a_delta_that_gives_a_device_away_is_named() -> None:
    careless = replace(PLAN, noise_multiplier=5.0, delta=0.2)
    assert "too large for 5 devices" in words(careless)


def test_example_level_privacy_is_called_that() -> None:
    plan = replace(PLAN, example_noise=1.0)
    said = words(plan, num_examples=200)
    spent = example_epsilon(plan, 200, plan.rounds)
    assert "each sample by itself, not all of them together" in said
    assert f"at most {rounded(spent.epsilon)} after all rounds" in said


def test_example_level_epsilon_is_that_of_all_batches_of_all_rounds() -> None:
    plan = replace(PLAN, example_noise=1.0, local_steps=10, batch_size=4)
    spent = example_epsilon(plan, 200, 5)
    alone = private_sgd.spent(1.0, 1.0, 4 / 200, 50, 1e-5)
    assert spent.epsilon == pytest.approx(alone.epsilon)
    assert math.isinf(example_epsilon(PLAN, 200, 5).epsilon)


def test_korean_has_the_same_sentences() -> None:
    plan = replace(PLAN, noise_multiplier=5.0, example_noise=1.0, delta=0.2)
    with use_language("ko"):
        korean = plain_words(plan, 5, num_examples=200)
    assert len(korean) == len(words(plan, num_examples=200).splitlines())
    assert all(any("가" <= letter <= "힣" for letter in sentence) for sentence in korean)

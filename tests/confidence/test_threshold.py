"""Thresholds: exact bounds, a promise that holds, and the truth where none can be given."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from ondol.confidence import threshold


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 400), st.integers(1, 400), st.floats(0.001, 0.5))
def test_the_bound_is_clopper_and_pearsons(wrong: int, kept: int, risk: float) -> None:
    wrong = min(wrong, kept)
    expected = 1.0 if wrong == kept else beta.ppf(1 - risk, wrong + 1, kept - wrong)
    assert threshold.upper_bound(wrong, kept, risk) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.floats(0.0, 1.0))
def test_the_binomial_tail_is_scipys(successes: int, trials: int, rate: float) -> None:
    expected = binom.cdf(successes, trials, rate)
    assert threshold.binomial_cdf(successes, trials, rate) == pytest.approx(expected, abs=1e-9)


def test_nothing_kept_promises_nothing() -> None:
    assert threshold.upper_bound(0, 0) == 1.0


def answers(count: int, rng: random.Random) -> tuple[list[float], list[bool]]:
    """Probabilities that mean what they say."""
    probabilities = [rng.betavariate(1.2, 0.9) for _ in range(count)]
    return probabilities, [rng.random() < p for p in probabilities]


def test_the_chosen_threshold_keeps_its_promise() -> None:
    rng = random.Random(5)
    everything = answers(20_000, rng)[0]
    broken = chosen = 0
    for _ in range(60):
        choice = threshold.choose(*answers(400, rng), 0.2)
        if choice.threshold is not None:
            chosen += 1
            kept = [p for p in everything if p >= choice.threshold]
            broken += 1 - sum(kept) / len(kept) > 0.2
    assert chosen >= 50
    # 5 % are allowed; more than 8 of 60 would be by less than one chance in a hundred.
    assert broken <= 8


def test_a_looser_target_keeps_more() -> None:
    some = answers(1500, random.Random(1))
    choices = [threshold.choose(*some, target) for target in (0.1, 0.2, 0.3)]
    assert all(choice.feasible and choice.bound <= choice.target for choice in choices)
    coverages = [choice.kept.coverage for choice in choices]
    assert coverages == sorted(coverages) and coverages[0] < coverages[-1]


def test_an_infeasible_target_says_what_is_possible_instead() -> None:
    rng = random.Random(2)
    probabilities = [rng.random() for _ in range(500)]
    right = [rng.random() < 0.4 for _ in range(500)]  # the probabilities know nothing
    choice = threshold.choose(probabilities, right, 0.1)
    assert not choice.feasible and choice.threshold is None
    assert choice.kept.kept > 0 and 0.5 < choice.bound < 0.8
    base = 1 - sum(right) / len(right)
    assert choice.abstains_at_least == pytest.approx((base - 0.1) / 0.9)


def test_without_labels_nothing_is_feasible() -> None:
    choice = threshold.choose([], [], 0.15)
    assert not choice.feasible and choice.bound == 1.0 and choice.kept.kept == 0


@pytest.mark.parametrize("target", [0, 1, -0.1, 2])
def test_a_target_that_is_no_share_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match="target"):
        threshold.choose([0.5], [True], target)


def test_the_curve_has_the_fixed_threshold_as_a_row() -> None:
    some = answers(200, random.Random(3))
    points = threshold.curve(*some, [0.85, 0.731])
    thresholds = [point.threshold for point in points]
    assert {0.85, 0.731, 0.5} <= set(thresholds) and thresholds == sorted(thresholds, reverse=True)
    coverages = [point.coverage for point in points]
    assert coverages == sorted(coverages)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 80), st.integers(0, 999))
def test_what_is_possible_instead_is_the_best_of_all_thresholds(count: int, seed: int) -> None:
    probabilities, right = answers(count, random.Random(seed))
    choice = threshold.choose(probabilities, right, 0.001)
    share = threshold.RISK / len(threshold.GRID)
    points = [threshold.at_threshold(probabilities, right, t) for t in threshold.GRID]
    bounds = {point: threshold.upper_bound(point.wrong, point.kept, share) for point in points}
    assert choice.threshold is None and choice.bound == min(bounds.values())
    assert choice.kept.kept == max(p.kept for p, bound in bounds.items() if bound == choice.bound)

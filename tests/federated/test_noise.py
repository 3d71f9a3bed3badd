"""Noise in shares: Skellam's, as much as promised whoever drops out, and unknown to everybody."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ondol.errors import FederationError, UpdateRefusedError
from ondol.federated.encoding import Codec
from ondol.federated.entropy import SYSTEM
from ondol.federated.plan import Plan
from ondol.federated.privacy import noise
from ondol.federated.privacy.clipping import clip
from ondol.federated.privacy.shares import fewest_shares, share_deviation

PLAN = Plan("f", "family", "m", "0" * 64, "0" * 64, "style", noise_multiplier=0.5, threshold=3)


@pytest.mark.parametrize("variance", [0.05, 3.0, 900.0, 1e4])
def test_the_drawn_distribution_is_skellams(variance: float) -> None:
    said = noise.magnitudes(variance)
    # exp(-v) I_k(v) as the integral over a circle (DLMF 10.32.3): nothing of the two series in it.
    angles = 2 * np.pi * np.arange(8192) / 8192
    weights = np.exp(variance * (np.cos(angles) - 1))
    for k in range(0, min(len(said), int(4 * variance**0.5) + 3), max(1, int(variance**0.5 / 3))):
        exact = np.mean(weights * np.cos(k * angles)) * (1 if k == 0 else 2)
        assert said[k] == pytest.approx(exact, abs=1e-15, rel=1e-10)


def test_both_ways_to_the_table_meet() -> None:
    reach = noise._reach(noise.DEBYE_FROM)
    small = noise._miller(noise.DEBYE_FROM, reach)
    large = noise._debye(noise.DEBYE_FROM, reach)
    np.testing.assert_allclose(large / large[0], small, rtol=1e-12)


@pytest.mark.parametrize("variance", [0.05, 40.0, 1e6])
def test_the_table_holds_all_probability_and_no_more(variance: float) -> None:
    table = noise._table(variance)
    assert int(table[-1]) == 2**63
    assert np.all(np.diff(table.astype(object)) >= 0)


@pytest.mark.parametrize("variance", [0.2, 25.0, 4e6])
def test_draws_have_the_mean_and_the_variance(variance: float) -> None:
    drawn = noise.skellam(200_000, variance, np.random.default_rng(7)).astype(float)
    assert abs(drawn.mean()) < 5 * (variance / 200_000) ** 0.5
    spread = (2 + 1 / variance) ** 0.5  # of (X / sd)**2: the kurtosis is 3 + 1 / variance
    assert drawn.var() / variance == pytest.approx(1, abs=5 * spread / 200_000**0.5)


def test_shares_of_the_fewest_survivors_add_up_to_the_promise() -> None:
    codec = Codec.of(PLAN, 5, 40_000, number=1)
    fewest = fewest_shares(PLAN, 5)
    rng = np.random.default_rng(3)
    whole = sum(noise.noise_share(codec, PLAN, rng) for _ in range(fewest))
    promised = PLAN.noise_multiplier * PLAN.clip_norm / codec.step
    assert fewest == 4
    assert np.std(whole) == pytest.approx(promised, rel=0.03)


def test_shares_fit_the_room_in_the_ring() -> None:
    codec = Codec.of(PLAN, 5, 2_000, number=1)
    noised = [
        codec.noised(
            codec.encode(np.zeros(2_000, np.float32), SYSTEM),
            noise.noise_share(codec, PLAN, SYSTEM),
        )
        for _ in range(5)
    ]
    total = codec.decode_sum(codec.wrap(sum(n.astype(np.int64) for n in noised)), 5)
    expected = PLAN.noise_multiplier * np.sqrt(5 / 4)
    assert np.std(total) == pytest.approx(expected, rel=0.2)


def test_the_systems_noise_is_never_the_same() -> None:
    codec = Codec.of(PLAN, 5, 100, number=1)
    first, again = (noise.noise_share(codec, PLAN, SYSTEM) for _ in range(2))
    assert not np.array_equal(first, again)


def test_a_simulation_draws_the_same_noise_again() -> None:
    codec = Codec.of(PLAN, 5, 100, number=1)
    first, again = (noise.noise_share(codec, PLAN, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_a_plan_without_noise_adds_none() -> None:
    quiet = replace(PLAN, noise_multiplier=0.0)
    assert not noise.noise_share(Codec.of(quiet, 5, 100, number=1), quiet, SYSTEM).any()


def test_where_home_sees_each_update_each_carries_all_the_noise() -> None:
    seen = replace(PLAN, aggregation="individual")
    assert share_deviation(seen, 5) == PLAN.noise_multiplier
    assert share_deviation(PLAN, 5) == PLAN.noise_multiplier / 2


def test_noise_far_coarser_than_the_steps_is_refused() -> None:
    with pytest.raises(FederationError) as refused:
        noise.skellam(10, float(noise.MOST_DEVIATION) ** 2 * 1.01, SYSTEM)
    assert "value_bits" in refused.value.hint


def test_a_plan_whose_noise_no_device_could_draw_is_found_out_before_a_round() -> None:
    noise.must_fit(PLAN, 1_000_000)
    noise.must_fit(replace(PLAN, noise_multiplier=0.0), 1_000_000)
    with pytest.raises(FederationError):
        noise.must_fit(replace(PLAN, noise_multiplier=50.0, value_bits=12), 1_000_000)


def test_clipping_shortens_only_what_is_longer() -> None:
    update = np.array([3.0, 4.0], np.float32)
    np.testing.assert_allclose(clip(update, 1.0), [0.6, 0.8])
    np.testing.assert_array_equal(clip(update, 5.5), update)
    with pytest.raises(UpdateRefusedError):
        clip(np.array([1.0, np.nan], np.float32), 1.0)

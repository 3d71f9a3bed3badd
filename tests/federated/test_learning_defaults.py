"""What a federation learns with where nobody says otherwise."""

from __future__ import annotations

from typing import get_args

import pytest

from ondol.federated.learning.defaults import clip_norm, suited
from ondol.federated.plan import Plan, Strategy


def test_every_strategy_has_defaults_that_make_a_plan() -> None:
    for name in get_args(Strategy):
        fields = suited(name, parameters=135_000_000, layers=30)
        plan = Plan("f", "family", "tiny", "", "", "style", strategy=name, **fields)
        assert 0 < plan.learning_rate < 0.1 and plan.first_layer == 20


def test_larger_models_take_smaller_steps() -> None:
    sizes = (135_000_000, 1_700_000_000, 8_000_000_000)
    rates = [suited("ffa", parameters=n, layers=32)["learning_rate"] for n in sizes]
    assert rates == sorted(rates, reverse=True) and len(set(rates)) == 3
    assert suited("ffa", parameters=sizes[0], layers=1)["first_layer"] == 0


def test_clip_norm_is_that_of_the_updates_that_were_measured() -> None:
    # benchmarks/federated: 414,720 numbers, six steps, between 5.5 and 8.0.
    plan = Plan("f", "n", "m", "", "", "style", learning_rate=5e-3, local_steps=6)
    assert 5.5 < clip_norm(plan, 414_720) < 8.5
    assert clip_norm(plan, 4 * 414_720) == pytest.approx(2 * clip_norm(plan, 414_720), rel=0.01)

"""The agreement as it comes from a home that may be anybody."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from ondol.federated.plan import Plan

PLAN = Plan("f", "family", "m", "0" * 64, "0" * 64, "style", target_modules=("q_proj",))


def test_a_plan_that_was_sent_is_the_same_plan() -> None:
    assert Plan.of(json.loads(json.dumps(PLAN.json()))) == PLAN


@pytest.mark.parametrize(
    ("field", "value"),
    [
        # Neither of the two: shown as one, and sent as the other, with a share of the noise only.
        ("aggregation", "secure "),
        ("aggregation", ["secure"]),
        ("strategy", "none"),
        ("task", ""),
        ("defence", "no"),
        ("noise_multiplier", math.nan),
        ("noise_multiplier", -1.0),
        ("noise_multiplier", "1"),
        ("clip_norm", math.inf),
        ("clip_norm", 0.0),
        ("delta", 1.0),
        ("epsilon_budget", math.nan),
        ("epsilon_budget", True),
        ("min_clients", 0),
        ("rounds", 1.5),
        ("r", 1 << 40),
        ("value_bits", 33),
        ("name", "family\x1b[2J"),
        ("model", "m" * 10_000),
        ("target_modules", "q_proj"),
        ("target_modules", [1]),
    ],
)
def test_a_plan_that_means_nothing_is_none(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        Plan.of(PLAN.json() | {field: value})


def test_a_field_that_no_plan_has_is_refused() -> None:
    with pytest.raises(TypeError):
        Plan.of(PLAN.json() | {"run": "this"})

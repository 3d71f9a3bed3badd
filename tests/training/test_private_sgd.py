"""No one example moves an adapter by more than was agreed, and what that costs is accounted for."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_llama import sequences, tiny_base

from ondol.errors import TrainingError
from ondol.training.base import Encoded, parameters
from ondol.training.loop import Trained, train
from ondol.training.lora import LoraConfig, Schedule, add_lora
from ondol.training.private_sgd import (
    PrivateGradients,
    PrivateSft,
    arrange,
    noise_for,
    poisson_batches,
    report,
    spent,
)
from ondol.training.steps import Run

CONFIG = LoraConfig(r=2, lora_alpha=4)
SCHEDULE = Schedule(learning_rate=1e-2, part_tokens=1, clip=math.inf)
CLIP, EXPECTED = 0.05, 4.0


@pytest.mark.parametrize(
    ("noise", "delta", "epsilon"),
    [(1.0, 1e-3, 1.9), (1.0, 1e-5, 3.0), (2.0, 1e-3, 0.54), (2.0, 1e-5, 0.84)],
)
def test_epsilon_is_that_of_opacus(noise: float, delta: float, epsilon: float) -> None:
    # opacus 1.6.0, RDP accountant: 200 samples, batches of 8, 75 steps.
    assert spent(noise, 1.0, 8 / 200, 75, delta).epsilon == pytest.approx(epsilon, rel=0.03)


def test_without_noise_nothing_is_promised() -> None:
    assert spent(0.0, 1.0, 0.1, 10, 1e-3).epsilon == math.inf


def test_a_batch_of_everything_costs_what_the_gaussian_mechanism_does() -> None:
    # One step at noise 1 over all examples: below the classic bound sqrt(2 ln(1.25/delta)).
    assert 3.0 < spent(1.0, 1.0, 1.0, 1, 1e-5).epsilon < math.sqrt(2 * math.log(1.25e5))


@given(st.floats(0.5, 8), st.floats(0.01, 1), st.integers(1, 200))
@settings(max_examples=20, deadline=None)
def test_more_steps_cost_more_and_more_noise_costs_less(
    noise: float, rate: float, steps: int
) -> None:
    cost = spent(noise, 1.0, rate, steps, 1e-4).epsilon
    assert cost <= spent(noise, 1.0, rate, steps + 10, 1e-4).epsilon
    assert cost >= spent(noise + 0.5, 1.0, rate, steps, 1e-4).epsilon


@given(st.floats(0.5, 20), st.integers(10, 100))
@settings(max_examples=10, deadline=None)
def test_noise_for_an_epsilon_is_enough_and_hardly_more(epsilon: float, steps: int) -> None:
    noise = noise_for(epsilon, 0.2, steps, 1e-3)
    assert spent(noise, 1.0, 0.2, steps, 1e-3).epsilon <= epsilon
    assert spent(noise - 0.005, 1.0, 0.2, steps, 1e-3).epsilon > epsilon


def test_an_epsilon_out_of_reach_is_refused() -> None:
    with pytest.raises(TrainingError, match="above 0"):
        noise_for(0.0, 0.5, 50, 1e-3)


def gradient(batch: list[Encoded], gradients: PrivateGradients) -> Any:
    """The gradient of one step over ``batch``, all in one vector."""
    import torch

    kept: list[Any] = []

    class Watched:
        def after_part(self, learned: Any) -> None:
            gradients.after_part(learned)

        def before_step(self, learned: Any) -> None:
            gradients.before_step(learned)
            kept.append(torch.cat([p.grad.flatten().clone() for p in learned]))

    run = Run(add_lora(tiny_base(), CONFIG, 0), SCHEDULE, 1, PrivateSft(), gradients=Watched())
    run.learn(batch)
    return kept[0]


@pytest.mark.parametrize("gone", range(4))
def test_leaving_one_example_out_moves_a_step_by_the_clip_at_most(gone: int) -> None:
    batch = sequences(4)
    left = [example for i, example in enumerate(batch) if i != gone]
    whole, rest = (gradient(some, PrivateGradients(0.0, CLIP, EXPECTED)) for some in (batch, left))
    moved = float((whole - rest).norm())
    assert 0 < moved <= CLIP / EXPECTED * 1.0001


def test_a_batch_of_nobody_is_a_step_of_noise() -> None:
    still = gradient([], PrivateGradients(0.0, CLIP, EXPECTED))
    noisy = gradient([], PrivateGradients(2.0, CLIP, EXPECTED))
    assert float(still.norm()) == 0
    expected = 2.0 * CLIP / EXPECTED
    assert float(noisy.std()) == pytest.approx(expected, rel=0.2)


def test_loss_that_is_shown_is_that_of_an_example() -> None:
    shown = []
    for batch in (sequences(6)[:1], sequences(6)):
        noise = PrivateGradients(0.0, CLIP, EXPECTED)
        run = Run(add_lora(tiny_base(), CONFIG, 0), SCHEDULE, 2, PrivateSft(), gradients=noise)
        run.learn(batch)
        shown.append(run.recent_loss())
        run.learn([])
        assert run.recent_loss() == shown[-1], "nobody has no loss"
    assert 0.5 < shown[1] / shown[0] < 2


def test_poisson_batches_draw_each_example_on_its_own() -> None:
    drawn = poisson_batches(200, 0.1, 50, seed=3)
    sizes = [len(batch) for batch in drawn]
    assert len(set(sizes)) > 5
    assert sum(sizes) / len(sizes) == pytest.approx(20, rel=0.15)
    assert all(len(set(batch)) == len(batch) for batch in drawn)
    assert drawn != poisson_batches(200, 0.1, 50, seed=4)


def learn(noise: float) -> Trained:
    examples = sequences(12)
    return train(
        tiny_base(),
        examples,
        [],
        CONFIG,
        replace(SCHEDULE, clip=1.0),
        objective=PrivateSft(),
        order=poisson_batches(len(examples), 0.3, 6, seed=1),
        gradients=PrivateGradients(noise, 1.0, 0.3 * len(examples)),
    )


def test_noise_is_no_function_of_the_seed() -> None:
    clean, again, one, other = (
        [p.flatten().tolist() for p in parameters(learn(noise).model)] for noise in (0, 0, 1, 1)
    )
    assert clean == again
    assert one != other


@pytest.mark.parametrize(("noise", "clip"), [(-1.0, 1.0), (1.0, 0.0)])
def test_numbers_that_mean_nothing_are_refused(noise: float, clip: float) -> None:
    with pytest.raises(TrainingError, match="noise"):
        PrivateGradients(noise, clip, 8)


def test_a_schedule_with_noise_says_what_it_spends_and_draws_its_own_batches() -> None:
    schedule = Schedule(epochs=4, batch_size=8, dp_noise=1.0)
    made = report(schedule, 64)
    assert (made.sample_rate, made.steps, made.noise) == (1 / 8, 32, 1.0)
    assert 0 < made.epsilon < math.inf
    assert made.delta < 1 / 64
    how = arrange(schedule, 64)
    assert len(how["order"]) == 32
    assert how["gradients"].expected_batch == 8


def test_preferences_are_not_learned_privately() -> None:
    with pytest.raises(TrainingError, match="Preferences"):
        arrange(Schedule(dp_noise=1.0), 64, "dpo")

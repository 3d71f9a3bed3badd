"""What becomes of many updates: exact where one factor stands still, the nearest of the rank where
products are averaged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import ConfigError, TrainingError
from ondol.federated.learning.layout import Layout, Module, drawn_a
from ondol.federated.learning.strategies import strategy
from ondol.federated.plan import Plan, Strategy

Vector = np.ndarray
MODULE = Module("model.layers.0.mlp.up_proj", 9, 8)
PLAN = Plan("f", "family", "tiny", "", "", "grounding", r=2, lora_alpha=4, seed=5)


def laid(name: Strategy) -> Layout:
    return Layout(name, 2, (MODULE,))


def product(layout: Layout, vector: Vector) -> np.ndarray:
    """What the vector adds to the weight, up to the scale; of fedsb between two frozen factors."""
    found = {side: m.astype(np.float64) for (_, side), m in layout.split(vector).items()}
    a = found.get("a", drawn_a(PLAN.seed, MODULE, 2).astype(np.float64))
    if layout.strategy == "fedsb":
        return drawn_a(1, Module("b", 8, 9), 2).T.astype(np.float64) @ found["r"] @ a
    return found["b"] @ a


def updates(layout: Layout, round: int, clients: int, seed: int) -> tuple[Vector, list[Vector]]:
    """A vector under way, and what devices learned from it."""
    random = np.random.default_rng(seed)
    sent = layout.sent(round)
    vector = random.standard_normal(layout.size).astype(np.float32)
    shape = (clients, sent.stop - sent.start)
    return vector, list(random.standard_normal(shape).astype(np.float32))


def learned(layout: Layout, vector: Vector, delta: Vector, round: int) -> Vector:
    """A device's own vector."""
    own = vector.copy()
    own[layout.sent(round)] += delta
    return own


@given(
    st.sampled_from(["ffa", "fedsb", "rolora"]),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(0, 2**16),
)
@settings(max_examples=40, deadline=None)
def test_mean_of_products_is_the_product_of_the_mean(
    name: Strategy, round: int, clients: int, seed: int
) -> None:
    layout = laid(name)
    vector, deltas = updates(layout, round, clients, seed)
    shared = strategy(PLAN, layout).next(vector, np.mean(deltas, axis=0), round)
    products = [product(layout, learned(layout, vector, d, round)) for d in deltas]
    assert np.allclose(product(layout, shared), np.mean(products, axis=0), atol=1e-5)


def test_mean_of_both_factors_is_another_adapter() -> None:
    layout = laid("fedavg")
    vector, deltas = updates(layout, 1, 3, 0)
    shared = strategy(PLAN, layout).combine(vector, deltas, [1.0] * 3, 1)
    products = [product(layout, vector + d) for d in deltas]
    assert np.allclose(shared, vector + np.mean(deltas, axis=0), atol=1e-6)
    assert np.abs(product(layout, shared) - np.mean(products, axis=0)).max() > 0.3


def test_products_are_averaged_and_cut_to_the_rank() -> None:
    layout = laid("product")
    vector, deltas = updates(layout, 1, 3, 0)
    weights = [1.0, 1.0, 2.0]
    plan = replace(PLAN, strategy="product", aggregation="individual")
    shared = strategy(plan, layout).combine(vector, deltas, weights, 1)
    mean = np.average([product(layout, vector + d) for d in deltas], axis=0, weights=weights)
    u, singular, vt = np.linalg.svd(mean)
    nearest = (u[:, :2] * singular[:2]) @ vt[:2]
    assert np.allclose(product(layout, shared), nearest, atol=1e-4)


def test_one_update_is_taken_as_it_is() -> None:
    for name in ("ffa", "rolora", "fedsb", "fedavg", "product"):
        layout = laid(name)
        vector, (delta,) = updates(layout, 1, 1, 3)
        plan = replace(PLAN, strategy=name, aggregation="individual")
        shared = strategy(plan, layout).next(vector, delta, 1)
        own = learned(layout, vector, delta, 1)
        assert np.allclose(product(layout, shared), product(layout, own), atol=1e-4)


def test_weights_count_in_proportion() -> None:
    layout = laid("ffa")
    vector, deltas = updates(layout, 1, 2, 1)
    shared = strategy(PLAN, layout).combine(vector, deltas, [3.0, 1.0], 1)
    assert np.allclose(shared, vector + 0.75 * deltas[0] + 0.25 * deltas[1], atol=1e-6)


def test_products_cannot_be_summed_in_secret() -> None:
    with pytest.raises(ConfigError, match="must see each update"):
        strategy(replace(PLAN, strategy="product"), laid("product"))


@pytest.mark.parametrize("name", ["ffa", "product"])
def test_update_that_does_not_fit_is_refused(name: Strategy) -> None:
    layout = laid(name)
    vector = np.zeros(layout.size, np.float32)
    home = strategy(replace(PLAN, strategy=name, aggregation="individual"), layout)
    with pytest.raises(TrainingError, match="numbers where the plan has"):
        home.next(vector, np.zeros(layout.size + 1, np.float32), 1)
    with pytest.raises(TrainingError, match="not a number"):
        home.next(vector, np.full(layout.size, np.nan, np.float32), 1)

"""Which number of a shared vector is which: the same on every machine, for every strategy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import TrainingError
from ondol.federated.learning.layout import Layout, Module, drawn_a, layout_of, with_rank
from ondol.federated.plan import Plan, Strategy
from tests.training.tiny_models import tiny_model, write_gguf

MODULES = (Module("model.layers.0.mlp.up_proj", 5, 3), Module("model.layers.1.mlp.up_proj", 4, 7))
PLAN = Plan("f", "family", "tiny", "", "", "grounding", r=2, lora_alpha=4)
KNOWN = "6a9693bd7da89bbe06cb8f3ebdc1e5bebc18fb3d1074dfbe"

layouts = st.builds(
    Layout,
    st.sampled_from(get_args(Strategy)),
    st.integers(1, 3),
    st.lists(
        st.builds(Module, st.uuids().map(str), st.integers(1, 5), st.integers(1, 5)),
        min_size=1,
        max_size=4,
    ).map(tuple),
)


@given(layouts, st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_vector_is_its_matrices_and_nothing_else(layout: Layout, round: int) -> None:
    vector = np.arange(layout.size, dtype=np.float32)
    matrices = layout.split(vector)
    assert np.array_equal(layout.join(matrices), vector)
    assert sorted(x for m in matrices.values() for x in m.ravel()) == list(vector)
    sent = vector[layout.sent(round)]
    learning = [m for (_, side), m in matrices.items() if side in layout.learns(round)]
    assert np.array_equal(np.concatenate([m.ravel() for m in learning]), sent)


def test_rolora_learns_both_halves_in_turn() -> None:
    layout = Layout("rolora", 2, MODULES)
    odd, even = layout.sent(1), layout.sent(2)
    assert (odd.start, odd.stop, even.stop) == (0, even.start, layout.size)
    assert (layout.learns(1), layout.learns(2)) == ({"b"}, {"a"})
    assert layout.sent(3) == odd


def test_sizes_are_what_the_strategies_promise() -> None:
    sizes = {s: Layout(s, 2, MODULES).size for s in get_args(Strategy)}
    b, a = 2 * (5 + 4), 2 * (3 + 7)
    assert sizes == {"ffa": b, "rolora": a + b, "fedsb": 8, "fedavg": a + b, "product": a + b}


def test_first_vector_changes_nothing() -> None:
    for name in get_args(Strategy):
        layout = Layout(name, 2, MODULES)
        matrices = layout.split(layout.begin(7))
        assert not any(m.any() for (_, side), m in matrices.items() if side in "br")


def test_frozen_a_is_the_same_bits_everywhere() -> None:
    # Written down from one machine; another numpy or processor must come to these.
    drawn = drawn_a(7, MODULES[0], 2)
    assert drawn.dtype == np.float32
    assert drawn.tobytes().hex() == KNOWN
    assert not np.array_equal(drawn_a(8, MODULES[0], 2), drawn)
    assert np.abs(drawn_a(7, Module("m", 1, 100), 50)).max() <= 0.1


def test_vector_of_another_plan_is_refused() -> None:
    layout = Layout("ffa", 2, MODULES)
    with pytest.raises(TrainingError, match="19 numbers where the plan has 18"):
        layout.split(np.zeros(19, np.float32))


def test_smaller_rank_takes_the_first_rows_and_columns() -> None:
    layout = Layout("product", 3, MODULES)
    vector = np.arange(layout.size, dtype=np.float32)
    small, cut = with_rank(layout, vector, 1)
    assert small.r == 1
    for (name, side), matrix in small.split(cut).items():
        whole = layout.split(vector)[name, side]
        assert np.array_equal(matrix, whole[:, :1] if side == "b" else whole[:1])
    _, back = with_rank(small, cut, 3)
    assert set(back[back > 0]) == set(cut[cut > 0])


@pytest.mark.parametrize("name", ["llama", "phi3"])
def test_layout_has_the_shapes_that_peft_trains(name: str, tmp_path: Path) -> None:
    import peft

    model = tiny_model(name)
    base = write_gguf(model, name, tmp_path / "base.gguf")
    layout = layout_of(PLAN, base)
    modules = sorted({m.name.rpartition(".")[2] for m in layout.modules})
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=modules))
    found = {
        key.removeprefix("base_model.model.").partition(".lora_")[0]: tuple(weights.shape)
        for key, weights in adapted.named_parameters()
        if "lora_B" in key
    }
    assert found == {m.name: (m.out_features, 2) for m in layout.modules}


def test_layers_below_the_first_do_not_learn(tmp_path: Path) -> None:
    base = write_gguf(tiny_model("llama"), "llama", tmp_path / "base.gguf")
    upper = layout_of(replace(PLAN, first_layer=1, target_modules=("q_proj",)), base)
    assert [m.name for m in upper.modules] == ["model.layers.1.self_attn.q_proj"]
    with pytest.raises(TrainingError, match="no layer that the plan would train"):
        layout_of(replace(PLAN, first_layer=9), base)


def test_file_that_is_no_base_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base.gguf").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match=r"base\.gguf"):
        layout_of(PLAN, tmp_path / "base.gguf")

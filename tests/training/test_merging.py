"""Merging: the average of what adapters add, as near as a rank allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import StorageError, TrainingError
from ondol.training import likeness, lora_file
from ondol.training.lora_file import LoraFile
from ondol.training.merging import LARGEST_R, average, merge

Q, UP = "blk.0.attn_q.weight", "blk.1.ffn_up.weight"
SHAPES = {Q: (12, 16), UP: (20, 16)}

Adapter = tuple[dict[str, np.ndarray], float]


def adapter(seed: int, r: int, scale: float = 2.0, names: tuple[str, ...] = (Q, UP)) -> Adapter:
    random = np.random.default_rng(seed)
    sides = {
        f"{name}.lora_{side}": shape
        for name in names
        for side, shape in (("a", (r, SHAPES[name][1])), ("b", (SHAPES[name][0], r)))
    }
    normal = random.standard_normal
    return {key: normal(shape).astype(np.float32) for key, shape in sides.items()}, scale


def product(tensors: Any, name: str, scale: float = 1.0) -> np.ndarray:
    """What is added to the weight, in float64."""
    if f"{name}.lora_a" not in tensors:
        return np.zeros(SHAPES[name])
    b, a = (tensors[f"{name}.lora_{side}"].astype(np.float64) for side in "ba")
    return scale * b @ a


adapters = st.lists(
    st.builds(
        adapter,
        st.integers(0, 10**6),
        st.integers(1, 5),
        st.floats(0.1, 4),
        st.sampled_from([(Q, UP), (Q,), (UP,)]),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(adapters, st.data())
def test_with_rank_enough_the_average_is_exact(some: list[Adapter], data: st.DataObject) -> None:
    weights = data.draw(
        st.lists(st.floats(0.1, 5), min_size=len(some), max_size=len(some)), "weights"
    )
    merged = average(some, weights, r=20)
    assert merged.kept == pytest.approx(1.0)
    shares = np.array(weights) / sum(weights)
    for name in {key.rpartition(".")[0] for key in merged.tensors}:
        wanted = sum(w * product(t, name, s) for w, (t, s) in zip(shares, some, strict=True))
        assert np.allclose(product(merged.tensors, name), wanted, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(adapters, st.integers(1, 6))
def test_the_cut_is_the_nearest_of_its_rank_and_says_what_it_lost(
    some: list[Adapter], r: int
) -> None:
    merged = average(some, r=r)
    lost = whole = 0.0
    for name in {key.rpartition(".")[0] for key in merged.tensors}:
        assert merged.tensors[f"{name}.lora_a"].shape == (r, SHAPES[name][1])
        assert merged.tensors[f"{name}.lora_b"].shape == (SHAPES[name][0], r)
        wanted = sum(product(t, name, s) for t, s in some) / len(some)
        singular = np.linalg.svd(wanted, compute_uv=False)
        error = np.linalg.norm(product(merged.tensors, name) - wanted)
        # Eckart and Young: no matrix of rank r is nearer.
        assert error == pytest.approx(np.sqrt((singular[r:] ** 2).sum()), rel=1e-3, abs=1e-3)
        lost, whole = lost + (singular[r:] ** 2).sum(), whole + (singular**2).sum()
    assert merged.kept == pytest.approx(1 - lost / whole, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.permutations(range(3)))
def test_the_order_of_the_adapters_does_not_count(seed: int, order: list[int]) -> None:
    some = [adapter(seed + i, r=2 + i) for i in range(3)]
    one, other = average(some, [1, 2, 3]), average([some[i] for i in order], [i + 1 for i in order])
    for name in SHAPES:
        first, second = product(one.tensors, name), product(other.tensors, name)
        assert np.allclose(first, second, atol=1e-3)


def test_an_adapter_merged_with_itself_is_itself() -> None:
    one = adapter(1, r=3, scale=0.5)
    merged = merge([one, one])
    for name in SHAPES:
        assert np.allclose(product(merged, name), product(*one[:1], name, 0.5), atol=1e-4)


def test_one_of_weight_zero_says_nothing() -> None:
    one, other = adapter(1, r=3), adapter(2, r=3)
    merged = merge([one, other], [1, 0])
    assert np.allclose(product(merged, Q), product(one[0], Q, 2.0), atol=1e-4)


def test_different_beginnings_do_not_cancel_as_averaged_factors_would() -> None:
    tensors, scale = adapter(1, r=3)
    # The same adapter, its r directions turned round: other factors, the same product.
    turned = {k: -x for k, x in tensors.items()}
    merged = merge([(tensors, scale), (turned, scale)])
    assert np.allclose(product(merged, Q), product(tensors, Q, scale), atol=1e-4)
    factors = {key: (tensors[key] + turned[key]) / 2 for key in tensors}
    assert np.allclose(product(factors, Q, scale), 0)


@pytest.mark.parametrize(
    ("weights", "r", "said"),
    [
        ([1.0], 0, "2 adapters and 1 weights"),
        ([0, 0], 0, "must be 0 or more"),
        ([-1, 2], 0, "must be 0 or more"),
        ([float("nan"), 2], 0, "must be 0 or more"),
        (None, -1, "between 1 and"),
        (None, LARGEST_R + 1, "between 1 and"),
    ],
)
def test_what_cannot_be_averaged_is_refused(weights: Any, r: int, said: str) -> None:
    with pytest.raises(TrainingError, match=said) as refusal:
        average([adapter(1, 2), adapter(2, 2)], weights, r)
    assert refusal.value.hint


def test_adapters_of_other_shapes_or_names_are_refused() -> None:
    one, (tensors, scale) = adapter(1, 2), adapter(2, 2)
    wide = tensors | {f"{Q}.lora_a": np.ones((2, 99), np.float32)}
    with pytest.raises(TrainingError, match="different shapes"):
        average([one, (wide, scale)])
    with pytest.raises(TrainingError, match="is not a LoRA matrix"):
        average([one, ({"blk.0.attn_q.weight": np.ones((2, 2), np.float32)}, 1.0)])
    with pytest.raises(TrainingError, match="each adapter has one weight"):
        average([])


def as_file(made: Adapter, alpha: float = 0.0) -> LoraFile:
    return LoraFile("llama", alpha, made[0])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4))
def test_likeness_is_what_the_products_say(seed: int, r1: int, r2: int) -> None:
    one, other = as_file(adapter(seed, r1), alpha=3.0), as_file(adapter(seed + 1, r2))
    q, up, whole = likeness.compare(one, other)
    assert (q.module, up.module, whole.module) == ("q_proj", "up_proj", "all")
    first, second = product(one.tensors, Q, 3.0 / r1), product(other.tensors, Q)
    assert q.norm_a == pytest.approx(np.linalg.norm(first), rel=1e-4)
    assert q.norm_b == pytest.approx(np.linalg.norm(second), rel=1e-4)
    inner = (first * second).sum() / np.linalg.norm(first) / np.linalg.norm(second)
    assert q.cosine == pytest.approx(inner, abs=1e-4)
    u1, u2 = (np.linalg.svd(x)[0][:, :r] for x, r in ((first, r1), (second, r2)))
    assert q.overlap == pytest.approx(((u1.T @ u2) ** 2).sum() / min(r1, r2), abs=1e-4)
    assert whole.norm_a == pytest.approx(np.hypot(q.norm_a, up.norm_a), rel=1e-4)


def test_an_adapter_is_like_itself_and_unlike_what_it_shares_nothing_with() -> None:
    tensors, _ = adapter(1, 3)
    opposite = {k: -x if k.endswith("b") else x for k, x in tensors.items()}
    row = likeness.compare(as_file((tensors, 1)), as_file((opposite, 1)))[-1]
    assert (row.cosine, row.overlap) == (pytest.approx(-1), pytest.approx(1))
    q, up, whole = likeness.compare(as_file(adapter(1, 3, names=(Q,))), as_file(adapter(2, 3)))
    assert (up.norm_a, up.cosine, up.overlap) == (0.0, None, None)
    assert q.overlap is not None and whole.overlap == q.overlap


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    tensors, _ = adapter(1, 4)
    rows = {"a": np.ones((4, 16), np.float32), "b": np.ones((30, 4), np.float32)}
    embedding = {f"token_embd.weight.lora_{side}": rows[side] for side in "ab"}
    tensors |= embedding
    lora_file.write(tensors, 8.0, "qwen3", tmp_path / "a.gguf", "f32")
    found = lora_file.read(tmp_path / "a.gguf")
    # llama.cpp takes rows of the embedding's A, one for each token.
    shapes = {
        x.name: tuple(map(int, x.shape)) for x in gguf.GGUFReader(tmp_path / "a.gguf").tensors
    }
    assert shapes["token_embd.weight.lora_a"] == (4, 30)
    assert shapes["token_embd.weight.lora_b"] == (4, 16)
    assert (found.architecture, found.alpha, found.scale(Q)) == ("qwen3", 8.0, 2.0)
    assert found.weights() == [Q, UP, "token_embd.weight"]
    assert all(np.array_equal(found.tensors[key], tensors[key]) for key in tensors)


@pytest.mark.parametrize("content", [b"", b"nothing", b"GGUF\3\0\0\0", None])
def test_a_file_that_is_no_adapter_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.gguf").write_bytes(content)
    with pytest.raises(TrainingError, match=r"a\.gguf cannot be read as a GGUF adapter"):
        lora_file.read(tmp_path / "a.gguf")


def test_half_an_adapter_is_refused(tmp_path: Path) -> None:
    tensors, _ = adapter(1, 4)
    del tensors[f"{Q}.lora_b"]
    lora_file.write(tensors, 8.0, "llama", tmp_path / "a.gguf", "f32")
    with pytest.raises(TrainingError, match="cannot be read as a GGUF adapter"):
        lora_file.read(tmp_path / "a.gguf")


def test_an_adapter_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError):
        lora_file.write(adapter(1, 4)[0], 8.0, "llama", tmp_path / "folder")

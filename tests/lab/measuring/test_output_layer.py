"""From hidden states to probabilities, in blocks of the vocabulary; and how far two models are."""

from __future__ import annotations

import math
from pathlib import Path

import gguf
import numpy as np
import pytest

from ondol.errors import UsageError
from ondol.lab.measuring import output_layer
from ondol.lab.measuring.divergence import divergence
from ondol.lab.measuring.output_layer import OutputLayer, losses
from ondol.lab.measuring.perplexity import Perplexity, Reading, change

WIDTH, TOKENS = 32, 70


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_layer, "BLOCK", 16)


@pytest.fixture
def weights() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((TOKENS, WIDTH)).astype(np.float32)


@pytest.fixture
def states() -> np.ndarray:
    return np.random.default_rng(2).standard_normal((9, WIDTH)).astype(np.float32)


def write(
    file: Path,
    weights: np.ndarray,
    name: str = "output.weight",
    bias: np.ndarray | None = None,
    **more: float,
) -> Path:
    writer = gguf.GGUFWriter(file, "tiny")
    for key, value in more.items():
        writer.add_float32(f"tiny.{key}", value)
    writer.add_tensor(name, weights)
    if bias is not None:
        writer.add_tensor("output.bias", bias)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("name", ["output.weight", "token_embd.weight"])
def test_blocks_give_what_the_whole_layer_gives(
    tmp_path: Path, weights: np.ndarray, states: np.ndarray, name: str
) -> None:
    layer = OutputLayer.read(write(tmp_path / "m.gguf", weights, name))
    tokens = [0, 15, 16, 17, 31, 32, 69, 48, 5]
    whole = log_softmax(states @ weights.T)
    assert losses(layer, states, tokens) == pytest.approx(-whole[np.arange(9), tokens], abs=1e-5)


def test_halves_and_a_bias_are_read(
    tmp_path: Path, weights: np.ndarray, states: np.ndarray
) -> None:
    halves, bias = weights.astype(np.float16), np.arange(TOKENS, dtype=np.float32) / 10
    layer = OutputLayer.read(write(tmp_path / "m.gguf", halves, bias=bias))
    whole = log_softmax(states @ halves.astype(np.float32).T + bias)
    assert losses(layer, states, [20] * 9) == pytest.approx(-whole[:, 20], abs=1e-5)


def test_large_logits_do_not_overflow(
    tmp_path: Path, weights: np.ndarray, states: np.ndarray
) -> None:
    layer = OutputLayer.read(write(tmp_path / "m.gguf", weights))
    assert np.isfinite(losses(layer, states * 200, [3] * 9)).all()


def test_a_cap_bends_the_logits(tmp_path: Path, weights: np.ndarray, states: np.ndarray) -> None:
    layer = OutputLayer.read(write(tmp_path / "m.gguf", weights, final_logit_softcapping=3.0))
    whole = log_softmax(3 * np.tanh(states @ weights.T / 3))
    assert losses(layer, states, [7] * 9) == pytest.approx(-whole[:, 7], abs=1e-5)


@pytest.mark.parametrize("damage", ["scale", "no layer", "no file"])
def test_a_last_step_of_another_kind_is_refused(
    tmp_path: Path, weights: np.ndarray, damage: str
) -> None:
    file = tmp_path / "m.gguf"
    if damage == "scale":
        write(file, weights, logit_scale=0.5)
    elif damage == "no layer":
        write(file, weights, "blk.0.attn_q.weight")
    else:
        file.write_bytes(b"not a model")
    with pytest.raises(ValueError):
        OutputLayer.read(file)


def reading(layer: OutputLayer, states: np.ndarray) -> Reading:
    windows = (states[:5], states[5:])
    return Reading(layer, windows, ((1, 2, 3, 4, 5), (6, 7, 8, 9)), 0.0, 0.0)


def test_the_divergence_is_that_of_the_whole_vocabulary(
    tmp_path: Path, weights: np.ndarray, states: np.ndarray
) -> None:
    other = weights + 0.2 * np.random.default_rng(3).standard_normal(weights.shape)
    layers = [
        OutputLayer.read(write(tmp_path / f"{n}.gguf", w.astype(np.float32)))
        for n, w in enumerate((weights, other))
    ]
    first, second = (log_softmax(states @ w.T.astype(np.float32)) for w in (weights, other))
    truth = (np.exp(first) * (first - second)).sum(axis=1)
    found = divergence(reading(layers[0], states), reading(layers[1], states))
    assert found.mean.value == pytest.approx(truth.mean(), rel=1e-4)
    assert found.median == pytest.approx(np.median(truth), rel=1e-4)
    same = (first.argmax(axis=1) == second.argmax(axis=1)).mean()
    assert found.same_top.value == pytest.approx(same) and found.places == 9
    itself = divergence(reading(layers[0], states), reading(layers[0], states))
    assert itself.mean.value == 0 and itself.same_top.value == 1


def test_models_of_other_tokens_are_not_compared(
    tmp_path: Path, weights: np.ndarray, states: np.ndarray
) -> None:
    whole = reading(OutputLayer.read(write(tmp_path / "a.gguf", weights)), states)
    fewer = reading(OutputLayer.read(write(tmp_path / "b.gguf", weights[:50])), states)
    with pytest.raises(UsageError):
        divergence(whole, fewer)


def test_a_change_is_found_where_single_perplexities_cannot_show_it() -> None:
    drawn = np.random.default_rng(4).gamma(2.0, 1.5, (12, 100))
    before = Perplexity(tuple(map(tuple, drawn)), "states", 1.0)
    after = Perplexity(tuple(map(tuple, drawn + math.log(1.01))), "states", 1.0)
    found = change(before, after)
    assert found.value == pytest.approx(0.01) and 0 < found.low <= found.high < 0.02
    assert before.low < after.low < before.high < after.high
    assert before.value == pytest.approx(math.exp(drawn.mean()))

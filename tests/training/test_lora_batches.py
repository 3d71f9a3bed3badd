"""What learns, from which batches, how fast, and by which loss."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_llama import sequences, tiny_base

from ondol.errors import TrainingError
from ondol.training.base import Encoded, parameters
from ondol.training.lora import (
    ALL_LINEAR,
    BUCKET_BATCHES,
    LoraConfig,
    Schedule,
    add_lora,
    batches,
    padded,
    parts_of,
    rate,
    reply_losses,
)

LENGTHS = st.lists(st.integers(1, 500), max_size=300)
EPOCHS = st.sampled_from([0.25, 0.5, 1.0, 1.3, 2.0, 2.75])
SIZES = st.integers(1, 9)


@given(LENGTHS, EPOCHS, SIZES, st.integers(0, 9))
def test_every_example_comes_once_an_epoch(
    lengths: list[int], epochs: float, size: int, seed: int
) -> None:
    schedule = Schedule(epochs=epochs, batch_size=size, seed=seed)
    order = batches(lengths, schedule)
    assert order == batches(lengths, schedule)
    assert all(1 <= len(batch) <= size for batch in order)
    flat = [i for batch in order for i in batch]
    assert len(flat) == round(len(lengths) * epochs)
    for start in range(0, len(flat), max(1, len(lengths))):
        epoch = flat[start : start + len(lengths)]
        assert len(set(epoch)) == len(epoch)
        assert set(epoch) <= set(range(len(lengths)))


@given(LENGTHS.filter(len), SIZES)
def test_batches_hold_examples_of_like_length(lengths: list[int], size: int) -> None:
    order = batches(lengths, Schedule(batch_size=size))
    padding = sum(max(lengths[i] for i in b) - lengths[i] for b in order for i in b)
    windows = math.ceil(len(lengths) / (size * BUCKET_BATCHES))
    # Within a window the batches follow each other in length: their spreads add up to one spread.
    assert padding <= windows * size * (max(lengths) - min(lengths))
    assert sum(len(batch) < size for batch in order) <= 1


def test_another_seed_is_another_order() -> None:
    assert batches([5] * 100, Schedule(seed=1)) != batches([5] * 100, Schedule(seed=2))


def test_second_epoch_is_not_the_first_again() -> None:
    order = batches(list(range(100)), Schedule(epochs=2, batch_size=10))
    assert order[:10] != order[10:]


@given(
    st.integers(1, 3000),
    st.floats(0, 1.5),
    st.floats(0, 1),
    st.floats(1e-6, 1e-1),
)
def test_rate_stays_between_nothing_and_the_learning_rate(
    steps: int, warmup: float, floor: float, learning_rate: float
) -> None:
    schedule = Schedule(learning_rate=learning_rate, warmup=warmup, floor=floor)
    rates = [rate(step, steps, schedule) for step in range(steps)]
    assert all(0 < r <= learning_rate * (1 + 1e-9) for r in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1]), "up"
    assert rates[top:] == sorted(rates[top:], reverse=True), "then down"
    after_warmup = [r for step, r in enumerate(rates) if step >= max(1.0, warmup * steps)]
    assert all(r >= learning_rate * floor * (1 - 1e-9) for r in after_warmup)


def test_rate_warms_up_and_ends_near_the_floor() -> None:
    schedule = Schedule(learning_rate=1.0, warmup=0.1, floor=0.05)
    rates = [rate(step, 1000, schedule) for step in range(1000)]
    assert rates[0] < 0.02
    assert rates.index(max(rates)) == 100
    assert rates[100] == 1.0
    assert rates[-1] == pytest.approx(0.05, abs=0.001)


ENCODED = st.builds(
    lambda prompt, reply: Encoded((1,) * prompt, (2,) * reply),
    st.integers(1, 300),
    st.integers(1, 30),
)


@given(st.lists(ENCODED, max_size=30), st.integers(1, 2000))
def test_parts_keep_every_example_within_the_memory(batch: list[Encoded], most: int) -> None:
    parts = parts_of(batch, most)
    assert Counter(e for part in parts for e in part) == Counter(batch)
    for part in parts:
        assert len(part) * padded(max(map(len, part))) <= most or len(part) == 1


def full_losses(model: Any, example: Encoded) -> list[float]:
    """The same from the logits of every position, one example alone, without padding."""
    import torch

    ids = torch.tensor([example.prompt + example.reply])
    with torch.no_grad():
        logprobs = model(ids).logits[0].float().log_softmax(-1)
    start = len(example.prompt)
    return [-float(logprobs[start + i - 1, token]) for i, token in enumerate(example.reply)]


def test_loss_is_that_of_the_replys_tokens_alone() -> None:
    model, part = tiny_base().model, sequences(6)
    expected = [loss for example in part for loss in full_losses(model, example)]
    assert reply_losses(model, part).tolist() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_prompt_of_one_token_is_enough() -> None:
    model, example = tiny_base().model, Encoded((7,), (5, 4))
    assert reply_losses(model, [example]).tolist() == pytest.approx(
        full_losses(model, example), rel=1e-4, abs=1e-4
    )


def test_fresh_adapter_changes_nothing_yet() -> None:
    plain = reply_losses(tiny_base().model, sequences(3))
    adapted = reply_losses(add_lora(tiny_base(), LoraConfig(r=4), seed=1), sequences(3))
    assert adapted.tolist() == plain.tolist()


def test_gradient_does_not_depend_on_the_parts() -> None:
    import torch

    def gradients(most_tokens: int) -> list[torch.Tensor]:
        model = add_lora(tiny_base(), LoraConfig(r=4), seed=1)
        torch.manual_seed(2)
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights, std=0.1)
        batch = sequences(8)
        tokens = sum(len(example.reply) for example in batch)
        for part in parts_of(batch, most_tokens):
            (reply_losses(model, part).sum() / tokens).backward()
        return [p.grad for p in parameters(model)]

    whole = gradients(10_000)
    assert all(g.abs().max() > 0 for g in whole)
    for most_tokens in (1, 100):
        for one, other in zip(whole, gradients(most_tokens), strict=True):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)


def test_only_the_adapter_of_the_upper_layers_learns() -> None:
    model = add_lora(tiny_base(), LoraConfig(r=4, first_layer=1), seed=1)
    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(learning) == 2 * len(ALL_LINEAR)
    assert all("lora_" in name and ".layers.1." in name for name in learning)


@pytest.mark.parametrize(
    "config", [LoraConfig(target_modules=("no_such",)), LoraConfig(first_layer=2)]
)
def test_layers_the_model_does_not_have_are_told_in_a_sentence(config: LoraConfig) -> None:
    with pytest.raises(TrainingError, match="no layers of the asked names") as error:
        add_lora(tiny_base(), config, seed=1)
    assert error.value.hint

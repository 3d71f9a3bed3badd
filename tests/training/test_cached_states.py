"""Kept hidden states of the lower layers: the same loss and gradient, for less work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_llama import VOCABULARY, sequences, tiny_base

from ondol.training import cached
from ondol.training.base import Base, parameters
from ondol.training.cached import HiddenStates, keep
from ondol.training.loop import Progress, Trained, train
from ondol.training.lora import LoraConfig, Schedule, add_lora, reply_losses

LAYERS, FIRST = 4, 2
CONFIG = LoraConfig(r=4, lora_alpha=8, first_layer=FIRST)
SCHEDULE = Schedule(epochs=2, batch_size=4, learning_rate=2e-2, checks=2)
EXAMPLES, HELD_OUT = sequences(12), sequences(4, seed=1)
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
    "use_cache": False,
    "pad_token_id": 0,
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost a tiny model most of its time."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def base_of(family: str) -> Base:
    """Four random layers of ``family``; those with a sliding window see less than a sequence."""
    import torch
    import transformers

    window = {"sliding_window": 8}
    more: dict[str, Any] = {
        "Gemma2": window | {"head_dim": 8},
        "Gemma3Text": window | {"head_dim": 8, "sliding_window_pattern": 2},
        "Phi3": {"bos_token_id": 1, "eos_token_id": 2},
    }.get(family, {})
    config = getattr(transformers, f"{family}Config")(**SHAPE | more)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = transformers.AutoModelForCausalLM.from_config(config)
    model.requires_grad_(False)
    return Base(model.eval(), None)


def touched(model: Any) -> Any:
    """``model`` with an adapter that says something."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(5)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1)
    return model


@pytest.mark.parametrize(
    "family", ["Llama", "Mistral", "Qwen2", "Qwen3", "Gemma2", "Gemma3Text", "Phi3"]
)
def test_loss_and_gradient_are_those_of_the_whole_model(family: str) -> None:
    import torch

    base = base_of(family)
    modules = ("qkv_proj", "down_proj") if family == "Phi3" else ("q_proj", "down_proj")
    config = LoraConfig(r=4, first_layer=FIRST, target_modules=modules)
    model = touched(add_lora(base, config, 1))
    states = keep(model, FIRST, EXAMPLES, 2.0, part_tokens=200)
    assert states is not None
    found = []
    for losses in (lambda part: reply_losses(model, part), states.losses):
        loss = losses(EXAMPLES)
        loss.sum().backward()
        found.append((loss.detach(), [p.grad.clone() for p in parameters(model)]))
        model.zero_grad()
    (whole, gradients), (kept, kept_gradients) = found
    assert torch.allclose(whole, kept, rtol=1e-4, atol=1e-5)
    for one, other in zip(gradients, kept_gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)
    assert torch.equal(whole, reply_losses(model, EXAMPLES)), "the model is whole afterwards"


def learn(*, kept: bool) -> tuple[Trained, list[Progress]]:
    steps: list[Progress] = []
    trained = train(
        tiny_base(layers=LAYERS),
        EXAMPLES,
        HELD_OUT,
        CONFIG,
        SCHEDULE,
        on_progress=steps.append,
        keep_states=keep if kept else lambda *_, **__: None,
    )
    return trained, steps


def test_training_takes_the_same_way_with_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    # What bfloat16 rounds depends on which sequences are computed together.
    monkeypatch.setattr("ondol.training.steps.has_bfloat16", lambda device: False)
    (kept, with_states), (plain, without) = (learn(kept=k) for k in (True, False))
    assert (kept.cached_layers, plain.cached_layers) == (FIRST, 0)
    for one, other in zip(with_states, without, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-3)
    for step in (2, -1):
        assert with_states[step].held_out_loss == pytest.approx(without[step].held_out_loss)
    assert with_states[2].held_out_loss != with_states[-1].held_out_loss, "it learns"


def test_what_is_read_once_is_not_kept() -> None:
    model = add_lora(tiny_base(layers=LAYERS), CONFIG, 1)
    assert keep(model, FIRST, EXAMPLES, 1.1, part_tokens=200) is None
    assert keep(model, 0, EXAMPLES, 9.0, part_tokens=200) is None
    assert keep(model, FIRST, [], 9.0, part_tokens=200) is None


def test_too_much_for_the_memory_goes_into_a_file_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    model = touched(add_lora(tiny_base(layers=LAYERS), CONFIG, 1))
    monkeypatch.setattr(cached, "MOST_MEMORY", 0)
    assert keep(model, FIRST, EXAMPLES, 2.0, part_tokens=200) is None, "no folder for it"
    states = keep(model, FIRST, EXAMPLES, 2.0, folder=tmp_path, part_tokens=200)
    assert states is not None
    assert list(tmp_path.iterdir()) == []
    with torch.no_grad():
        assert torch.allclose(
            states.losses(EXAMPLES), reply_losses(model, EXAMPLES), rtol=1e-2, atol=1e-2
        )
    monkeypatch.setattr(cached, "MOST_FILE", 0)
    assert keep(model, FIRST, EXAMPLES, 2.0, folder=tmp_path, part_tokens=200) is None


def test_what_was_kept_is_overwritten() -> None:
    model = add_lora(tiny_base(layers=LAYERS), CONFIG, 1)
    states = keep(model, FIRST, EXAMPLES, 2.0, part_tokens=200)
    assert states is not None
    memory = states._states
    assert memory is not None and memory.abs().max() > 0
    states.destroy()
    assert memory.abs().max() == 0


def test_model_that_cannot_go_on_from_them_is_trained_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses = HiddenStates.losses
    monkeypatch.setattr(HiddenStates, "losses", lambda self, part: losses(self, part) + 1.0)
    trained, _ = learn(kept=True)
    assert trained.cached_layers == 0

    def fail(self: object, part: object) -> None:
        raise TypeError("a layer that wants to know more")

    monkeypatch.setattr(HiddenStates, "losses", fail)
    trained, _ = learn(kept=True)
    assert trained.cached_layers == 0

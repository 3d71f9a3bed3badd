"""A llama of two layers that learns within a second, and sequences for it."""

from __future__ import annotations

import random
from typing import Any

from ondol.training.base import Base, Encoded

VOCABULARY, LAYERS = 64, 2


def tiny_base(seed: int = 0, layers: int = LAYERS) -> Base:
    """The same random weights for the same seed, frozen as those of a real base are."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=VOCABULARY,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=layers,
                num_attention_heads=4,
                num_key_value_heads=2,
                initializer_range=0.3,
                use_cache=False,
            )
        )
    model.requires_grad_(False)
    return Base(model.eval(), None)


def sequences(count: int, seed: int = 0, longest: int = 40) -> list[Encoded]:
    """A prompt of noise of any length, and the beginning of one reply."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        prompt = tuple(rng.randrange(10, VOCABULARY) for _ in range(rng.randint(2, longest)))
        made.append(Encoded(prompt, (5, 4, 3, 2)[: rng.randint(2, 4)]))
    return made

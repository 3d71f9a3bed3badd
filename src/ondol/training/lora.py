"""LoRA (Hu et al. 2021, arXiv:2106.09685): what learns, from which batches, by which loss.

Only positions of the reply go through the vocabulary's matrix: over all positions it would take
most of the memory. The order of the examples is a function of their lengths and the seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.base import Base, Encoded

if TYPE_CHECKING:
    import torch

ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

BUCKET_BATCHES = 16
"""Batches are cut from windows of this many, sorted by length: little padding, good shuffling."""

WIDTH_STEP = 32
"""Padded widths are multiples of this: the matrix kernels compile code and keep memory for every
width they have not met."""


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """The adapter's shape, in PEFT's words; layers below ``first_layer`` stay as they are, and no
    gradient is computed for them."""

    r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    target_modules: tuple[str, ...] = ALL_LINEAR
    first_layer: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast. A step's gradient is the mean over the reply tokens of ``batch_size``
    examples, computed in parts of at most ``part_tokens`` tokens to bound the memory."""

    epochs: float = 1.0
    batch_size: int = 8
    learning_rate: float = 1e-3
    warmup: float = 0.05
    floor: float = 0.05
    clip: float = 1.0
    seed: int = 0
    part_tokens: int = 1024
    checks: int = 8
    patience: int = 3
    checkpoint_seconds: float = 60.0


def batches(lengths: Sequence[int], schedule: Schedule) -> list[list[int]]:
    """The indices of each step's examples. Every example comes once an epoch."""
    rng = random.Random(schedule.seed)
    size, total = schedule.batch_size, round(len(lengths) * schedule.epochs)
    order: list[list[int]] = []
    left = total
    while left > 0:
        epoch = list(range(len(lengths)))
        rng.shuffle(epoch)
        epoch = epoch[:left]
        left -= len(epoch)
        window = size * BUCKET_BATCHES
        for start in range(0, len(epoch), window):
            part = sorted(epoch[start : start + window], key=lambda i: (lengths[i], i))
            cut = [part[i : i + size] for i in range(0, len(part), size)]
            rng.shuffle(cut)
            order += cut
    return order


def rate(step: int, steps: int, schedule: Schedule) -> float:
    """The learning rate of ``step`` (from 0): linear warm-up, then half a cosine to the floor."""
    warm = max(1.0, schedule.warmup * steps)
    if step < warm:
        return schedule.learning_rate * (step + 1) / (warm + 1)
    turn = (step - warm) / max(1.0, steps - warm)
    wave = 0.5 * (1.0 + math.cos(math.pi * turn))
    return schedule.learning_rate * (schedule.floor + (1.0 - schedule.floor) * wave)


def parts_of(batch: Sequence[Encoded], most_tokens: int) -> list[list[Encoded]]:
    """``batch`` in padded parts of at most ``most_tokens``; one example always fits."""
    parts: list[list[Encoded]] = []
    longest = 0
    for encoded in sorted(batch, key=len):
        longest = max(longest, padded(len(encoded)))
        if parts and longest * (len(parts[-1]) + 1) <= most_tokens:
            parts[-1].append(encoded)
        else:
            parts.append([encoded])
            longest = padded(len(encoded))
    return parts


def padded(length: int) -> int:
    """The width that sequences of ``length`` get."""
    return -(-length // WIDTH_STEP) * WIDTH_STEP


def reply_losses(model: Any, part: Sequence[Encoded]) -> torch.Tensor:
    """The negative log-likelihood of every reply token, shape (tokens,), in order."""
    import torch

    device = next(model.parameters()).device
    width = padded(max(map(len, part)))
    ids = torch.zeros(len(part), width, dtype=torch.long)
    seen = torch.zeros(len(part), width, dtype=torch.long)
    predicts = torch.zeros(len(part), width, dtype=torch.bool)
    for row, encoded in enumerate(part):
        ids[row, : len(encoded)] = torch.tensor(encoded.prompt + encoded.reply)
        seen[row, : len(encoded)] = 1
        predicts[row, len(encoded.prompt) - 1 : len(encoded) - 1] = True
    ids, seen, predicts = ids.to(device), seen.to(device), predicts.to(device)
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = inner.model(input_ids=ids, attention_mask=seen).last_hidden_state[predicts]
    logits = inner.lm_head(hidden).float()
    wanted = ids[:, 1:][predicts[:, :-1]]
    return torch.nn.functional.cross_entropy(logits, wanted, reduction="none")


def mean_loss(
    model: Any,
    examples: Sequence[Encoded],
    part_tokens: int,
    precision: Callable[[], AbstractContextManager[Any]],
) -> float:
    """The mean negative log-likelihood of a reply token, without learning from it."""
    import torch

    was_training = model.training
    model.eval()
    total = 0.0
    with torch.no_grad(), precision():
        for part in parts_of(examples, part_tokens):
            total += float(reply_losses(model, part).sum())
    model.train(was_training)
    return total / max(1, sum(len(example.reply) for example in examples))


def add_lora(base: Base, config: LoraConfig, seed: int) -> Any:
    """``base`` with a fresh adapter that changes nothing yet (B is zero)."""
    import peft
    import torch

    torch.manual_seed(seed)
    layers = range(config.first_layer, base.model.config.num_hidden_layers)
    wanted = peft.LoraConfig(
        r=config.r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=list(config.target_modules),
        layers_to_transform=list(layers) if config.first_layer else None,
        task_type="CAUSAL_LM",
    )
    try:
        if not layers:  # for peft an empty list means all of them
            raise ValueError(f"{layers.stop} layers, all below first_layer {layers.start}")
        return peft.get_peft_model(base.model, wanted)
    except ValueError as error:
        raise TrainingError(t("training.lora", reason=error), t("training.lora_hint")) from error

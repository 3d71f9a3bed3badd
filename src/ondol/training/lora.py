"""LoRA (Hu et al. 2021, arXiv:2106.09685): what learns, from which batches, by which loss.

Only positions of the reply go through the vocabulary's matrix: over all positions it would take
most of the memory. The order of the examples is a function of their lengths and the seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.base import Base, Encoded

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item", bound=Sized)

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
    examples, computed in parts of at most ``part_tokens`` tokens to bound the memory; with
    ``gradient_checkpointing`` hidden states are computed twice instead of kept. ``keep_best`` takes
    the weights with the best held-out loss in the end, and stops after ``patience`` checks without
    a better one; else the last weights stay, as where a style is learned: it comes after the best
    likelihood.

    With ``dp_noise`` above 0 replies are learned with differential privacy (``private_sgd``): each
    example's gradient is clipped to ``dp_clip``."""

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
    gradient_checkpointing: bool = False
    keep_best: bool = True
    dp_noise: float = 0.0
    dp_clip: float = 1.0


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


def parts_of(batch: Sequence[Item], most_tokens: int) -> list[list[Item]]:
    """``batch`` in padded parts of at most ``most_tokens``; one example always fits."""
    parts: list[list[Item]] = []
    longest = 0
    for item in sorted(batch, key=len):
        longest = max(longest, padded(len(item)))
        if parts and longest * (len(parts[-1]) + 1) <= most_tokens:
            parts[-1].append(item)
        else:
            parts.append([item])
            longest = padded(len(item))
    return parts


def padded(length: int) -> int:
    """The width that sequences of ``length`` get."""
    return -(-length // WIDTH_STEP) * WIDTH_STEP


class Padded(NamedTuple):
    """Sequences side by side: token ids, which of them are there, and which predict a token of the
    reply; all of shape (sequences, width)."""

    ids: torch.Tensor
    seen: torch.Tensor
    predicts: torch.Tensor


def side_by_side(part: Sequence[Encoded], device: Any) -> Padded:
    """``part`` padded on the right, where no token before it sees it."""
    import torch

    width = padded(max(map(len, part)))
    ids = torch.zeros(len(part), width, dtype=torch.long)
    seen = torch.zeros(len(part), width, dtype=torch.long)
    predicts = torch.zeros(len(part), width, dtype=torch.bool)
    for row, encoded in enumerate(part):
        ids[row, : len(encoded)] = torch.tensor(encoded.prompt + encoded.reply)
        seen[row, : len(encoded)] = 1
        predicts[row, len(encoded.prompt) - 1 : len(encoded) - 1] = True
    return Padded(ids.to(device), seen.to(device), predicts.to(device))


def causal_lm(model: Any) -> Any:
    """The model of transformers with its ``model`` and ``lm_head``, with or without PEFT's coat."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def reply_losses(model: Any, part: Sequence[Encoded]) -> torch.Tensor:
    """The negative log-likelihood of every reply token, shape (tokens,), in order."""
    rows = side_by_side(part, next(model.parameters()).device)
    inner = causal_lm(model)
    hidden = inner.model(input_ids=rows.ids, attention_mask=rows.seen).last_hidden_state
    return head_losses(inner, hidden, rows)


def head_losses(inner: Any, hidden: torch.Tensor, rows: Padded) -> torch.Tensor:
    """The same from the last hidden states, of shape (sequences, width, hidden)."""
    import torch

    logits = inner.lm_head(hidden[rows.predicts]).float()
    cap = getattr(inner.config, "final_logit_softcapping", None)  # Gemma 2 and its like
    if cap is not None:
        logits = cap * torch.tanh(logits / cap)
    wanted = rows.ids[:, 1:][rows.predicts[:, :-1]]
    return torch.nn.functional.cross_entropy(logits, wanted, reduction="none")


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


def load_adapter(model: Any, state: Mapping[str, torch.Tensor]) -> None:
    """Give a fresh adapter the weights of another; TrainingError where its shape is another."""
    import peft

    # Whether the vocabulary was changed it would ask of the hub.
    own = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    if {n: w.shape for n, w in own.items()} != {n: w.shape for n, w in state.items()}:
        raise TrainingError(t("training.start_shape"), t("training.start_shape_hint"))
    peft.set_peft_model_state_dict(model, dict(state))


def checkpoint_activations(model: Any) -> None:
    """Compute hidden states twice instead of keeping them for the backward pass (Chen et al. 2016,
    arXiv:1604.06174)."""
    how = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=how)
    else:  # what transformers called it
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=how)

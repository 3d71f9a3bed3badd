"""What to train with where nobody says otherwise: by what is learned, how large the model is, and
how many samples there are.

The figures are those of ``benchmarks/personal`` for the default model; larger models learn the
same from smaller steps (Hu et al. 2021, table 11 and 12; QLoRA, Dettmers et al. 2023,
arXiv:2305.14314, table 9). Style sits in the upper layers: on a CPU the lower two thirds stay as
they are, and what they say is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ondol.training.lines import Task
from ondol.training.lora import LoraConfig, Schedule
from ondol.training.preference import PreferenceConfig

SMALL, MIDDLE = 300_000_000, 2_000_000_000
"""Parameters: up to these, and above both."""

RATES: dict[Task, tuple[float, float, float]] = {
    "sft": (2e-3, 5e-4, 2e-4),
    "dpo": (1.5e-3, 3e-4, 1e-4),
    "kto": (1.5e-3, 3e-4, 1e-4),
}
STEPS: dict[Task, int] = {"sft": 90, "dpo": 90, "kto": 90}
MOST_EPOCHS: dict[Task, float] = {"sft": 8.0, "dpo": 6.0, "kto": 6.0}
FOLLOWING_RATE, FOLLOWING_EPOCHS = 0.1, 1.0
"""Of a preference after replies were learned: firmer, it unlearns what is true before the style."""

ANCHOR: dict[Task, float] = {"sft": 1.0, "dpo": 0.0, "kto": 0.0}
LARGE_BATCH, SMALL_BATCH, MANY_SAMPLES = 8, 4, 64
UPPER_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class Defaults:
    """A shape, a schedule, what a preference is measured with, and how firmly ordinary text is
    held where it is."""

    lora: LoraConfig
    schedule: Schedule
    preference: PreferenceConfig
    anchor: float


def defaults(
    task: Task,
    *,
    parameters: int,
    layers: int,
    samples: int,
    device: str = "cpu",
    follows: bool = False,
) -> Defaults:
    """For ``samples`` of ``task`` and a base of so many ``parameters`` and ``layers``;
    ``follows``: the adapter goes on from one that has learned replies already."""
    size = 0 if parameters <= SMALL else 1 if parameters <= MIDDLE else 2
    is_large = task == "sft" and samples >= MANY_SAMPLES
    batch_size = LARGE_BATCH if is_large else SMALL_BATCH
    schedule = Schedule(
        epochs=_epochs(task, samples, batch_size),
        batch_size=batch_size,
        learning_rate=RATES[task][size],
        checks=8 if task == "sft" else 4,
        patience=2,
        keep_best=task != "sft",
    )
    if follows:
        schedule = replace(
            schedule,
            epochs=FOLLOWING_EPOCHS,
            learning_rate=schedule.learning_rate * FOLLOWING_RATE,
        )
    r = 8 if size == 0 else 16
    on_gpu = device.startswith("cuda")
    if on_gpu:
        schedule = replace(schedule, gradient_checkpointing=size == 2, part_tokens=4096)
    first_layer = 0 if on_gpu else layers - max(1, round(layers * UPPER_SHARE))
    return Defaults(
        LoraConfig(r=r, lora_alpha=2 * r, first_layer=first_layer),
        schedule,
        PreferenceConfig() if follows else PreferenceConfig(sft_weight=1.0),
        ANCHOR[task],
    )


def _epochs(task: Task, samples: int, batch_size: int) -> float:
    """As many as make the usual number of steps; at least one, and not so many that a few samples
    are learned by heart."""
    wanted = STEPS[task] * batch_size / max(1, samples)
    return round(min(MOST_EPOCHS[task], max(1.0, wanted)), 2)

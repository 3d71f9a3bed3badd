"""The training loop: steps, held-out checks, early stop, checkpoints, and how long it will take.

A run is a function of its inputs and seed, on the same machine with the same libraries (elsewhere
bfloat16, which multiplies where the hardware does so, and the number of threads round otherwise);
killed at any moment it goes on from its last checkpoint to the same end. CPU and CUDA take the same
path.
"""

from __future__ import annotations

import ctypes
import hashlib
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ondol.errors import TrainingError, TrainingPausedError
from ondol.i18n import t
from ondol.training.base import Base
from ondol.training.cached import keep
from ondol.training.lora import (
    LoraConfig,
    Schedule,
    add_lora,
    batches,
    checkpoint_activations,
    load_adapter,
)
from ondol.training.objective import Losses, Objective, Sft
from ondol.training.steps import Gradients, Run

if TYPE_CHECKING:
    import torch

TRIM_EVERY = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """After ``step`` of ``steps``: mean loss of the last few steps (per reply token; of preferences
    per pair or thumb), held-out loss when it was just measured and of preferences the share it is
    right about, seconds spent and expected, and the process's peak memory. ``warning`` is a
    sentence for whoever trains."""

    step: int
    steps: int
    loss: float
    held_out_loss: float | None
    seconds: float
    eta_seconds: float
    peak_bytes: int
    warning: str = ""
    held_out_accuracy: float | None = None


class States(Protocol):
    """What ``cached.keep`` gives."""

    @property
    def losses(self) -> Losses: ...
    def destroy(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Trained:
    """``model`` is the PEFT model with the best held-out loss' weights; ``stopped``: early;
    ``cached_layers`` are those whose hidden states were kept."""

    model: Any
    steps: int
    num_examples: int
    num_tokens: int
    loss: float
    held_out_loss: float | None
    stopped: bool
    seconds: float
    held_out_accuracy: float | None = None
    cached_layers: int = 0


def train(
    base: Base,
    examples: Sequence[Any],
    held_out: Sequence[Any],
    config: LoraConfig,
    schedule: Schedule,
    *,
    objective: Objective | None = None,
    start: Mapping[str, torch.Tensor] | None = None,
    arrange: Callable[[Any], None] = lambda model: None,
    order: Sequence[Sequence[int]] | None = None,
    gradients: Gradients | None = None,
    checkpoint: Path | None = None,
    keep_states: Callable[..., States | None] = keep,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    between: Callable[[], None] = lambda: None,
) -> Trained:
    """Teach a fresh adapter ``examples``, or one that goes on from ``start`` (PEFT's state of one
    of the same shape); keep the weights that do best on ``held_out``.

    Both hold what ``objective`` learns from, by default ``Encoded`` conversations. ``arrange`` may
    freeze weights of the adapter before the first step, or put others in. ``order`` are the indices
    of each step's examples where the schedule's own will not do; ``between`` is called before every
    part of a step and may raise, ``keep_states`` is ``cached.keep`` or one that remembers. With
    ``checkpoint``, a run of the same inputs that was interrupted
    goes on where it was; where none can be written it goes on without, and warns once. Raises
    ``TrainingError`` when there is nothing to learn from, when the loss is no number any more, or
    for a forbidden checkpoint.
    """
    if not examples:
        raise TrainingError(t("training.no_examples"), t("training.data_hint"))
    order = order or batches([len(example) for example in examples], schedule)
    objective = objective or Sft()
    model = add_lora(base, config, schedule.seed)
    if start is not None:
        load_adapter(model, start)
    arrange(model)
    if schedule.gradient_checkpointing:
        checkpoint_activations(model)
    run = Run(model, schedule, len(order), objective, gradients=gradients, between=between)
    about = {
        "config": asdict(config) | {"target_modules": list(config.target_modules)},
        "schedule": asdict(schedule),
        "objective": objective.about(),
        "start": _digest([p.detach().cpu().numpy().tobytes() for p in run.learned]),
        "order": _digest([list(batch) for batch in order]),
        "examples": _digest(examples),
        "held_out": _digest(held_out),
    }
    seen = sum(map(len, order)) + schedule.checks * len(held_out)
    with run.precision():
        states = keep_states(
            model,
            config.first_layer,
            objective.sequences([*examples, *held_out]),
            seen / (len(examples) + len(held_out)) + objective.reads_reference,
            folder=checkpoint.parent if checkpoint is not None else None,
            part_tokens=schedule.part_tokens,
            between=between,
        )
    try:
        if states is not None:
            run.losses = states.losses
        run.refer([*examples, *held_out])
        if checkpoint is not None and checkpoint.exists():
            run.load(checkpoint, about)
        insurance = _Insurance(checkpoint, about, schedule.checkpoint_seconds)
        _steps(run, [[examples[i] for i in b] for b in order], held_out, insurance, on_progress)
    finally:
        if states is not None:
            states.destroy()
    run.model.eval()
    learned = [i for batch in order[: run.step] for i in batch]
    return Trained(
        model=run.model,
        steps=run.step,
        num_examples=len(learned),
        num_tokens=sum(len(examples[i]) for i in learned),
        loss=run.recent_loss(),
        held_out_loss=run.best if schedule.keep_best else run.last,
        stopped=run.step < len(order),
        seconds=run.seconds,
        held_out_accuracy=run.best_accuracy if schedule.keep_best else run.accuracy,
        cached_layers=config.first_layer if states is not None else 0,
    )


class _Insurance:
    """The checkpoint, every so often: the run is worth more than it."""

    def __init__(self, file: Path | None, about: dict[str, Any], seconds: float) -> None:
        self.file, self.about, self.seconds = file, about, seconds
        self.saved = time.monotonic()
        self.warned = False

    def renew(self, run: Run, *, now: bool = False) -> str:
        """Save ``run`` if it is time, or ``now``; a sentence the first time that it cannot be."""
        if self.file is None or not (now or time.monotonic() - self.saved >= self.seconds):
            return ""
        self.saved = time.monotonic()
        try:
            run.save(self.file, self.about)
        except OSError as error:
            told, self.warned = self.warned, True
            reason = error.strerror or str(error)
            return "" if told else t("training.checkpoint_unwritten", reason=reason)
        return ""


def _steps(
    run: Run,
    batches: Sequence[Sequence[Any]],
    held_out: Sequence[Any],
    insurance: _Insurance,
    on_progress: Callable[[Progress], None],
) -> None:
    """Every step that is left; in the end ``run`` has its best weights."""
    every = max(1, round(run.steps / max(1, run.schedule.checks)))
    spent, began = run.seconds, time.monotonic()
    run.model.train()
    schedule = run.schedule
    while run.step < run.steps and not (schedule.keep_best and run.worse >= schedule.patience):
        try:
            run.learn(batches[run.step])
        except TrainingPausedError:
            run.back()
            insurance.renew(run, now=True)
            raise
        if run.step % TRIM_EVERY == 0:
            _give_back_memory()
        due = run.step % every == 0 or run.step == run.steps
        loss = run.check(held_out) if due and held_out else None
        run.seconds = spent + time.monotonic() - began
        accuracy = run.accuracy if loss is not None else None
        on_progress(_progress(run, loss, accuracy, insurance.renew(run)))
    if run.best_weights is not None and schedule.keep_best:
        run.use(run.best_weights)


def peak_bytes() -> int:
    """The most memory this process has held, without what it was before it became this program."""
    with suppress(OSError, ValueError):
        status = Path("/proc/self/status").read_text("ascii", "replace")
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    # Outlives exec: it may be the parent's.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _give_back_memory() -> None:
    """Batches of ever other widths leave holes in glibc's heap, which would grow by half."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def _progress(
    run: Run, held_out_loss: float | None, accuracy: float | None, warning: str
) -> Progress:
    left = (run.steps - run.step) * run.seconds / max(1, run.step)
    return Progress(
        step=run.step,
        steps=run.steps,
        loss=run.recent_loss(),
        held_out_loss=held_out_loss,
        seconds=run.seconds,
        eta_seconds=left,
        peak_bytes=peak_bytes(),
        warning=warning,
        held_out_accuracy=accuracy,
    )


def _digest(items: Sequence[Any]) -> str:
    return hashlib.sha256(repr(list(items)).encode()).hexdigest()

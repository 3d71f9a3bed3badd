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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.base import Base, Encoded
from ondol.training.lora import LoraConfig, Schedule, add_lora, batches
from ondol.training.steps import Run

TRIM_EVERY = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """After ``step`` of ``steps``: mean loss per reply token of the last few steps, held-out loss
    when it was just measured, seconds spent and expected, and the process's peak memory.
    ``warning`` is a sentence for whoever trains."""

    step: int
    steps: int
    loss: float
    held_out_loss: float | None
    seconds: float
    eta_seconds: float
    peak_bytes: int
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Trained:
    """``model`` is the PEFT model with the best held-out loss' weights; ``stopped``: early."""

    model: Any
    steps: int
    num_examples: int
    num_tokens: int
    loss: float
    held_out_loss: float | None
    stopped: bool
    seconds: float


def train(
    base: Base,
    examples: Sequence[Encoded],
    held_out: Sequence[Encoded],
    config: LoraConfig,
    schedule: Schedule,
    *,
    checkpoint: Path | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Trained:
    """Teach a fresh adapter ``examples``; keep the weights that do best on ``held_out``.

    With ``checkpoint``, a run of the same inputs that was interrupted goes on where it was; where
    none can be written it goes on without, and warns once. Raises ``TrainingError`` when there is
    nothing to learn from, when the loss is no number any more, or for a forbidden checkpoint.
    """
    if not examples:
        raise TrainingError(t("training.no_examples"), t("training.data_hint"))
    order = batches([len(example) for example in examples], schedule)
    run = Run(add_lora(base, config, schedule.seed), schedule, len(order))
    about = {
        "config": asdict(config) | {"target_modules": list(config.target_modules)},
        "schedule": asdict(schedule),
        "examples": _digest(examples),
        "held_out": _digest(held_out),
    }
    if checkpoint is not None and checkpoint.exists():
        run.load(checkpoint, about)
    every = max(1, round(len(order) / max(1, schedule.checks)))
    spent, began, saved = run.seconds, time.monotonic(), time.monotonic()
    warned = False
    run.model.train()
    while run.step < len(order) and run.worse < schedule.patience:
        run.learn([examples[i] for i in order[run.step]])
        if run.step % TRIM_EVERY == 0:
            _give_back_memory()
        due = run.step % every == 0 or run.step == len(order)
        loss = run.check(held_out) if due and held_out else None
        run.seconds = spent + time.monotonic() - began
        warning = ""
        if checkpoint is not None and time.monotonic() - saved >= schedule.checkpoint_seconds:
            try:
                run.save(checkpoint, about)
            except OSError as error:  # an insurance: the run is worth more
                if not warned:
                    reason = error.strerror or str(error)
                    warning = t("training.checkpoint_unwritten", reason=reason)
                warned = True
            saved = time.monotonic()
        on_progress(_progress(run, loss, warning))
    if run.best_weights is not None:
        run.use(run.best_weights)
    run.model.eval()
    seen = [i for batch in order[: run.step] for i in batch]
    return Trained(
        model=run.model,
        steps=run.step,
        num_examples=len(seen),
        num_tokens=sum(len(examples[i]) for i in seen),
        loss=run.recent_loss(),
        held_out_loss=run.best,
        stopped=run.step < len(order),
        seconds=run.seconds,
    )


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


def _progress(run: Run, held_out_loss: float | None, warning: str) -> Progress:
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
    )


def _digest(examples: Sequence[Encoded]) -> str:
    ids = repr([(e.prompt, e.reply) for e in examples])
    return hashlib.sha256(ids.encode()).hexdigest()

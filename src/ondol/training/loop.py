"""The training loop: steps, held-out checks, early stop, checkpoints, and how long it will take.

A run is a function of its inputs and seed; killed at any moment it goes on from its last checkpoint
to the same end. CPU and CUDA take the same path; bfloat16 multiplies where the hardware does so.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import pickle
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.base import Base, Encoded, has_bfloat16, parameters
from ondol.training.lora import (
    LoraConfig,
    Schedule,
    add_lora,
    batches,
    parts_of,
    rate,
    reply_losses,
)

if TYPE_CHECKING:
    import torch


TRIM_EVERY = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """After ``step`` of ``steps``: mean loss per reply token of the last few steps, held-out loss
    when it was just measured, seconds spent and expected, and the process's peak memory."""

    step: int
    steps: int
    loss: float
    held_out_loss: float | None
    seconds: float
    eta_seconds: float
    peak_bytes: int


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

    With ``checkpoint``, a run of the same inputs that was interrupted goes on where it was. Raises
    ``TrainingError`` when there is nothing to learn from, or when the loss is no number any more.
    """
    if not examples:
        raise TrainingError(t("training.no_examples"), t("training.data_hint"))
    order = batches([len(example) for example in examples], schedule)
    run = _Run(add_lora(base, config, schedule.seed), schedule, len(order))
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
    run.model.train()
    while run.step < len(order) and run.worse < schedule.patience:
        run.learn([examples[i] for i in order[run.step]])
        if run.step % TRIM_EVERY == 0:
            _give_back_memory()
        due = run.step % every == 0 or run.step == len(order)
        loss = run.check(held_out) if due and held_out else None
        run.seconds = spent + time.monotonic() - began
        if checkpoint is not None and time.monotonic() - saved >= schedule.checkpoint_seconds:
            run.save(checkpoint, about)
            saved = time.monotonic()
        on_progress(_progress(run, loss))
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


def peak_bytes() -> int:
    """The most memory this process has held."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


RECENT = 20
_REMEMBERED = ("step", "seconds", "losses", "best", "best_weights", "worse")


class _Run:
    """The state of one training, between steps."""

    def __init__(self, model: Any, schedule: Schedule, steps: int) -> None:
        import torch

        self.model, self.schedule, self.steps = model, schedule, steps
        self.device = str(next(model.parameters()).device)
        self.learned = parameters(model)
        self.optimizer = torch.optim.AdamW(self.learned, lr=0.0, weight_decay=0.0)
        self.bfloat16 = has_bfloat16(self.device)
        self.step = 0
        self.seconds = 0.0
        self.losses: list[float] = []
        self.best: float | None = None
        self.best_weights: list[torch.Tensor] | None = None
        self.worse = 0

    def precision(self) -> AbstractContextManager[Any]:
        import torch

        kind = self.device.partition(":")[0]
        precision: AbstractContextManager[Any] = torch.autocast(
            kind, torch.bfloat16, enabled=self.bfloat16
        )
        return precision

    def recent_loss(self) -> float:
        return sum(self.losses) / max(1, len(self.losses))

    def learn(self, batch: Sequence[Encoded]) -> None:
        """One step."""
        import torch

        tokens = sum(len(encoded.reply) for encoded in batch)
        total = 0.0
        for part in parts_of(batch, self.schedule.part_tokens):
            with self.precision():
                loss = reply_losses(self.model, part).sum() / tokens
            loss.backward()
            total += loss.item()
        self.losses = [*self.losses, _finite(total)][-RECENT:]
        torch.nn.utils.clip_grad_norm_(self.learned, self.schedule.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, self.steps, self.schedule)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1

    def check(self, held_out: Sequence[Encoded]) -> float:
        """The held-out loss; remembers the best weights so far."""
        part_tokens = self.schedule.part_tokens
        loss = _finite(mean_loss(self.model, held_out, part_tokens, self.precision))
        if self.best is None or loss < self.best:
            self.best, self.worse = loss, 0
            self.best_weights = [p.detach().clone() for p in self.learned]
        else:
            self.worse += 1
        return loss

    def save(self, file: Path, about: dict[str, Any]) -> None:
        import torch

        state = {name: getattr(self, name) for name in _REMEMBERED} | {
            "about": about,
            "weights": [p.detach() for p in self.learned],
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
        temporary = file.with_suffix(".tmp")
        with temporary.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)

    def load(self, file: Path, about: dict[str, Any]) -> bool:
        """Go on from ``file`` if it is of this very training; a damaged one counts as none."""
        import torch

        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
            if state["about"] != about or not state.keys() >= set(_REMEMBERED):
                return False
            self.optimizer.load_state_dict(state["optimizer"])
            self.use(state["weights"])
            torch.set_rng_state(state["random"])
        except (OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError):
            return False
        except pickle.UnpicklingError:
            return False
        for name in _REMEMBERED:
            setattr(self, name, state[name])
        return True

    def use(self, weights: Sequence[torch.Tensor]) -> None:
        import torch

        with torch.no_grad():
            for parameter, weight in zip(self.learned, weights, strict=True):
                parameter.copy_(weight)


def _give_back_memory() -> None:
    """Batches of ever other widths leave holes in glibc's heap, which would grow by half."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def _progress(run: _Run, held_out_loss: float | None) -> Progress:
    left = (run.steps - run.step) * run.seconds / max(1, run.step)
    return Progress(
        step=run.step,
        steps=run.steps,
        loss=run.recent_loss(),
        held_out_loss=held_out_loss,
        seconds=run.seconds,
        eta_seconds=left,
        peak_bytes=peak_bytes(),
    )


def _finite(loss: float) -> float:
    if not math.isfinite(loss):
        raise TrainingError(t("training.diverged"), t("training.diverged_hint"))
    return loss


def _digest(examples: Sequence[Encoded]) -> str:
    ids = repr([(e.prompt, e.reply) for e in examples])
    return hashlib.sha256(ids.encode()).hexdigest()

"""A training between its steps: one step, one look at what is held out, and its checkpoint.

Raises ``TrainingError`` for a loss that is no number, and for a checkpoint it may not read;
``OSError`` where one cannot be written.
"""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.base import Encoded, has_bfloat16, parameters
from ondol.training.lora import Schedule, mean_loss, parts_of, rate, reply_losses

if TYPE_CHECKING:
    import torch

RECENT = 20
_REMEMBERED = ("step", "seconds", "losses", "best", "best_weights", "worse")


class Run:
    """The state of one training. ``worse`` counts the checks since the best one."""

    def __init__(self, model: Any, schedule: Schedule, steps: int) -> None:
        self.model, self.schedule, self.steps = model, schedule, steps
        self.device = str(next(model.parameters()).device)
        self.learned = parameters(model)
        self.optimizer = self._new_optimizer()
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
        """Replace ``file`` by the state now, wholly or not at all: OSError, and nothing is left."""
        import torch

        state = {name: getattr(self, name) for name in _REMEMBERED} | {
            "about": about,
            "weights": [p.detach() for p in self.learned],
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state(self.device) if self._is_cuda else None,
        }
        temporary = file.with_suffix(".tmp")
        try:
            with temporary.open("wb") as stream:
                try:
                    torch.save(state, stream)
                except RuntimeError as error:  # what torch makes of a stream that fails
                    cause = error.__context__
                    raise (cause if isinstance(cause, OSError) else error) from None
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)

    def load(self, file: Path, about: dict[str, Any]) -> bool:
        """Go on from ``file`` if it is of this very training; a damaged one counts as none, and
        changes nothing. TrainingError when it may not be read."""
        import torch

        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
            if state["about"] != about:
                return False
            remembered = {name: state[name] for name in _REMEMBERED}
            weights, random, cuda_random = (
                state[name] for name in ("weights", "random", "cuda_random")
            )
            if [w.shape for w in weights] != [p.shape for p in self.learned]:
                return False
            optimizer = self._new_optimizer()
            optimizer.load_state_dict(state["optimizer"])
            torch.Generator().set_state(random)
        except PermissionError as error:
            raise TrainingError(
                t("training.checkpoint_unreadable", file=file, reason=error.strerror),
                t("training.checkpoint_unreadable_hint"),
            ) from error
        except (OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError):
            return False
        except (AttributeError, pickle.UnpicklingError):
            return False
        self.use(weights)
        self.optimizer = optimizer
        torch.set_rng_state(random)
        if self._is_cuda and cuda_random is not None:
            torch.cuda.set_rng_state(cuda_random, self.device)
        for name, value in remembered.items():
            setattr(self, name, value)
        return True

    def use(self, weights: Sequence[torch.Tensor]) -> None:
        import torch

        with torch.no_grad():
            for parameter, weight in zip(self.learned, weights, strict=True):
                parameter.copy_(weight)

    @property
    def _is_cuda(self) -> bool:
        return self.device.startswith("cuda")

    def _new_optimizer(self) -> torch.optim.Optimizer:
        import torch

        return torch.optim.AdamW(self.learned, lr=0.0, weight_decay=0.0)


def _finite(loss: float) -> float:
    if not math.isfinite(loss):
        raise TrainingError(t("training.diverged"), t("training.diverged_hint"))
    return loss

"""A training between its steps: one step, one look at what is held out, and its checkpoint.

Raises ``TrainingError`` for a loss that is no number, and for a checkpoint it may not read;
``OSError`` where one cannot be written.
"""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.base import has_bfloat16, parameters
from ondol.training.lora import Schedule, rate, reply_losses
from ondol.training.objective import Losses, Objective, Sft, Share

if TYPE_CHECKING:
    import torch

RECENT = 20
_REMEMBERED = (
    *("step", "seconds", "recent", "worse"),
    *("last", "accuracy", "best", "best_accuracy", "best_weights"),
)


class Gradients(Protocol):
    """What may be done to the gradients, as for differential privacy: ``learned`` are the weights
    that learn, whose ``grad`` is read and written in place. With ``part_tokens`` of 1 each part is
    one item."""

    def after_part(self, learned: Sequence[torch.nn.Parameter]) -> None:
        """After the backward pass of one part; ``grad`` is the sum over the parts so far."""

    def before_step(self, learned: Sequence[torch.nn.Parameter]) -> None:
        """After the last part of a batch, before clipping and the optimizer."""


class Run:
    """The state of one training. ``worse`` counts the checks since the best one; ``between`` is
    called before every part."""

    def __init__(
        self,
        model: Any,
        schedule: Schedule,
        steps: int,
        objective: Objective | None = None,
        *,
        losses: Losses | None = None,
        gradients: Gradients | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self.model, self.schedule, self.steps = model, schedule, steps
        self.objective = objective or Sft()
        self.losses = losses or (lambda part: reply_losses(model, part))
        self.gradients, self.between = gradients, between
        self.device = str(next(model.parameters()).device)
        self.learned = parameters(model)
        self.optimizer = self._new_optimizer()
        self.bfloat16 = has_bfloat16(self.device)
        self.step = 0
        self.seconds = 0.0
        self.recent: list[float] = []
        self.last: float | None = None
        self.best: float | None = None
        self.accuracy: float | None = None
        self.best_accuracy: float | None = None
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
        return sum(self.recent) / max(1, len(self.recent))

    def refer(self, items: Sequence[Any]) -> None:
        """Let the objective see ``items`` as the model reads them before it learns."""
        self._without_learning(self.objective.refer, items)

    def learn(self, batch: Sequence[Any]) -> None:
        """One step. Where ``between`` raises, ``back`` makes it undone."""
        import torch

        self._random = torch.get_rng_state(), self._cuda_random()
        self._without_learning(self.objective.begin, batch)
        weight, total = self.objective.weight(batch), 0.0
        for part in self.objective.parts(batch, self.schedule.part_tokens):
            self.between()
            with self.precision():
                loss = self.objective.share(self.losses, part).loss / weight
            loss.backward()
            if self.gradients is not None:
                self.gradients.after_part(self.learned)
            total += loss.item()
        self._finite(total)
        if self.gradients is not None:
            self.gradients.before_step(self.learned)
            # What is summed is not divided by who is there: that would tell. What is shown is.
            total /= max(1, len(batch))
        if batch:
            self.recent = [*self.recent, total][-RECENT:]
        torch.nn.utils.clip_grad_norm_(self.learned, self.schedule.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, self.steps, self.schedule)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1

    def back(self) -> None:
        """Undo a step that was begun."""
        self._set_random(*self._random)
        self.optimizer.zero_grad(set_to_none=True)

    def check(self, held_out: Sequence[Any]) -> float:
        """The held-out loss; remembers the best weights so far."""
        loss, self.accuracy = self.measure(held_out)
        self.last = loss
        if self.best is None or loss < self.best:
            self.best, self.best_accuracy, self.worse = loss, self.accuracy, 0
            self.best_weights = [p.detach().clone() for p in self.learned]
        else:
            self.worse += 1
        return loss

    def measure(self, items: Sequence[Any]) -> tuple[float, float | None]:
        """The loss of ``items``, and the share the model is right about where there is such a
        thing, without learning from them."""
        found: list[Share] = []

        def measure(losses: Losses, items: Sequence[Any], part_tokens: int) -> None:
            self.objective.begin(losses, items, part_tokens)
            for part in self.objective.parts(items, part_tokens):
                found.append(self.objective.share(losses, part))

        self._without_learning(measure, items)
        loss = sum(float(share.loss) for share in found) / max(1.0, self.objective.weight(items))
        right = [share.right for share in found if share.right is not None]
        return self._finite(loss), sum(right) / len(items) if right else None

    def _without_learning(
        self, look: Callable[[Losses, Sequence[Any], int], None], items: Sequence[Any]
    ) -> None:
        import torch

        was_training = self.model.training
        self.model.eval()
        with torch.no_grad(), self.precision():
            look(self.losses, items, self.schedule.part_tokens)
        self.model.train(was_training)

    def save(self, file: Path, about: dict[str, Any]) -> None:
        """Replace ``file`` by the state now, wholly or not at all: OSError, and nothing is left."""
        import torch

        state = {name: getattr(self, name) for name in _REMEMBERED} | {
            "about": about,
            "weights": [p.detach() for p in self.learned],
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "cuda_random": self._cuda_random(),
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
        self._set_random(random, cuda_random)
        for name, value in remembered.items():
            setattr(self, name, value)
        return True

    def use(self, weights: Sequence[torch.Tensor]) -> None:
        import torch

        with torch.no_grad():
            for parameter, weight in zip(self.learned, weights, strict=True):
                parameter.copy_(weight)

    def _cuda_random(self) -> torch.Tensor | None:
        import torch

        return torch.cuda.get_rng_state(self.device) if self.device.startswith("cuda") else None

    def _set_random(self, random: torch.Tensor, cuda_random: torch.Tensor | None) -> None:
        import torch

        torch.set_rng_state(random)
        if cuda_random is not None and self.device.startswith("cuda"):
            torch.cuda.set_rng_state(cuda_random, self.device)

    def _new_optimizer(self) -> torch.optim.Optimizer:
        import torch

        return torch.optim.AdamW(self.learned, lr=0.0, weight_decay=0.0)

    def _finite(self, loss: float) -> float:
        if math.isfinite(loss):
            return loss
        if self.step == 0:
            sentence, hint = "training.no_number_at_first", "training.no_number_at_first_hint"
        else:
            sentence, hint = "training.diverged", "training.diverged_hint"
        raise TrainingError(t(sentence), t(hint))

"""DP-SGD: an adapter whose weights say a bounded amount about any one example.

Abadi et al. 2016, arXiv:1607.00133: each example's gradient is clipped to ``clip``, Gaussian noise
of ``noise * clip`` is added to their sum, and batches are drawn by Poisson sampling, as the
accountant assumes: Rényi DP of the sampled Gaussian mechanism at integer orders, Mironov et al.
2019, arXiv:1908.10530, §3.3; to (epsilon, delta) by Canonne et al. 2020, arXiv:2004.00010, prop.
12. The guarantee is about adding or removing one example, and about the last weights: to keep the
best ones would look at data that it does not cover. Raises ``TrainingError``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.base import Encoded
from ondol.training.lora import Schedule
from ondol.training.objective import Losses, Sft, Share

if TYPE_CHECKING:
    import torch

ORDERS = (*range(2, 33), 40, 48, 64, 96, 128, 256)
DELTA_SHARE = 0.1
"""Delta is this share of one over the number of examples: well below giving one away by chance."""


@dataclass(frozen=True, slots=True)
class Privacy:
    """What was spent: with probability over ``1 - delta`` no example changes how likely any
    adapter is by more than a factor of e to the ``epsilon``."""

    epsilon: float
    delta: float
    noise: float
    clip: float
    sample_rate: float
    steps: int


def delta_for(num_examples: int) -> float:
    return DELTA_SHARE / max(1, num_examples)


def spent(noise: float, clip: float, sample_rate: float, steps: int, delta: float) -> Privacy:
    """What ``steps`` steps cost. Without noise epsilon is infinite."""
    epsilon = math.inf
    if noise > 0:
        epsilon = min(
            _epsilon(order, steps * _renyi(sample_rate, noise, order), delta) for order in ORDERS
        )
    return Privacy(max(0.0, epsilon), delta, noise, clip, sample_rate, steps)


def noise_for(epsilon: float, sample_rate: float, steps: int, delta: float) -> float:
    """The least noise (to three places) that spends at most ``epsilon``."""
    if not epsilon > 0:
        raise TrainingError(t("private_training.epsilon"), t("private_training.hint"))
    low, high = 0.0, 1.0
    while spent(high, 1.0, sample_rate, steps, delta).epsilon > epsilon:
        low, high = high, 2 * high
    while high - low > 5e-4:
        middle = (low + high) / 2
        if spent(middle, 1.0, sample_rate, steps, delta).epsilon > epsilon:
            low = middle
        else:
            high = middle
    return math.ceil(high * 1000) / 1000


def arrange(schedule: Schedule, num_examples: int, task: str = "sft") -> dict[str, Any]:
    """What ``loop.train`` is given beside ``schedule`` (its own batches would not do): expected
    batches of ``batch_size``. Whoever knows the seed knows who was in which batch, so draw it at
    random and keep it to yourself. Only replies ("sft") are learned so."""
    if task != "sft":
        raise TrainingError(t("private_training.only_replies"), t("private_training.only_hint"))
    rate, steps = _rate_and_steps(schedule, num_examples)
    gradients = PrivateGradients(schedule.dp_noise, schedule.dp_clip, rate * num_examples)
    order = poisson_batches(num_examples, rate, steps, schedule.seed)
    return {"objective": PrivateSft(), "order": order, "gradients": gradients}


def report(schedule: Schedule, num_examples: int) -> Privacy:
    """What a training with that schedule spends."""
    rate, steps = _rate_and_steps(schedule, num_examples)
    return spent(schedule.dp_noise, schedule.dp_clip, rate, steps, delta_for(num_examples))


def _rate_and_steps(schedule: Schedule, num_examples: int) -> tuple[float, int]:
    rate = min(1.0, schedule.batch_size / max(1, num_examples))
    return rate, max(1, round(schedule.epochs / rate))


def poisson_batches(
    num_examples: int, sample_rate: float, steps: int, seed: int
) -> list[list[int]]:
    """Each example is in each batch by a coin of its own; a batch may be empty."""
    rng = random.Random(seed)
    return [[i for i in range(num_examples) if rng.random() < sample_rate] for _ in range(steps)]


class PrivateSft(Sft):
    """Supervised fine-tuning where an example's loss does not depend on the others of its batch:
    the mean over its own reply. Divided by the tokens of the batch, one example would change the
    gradients of all, and clipping them would bound nothing."""

    def about(self) -> dict[str, Any]:
        return {"task": "sft", "private": True}

    def weight(self, batch: Sequence[Encoded]) -> float:
        return 1.0

    def share(self, losses: Losses, part: Sequence[Encoded]) -> Share:
        return Share(losses(part).mean())


class PrivateGradients:
    """``steps.Gradients`` for a run of ``PrivateSft`` whose parts are single examples
    (``part_tokens=1``).

    The noise is drawn from the operating system's entropy, not from the run's seed: who knows the
    seed could take it away again.
    """

    def __init__(self, noise: float, clip: float, expected_batch: float) -> None:
        if noise < 0 or clip <= 0 or expected_batch <= 0:
            raise TrainingError(t("private_training.numbers"), t("private_training.hint"))
        self.noise, self.clip, self.expected_batch = noise, clip, expected_batch
        self._sums: list[torch.Tensor] | None = None
        self._generator: torch.Generator | None = None

    def after_part(self, learned: Sequence[torch.nn.Parameter]) -> None:
        """Clip the gradient of the one example, add it to the sum, and make room for the next."""
        import torch

        with torch.no_grad():
            grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in learned]
            norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in grads]))
            factor = float(torch.clamp(self.clip / (norm + 1e-12), max=1.0))
            if not math.isfinite(factor):
                raise TrainingError(t("training.diverged"), t("training.diverged_hint"))
            sums = self._sums or [torch.zeros_like(p) for p in learned]
            self._sums = [s.add_(g, alpha=factor) for s, g in zip(sums, grads, strict=True)]
            for p in learned:
                p.grad = None

    def before_step(self, learned: Sequence[torch.nn.Parameter]) -> None:
        """The noisy mean over the batch size that was expected: the true one would tell."""
        import torch

        with torch.no_grad():
            sums = self._sums or [torch.zeros_like(p) for p in learned]
            for p, total in zip(learned, sums, strict=True):
                noise = torch.normal(
                    0.0, 1.0, p.shape, generator=self._source(p.device), device=p.device
                )
                p.grad = (total + self.noise * self.clip * noise) / self.expected_batch
        self._sums = None

    def _source(self, device: torch.device) -> torch.Generator:
        import torch

        if self._generator is None:
            self._generator = torch.Generator(device)
            self._generator.seed()
        return self._generator


def _epsilon(order: int, renyi: float, delta: float) -> float:
    return renyi + math.log1p(-1 / order) - math.log(delta * order) / (order - 1)


def _renyi(q: float, noise: float, order: int) -> float:
    """Of one step, at an integer order: log of the binomial sum, over ``order - 1``."""
    if q == 0:
        return 0.0
    if q == 1:
        return order / (2 * noise**2)
    terms = [
        math.lgamma(order + 1)
        - math.lgamma(k + 1)
        - math.lgamma(order - k + 1)
        + k * math.log(q)
        + (order - k) * math.log1p(-q)
        + (k * k - k) / (2 * noise**2)
        for k in range(order + 1)
    ]
    largest = max(terms)
    return (largest + math.log(sum(math.exp(x - largest) for x in terms))) / (order - 1)

"""The model of the simulation: a small frozen network, and a head that learns as FFA-LoRA does.

The base reads ten symbols through one layer of 64 rectified units, made once from text that no
device has, and is frozen. Its head for the task is nothing yet, and becomes B A with A (r x 65)
frozen from the plan's seed and B (26 x r) learned (Sun et al. 2024, arXiv:2403.12313): so the
mean of the devices' B is exactly the mean of what they learned. A shared vector is B, flattened,
float32.

Many devices are trained at once, as one array; what a device learns depends on its own data, the
round, the seed and the vector, never on who is trained beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ondol.federated.simulating.letters import CLASSES, CONTEXT, SYMBOLS, Examples

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ondol.federated.plan import Plan

    Floats = npt.NDArray[np.float32]

HIDDEN = 64
FEATURES = HIDDEN + 1
"""The last one is always 1: how common a letter is."""
BASE_STEPS, BASE_BATCH, BASE_RATE = 500, 128, 3e-3


@dataclass(frozen=True, slots=True)
class Network:
    """``weights`` (symbol at a place -> hidden) and ``bias`` are the base; ``down`` is A, scaled so
    that what it gives is of size 1."""

    weights: Floats
    bias: Floats
    down: Floats

    @property
    def r(self) -> int:
        return len(self.down)

    @property
    def size(self) -> int:
        """Numbers in a shared vector."""
        return CLASSES * self.r

    def features(self, examples: Examples) -> Floats:
        """(n, r): what the head of each example is given."""
        import numpy as np

        found = np.empty((len(examples), self.r), np.float32)
        for at in range(0, len(examples), 20_000):
            part = slice(at, at + 20_000)
            found[part] = _hidden(self.weights, self.bias, examples.windows[part]) @ self.down.T
        return found

    def loss(self, vector: Floats, features: Floats, labels: npt.NDArray[np.int64]) -> float:
        """Mean cross entropy, in nats; infinite where it is no number."""
        import numpy as np

        with np.errstate(all="ignore"):
            logits = features @ vector.reshape(CLASSES, self.r).T
            logits = logits - logits.max(axis=1, keepdims=True)
            found = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
            mean = float(found.mean(dtype=np.float64))
        return mean if np.isfinite(mean) else float("inf")

    def accuracy(self, vector: Floats, features: Floats, labels: npt.NDArray[np.int64]) -> float:
        """The share of letters that it names."""
        import numpy as np

        with np.errstate(all="ignore"):
            chosen = (features @ vector.reshape(CLASSES, self.r).T).argmax(axis=1)
        return float(np.mean(chosen == labels))


def pretrained(base: Examples, plan: Plan, steps: int = BASE_STEPS) -> Network:
    """The base, by Adam on all of the network, and A from the plan's seed with orthonormal rows."""
    import numpy as np

    rng = np.random.default_rng([plan.seed, 2])
    shapes = ((CONTEXT * SYMBOLS, HIDDEN), (HIDDEN,), (HIDDEN, CLASSES), (CLASSES,))
    learned = [rng.normal(0, 0.1, shape).astype(np.float32) for shape in shapes]
    first, second = [np.zeros_like(x) for x in learned], [np.zeros_like(x) for x in learned]
    for step in range(1, steps + 1):
        batch = base.at(rng.integers(0, len(base), BASE_BATCH))
        for at, g in enumerate(_gradients(learned, batch)):
            first[at] += 0.1 * (g - first[at])
            second[at] += 0.01 * (g * g - second[at])
            mean, square = first[at] / (1 - 0.9**step), second[at] / (1 - 0.99**step)
            learned[at] -= BASE_RATE * mean / (np.sqrt(square) + 1e-8)
    down = np.linalg.qr(rng.normal(size=(FEATURES, plan.r)))[0].T.astype(np.float32)
    seen = _hidden(learned[0], learned[1], base.windows[:2000]) @ down.T
    down /= float(np.sqrt((seen**2).mean()))
    return Network(learned[0], learned[1], down * np.float32(plan.lora_alpha / plan.r))


def train(
    network: Network,
    plan: Plan,
    round: int,
    vector: Floats,
    devices: Sequence[int],
    data: Sequence[tuple[Floats, npt.NDArray[np.int64]]],
) -> Floats:
    """(devices, size): what each device's B became minus ``vector`` (one for all, or a row for
    each), by ``plan.local_steps`` steps
    of SGD on its own (features, labels), held near the shared one by ``plan.proximal_mu`` (FedProx,
    Li et al. 2020, arXiv:1812.06127). ``devices`` are their numbers."""
    import numpy as np

    given = vector.reshape(-1, CLASSES, network.r)
    head = np.repeat(given, len(devices) // len(given), axis=0)
    drawn = [
        (x, y, _batches(plan, round, device, len(y)))
        for device, (x, y) in zip(devices, data, strict=True)
    ]
    features = np.stack([x[batches] for x, _, batches in drawn], axis=1)
    labels = np.stack([y[batches] for _, y, batches in drawn], axis=1)
    rate = np.float32(plan.learning_rate)
    for x, y in zip(features, labels, strict=True):
        errors = _softmax(x @ head.transpose(0, 2, 1))
        np.put_along_axis(
            errors, y[..., None], np.take_along_axis(errors, y[..., None], 2) - 1, axis=2
        )
        step = errors.transpose(0, 2, 1) @ x / np.float32(plan.batch_size)
        if plan.proximal_mu:
            step = step + np.float32(plan.proximal_mu) * (head - given)
        head = head - rate * step
    return (head - given).reshape(len(devices), network.size).astype(np.float32)


def _batches(plan: Plan, round: int, device: int, examples: int) -> npt.NDArray[np.int64]:
    """(steps, batch): which examples a device learns from in a round."""
    import numpy as np

    rng = np.random.default_rng([plan.seed, 3, round, device])
    return rng.integers(0, examples, (plan.local_steps, plan.batch_size))


def _hidden(weights: Floats, bias: Floats, windows: npt.NDArray[np.int16]) -> Floats:
    """(n, 65): the sum of one row of ``weights`` for each place, rectified, and a 1."""
    import numpy as np

    found = np.ones((len(windows), FEATURES), np.float32)
    sums = np.tile(bias, (len(windows), 1))
    for place in range(CONTEXT):
        sums += weights[windows[:, place].astype(np.int64) + place * SYMBOLS]
    np.maximum(sums, 0, out=found[:, :HIDDEN])
    return found


def _gradients(learned: Sequence[Floats], batch: Examples) -> list[Floats]:
    import numpy as np

    weights, bias, head, prior = learned
    n = len(batch)
    hidden = _hidden(weights, bias, batch.windows)[:, :HIDDEN]
    errors = _softmax(hidden @ head + prior)
    errors[np.arange(n), batch.labels] -= 1
    errors /= n
    back = (errors @ head.T) * (hidden > 0)
    seen = np.zeros((n, len(weights)), np.float32)
    rows = batch.windows.astype(np.int64) + np.arange(CONTEXT) * SYMBOLS
    np.put_along_axis(seen, rows, 1, axis=1)
    return [seen.T @ back, back.sum(axis=0), hidden.T @ errors, errors.sum(axis=0)]


def _softmax(logits: Floats) -> Floats:
    import numpy as np

    found: Floats = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found /= found.sum(axis=-1, keepdims=True)
    return found

"""Which number of a shared vector is which of an adapter's factors.

A vector is float32 and flat. It holds the factors that learn, one after the other: of ``ffa`` every
B (out, r), of ``fedsb`` every R (r, r), else all B and then all A (r, in), each in row order, the
modules in the order of the layers. What does not learn is drawn from the plan's seed, the same bits
on every machine. Knows PEFT's names of modules and the shapes that a GGUF tells; loads no model.
Raises ``TrainingError``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ondol.errors import TrainingError
from ondol.federated.plan import Plan, Strategy
from ondol.i18n import t
from ondol.training import extra
from ondol.training.architectures import architecture_of
from ondol.training.gguf_facts import facts_of
from ondol.training.lora import ALL_LINEAR

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]

ONE_FACTOR = ("ffa", "fedsb")
"""Strategies in which a single factor of each module learns: the mean of products is exact."""


class Module(NamedTuple):
    """A linear module of a layer: ``model.layers.0.self_attn.q_proj`` (out_features,
    in_features)."""

    name: str
    out_features: int
    in_features: int


class Factor(NamedTuple):
    """One matrix of the vector; ``side`` is "a", "b", or "r" for the square one of ``fedsb``."""

    module: Module
    side: str
    shape: tuple[int, int]
    start: int

    @property
    def stop(self) -> int:
        return self.start + self.shape[0] * self.shape[1]


@dataclass(frozen=True, slots=True)
class Layout:
    """The order of a vector. Two of the same plan and base are equal."""

    strategy: Strategy
    r: int
    modules: tuple[Module, ...]

    @property
    def factors(self) -> tuple[Factor, ...]:
        """All of them, in their order."""
        shapes = [
            (module, side, self._shape(module, side))
            for side in _SIDES[self.strategy]
            for module in self.modules
        ]
        found, start = [], 0
        for module, side, shape in shapes:
            found.append(Factor(module, side, shape, start))
            start = found[-1].stop
        return tuple(found)

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        return self.factors[-1].stop

    def sent(self, round: int) -> slice:
        """The part of the vector that learns in ``round`` (from 1), and so travels; of ``rolora``
        the Bs in odd rounds, the As in even ones (B is zero in the beginning, and an A before it
        would learn nothing)."""
        if self.strategy != "rolora":
            return slice(0, self.size)
        b = self.size - sum(m.in_features * self.r for m in self.modules)
        return slice(0, b) if round % 2 else slice(b, self.size)

    def length(self, round: int) -> int:
        """How many numbers travel in ``round``."""
        sent = self.sent(round)
        return int(sent.stop - sent.start)

    def learns(self, round: int) -> frozenset[str]:
        """The sides of ``sent(round)``."""
        if self.strategy == "rolora":
            return frozenset("b" if round % 2 else "a")
        return frozenset(_SIDES[self.strategy])

    def split(self, vector: Vector) -> dict[tuple[str, str], Vector]:
        """The matrices of ``vector`` by module and side: views, not copies. Raises where it is of
        another length."""
        if vector.shape != (self.size,):
            raise _wrong_length(vector.size, self.size)
        return {
            (f.module.name, f.side): vector[f.start : f.stop].reshape(f.shape) for f in self.factors
        }

    def join(self, matrices: Mapping[tuple[str, str], npt.NDArray[np.float32]]) -> Vector:
        """The inverse of ``split``."""
        import numpy as np

        parts = [matrices[f.module.name, f.side].astype(np.float32).ravel() for f in self.factors]
        return np.concatenate(parts)

    def applied(self, vector: Vector, delta: Vector, round: int) -> Vector:
        """``vector`` with ``delta`` added to what learns in ``round``. Raises ``TrainingError`` for
        one of another length, or that holds no numbers."""
        import numpy as np

        sent = self.sent(round)
        if delta.shape != (self.length(round),):
            raise _wrong_length(delta.size, self.length(round))
        if not np.isfinite(delta).all():
            raise TrainingError(t("federated_learning.not_finite"), t("training.diverged_hint"))
        moved = vector.copy()
        moved[sent] += delta
        return moved

    def begin(self, seed: int) -> Vector:
        """The vector of the first round: an adapter that changes nothing yet."""
        import numpy as np

        vector = np.zeros(self.size, np.float32)
        for factor in self.factors:
            if factor.side == "a":
                vector[factor.start : factor.stop] = drawn_a(seed, factor.module, self.r).ravel()
        return vector

    def _shape(self, module: Module, side: str) -> tuple[int, int]:
        shapes = {
            "a": (self.r, module.in_features),
            "b": (module.out_features, self.r),
            "r": (self.r, self.r),
        }
        return shapes[side]


_SIDES: Mapping[Strategy, str] = {
    "ffa": "b",
    "rolora": "ba",
    "fedsb": "r",
    "fedavg": "ba",
    "product": "ba",
}


def layout_of(plan: Plan, base: Path) -> Layout:
    """The layout of ``plan`` for the GGUF file ``base``: the modules that it names, by default all
    linear ones, of the layers from ``first_layer`` on."""
    extra.require("gguf")
    try:
        reader = facts_of(base)
        name = str(reader.fields["general.architecture"].contents())
        shapes = {x.name: tuple(int(n) for n in reversed(x.shape)) for x in reader.tensors}
        return layout_of_shapes(plan, name, shapes)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise TrainingError(
            t("training.base", file=base.name, reason=str(error).rstrip(".")),
            t("training.base_hint"),
        ) from error


def layout_of_shapes(
    plan: Plan, architecture_name: str, shapes: Mapping[str, tuple[int, ...]]
) -> Layout:
    """The same from what a GGUF's header says: its architecture, and the (out, in) of its tensors
    by their names. Needs no library of the ``train`` extra."""
    architecture = architecture_of(architecture_name, plan.model)
    wanted = architecture.fitted(plan.target_modules or ALL_LINEAR)
    modules = tuple(
        Module(f"model.layers.{layer}.{module}", *shapes[f"blk.{layer}.{weight}.weight"])
        for layer in range(plan.first_layer, _layers(shapes))
        for module, weight in architecture.weights.items()
        if module.rpartition(".")[2] in wanted
    )
    if not modules:
        raise TrainingError(
            t("federated_learning.no_modules", model=plan.model),
            t("federated_learning.no_modules_hint"),
        )
    return Layout(plan.strategy, plan.r, modules)


def _layers(shapes: Mapping[str, object]) -> int:
    found = [int(name.split(".")[1]) for name in shapes if name.startswith("blk.")]
    return max(found, default=-1) + 1


def with_rank(layout: Layout, vector: Vector, r: int) -> tuple[Layout, Vector]:
    """``vector`` cut to its first ``r`` rows and columns, or filled with zeros to that many: how a
    device of a smaller rank learns a part of the vector, and the rest stays as it was."""
    import numpy as np

    other = replace(layout, r=r)
    resized = {}
    for (name, side), matrix in layout.split(vector).items():
        rows, columns = matrix.shape
        shape = (rows, r) if side == "b" else (r, columns) if side == "a" else (r, r)
        new = np.zeros(shape, np.float32)
        new[:rows, :columns] = matrix[: shape[0], : shape[1]]
        resized[name, side] = new
    return other, other.join(resized)


def drawn_a(seed: int, module: Module, r: int) -> npt.NDArray[np.float32]:
    """A (r, in) of ``module`` as PEFT begins it: uniform in ±1/sqrt(in) (He et al. 2015,
    arXiv:1502.01852, with LoRA's a of sqrt 5). From the raw bits of Philox (Salmon et al. 2011),
    so that no machine's libraries draw another one."""
    import numpy as np

    count = r * module.in_features
    key = hashlib.sha256(f"{seed}:{module.name}".encode()).digest()
    bits = np.random.Philox(key=int.from_bytes(key[:16], "little")).random_raw(count)
    # 24 bits are all that a float32 can tell apart: exact everywhere.
    uniform = (bits >> 40).astype(np.float32) * np.float32(2.0**-24)
    bound = np.float32(1.0 / math.sqrt(module.in_features))
    return ((uniform * np.float32(2.0) - np.float32(1.0)) * bound).reshape(r, -1)


def _wrong_length(length: int, expected: int) -> TrainingError:
    return TrainingError(
        t("federated_learning.length", length=length, expected=expected),
        t("federated_learning.length_hint"),
    )


def weighted_mean(vectors: Sequence[Vector], weights: Sequence[float]) -> Vector:
    """In double precision, as the same numbers in another order would round differently."""
    import numpy as np

    total = math.fsum(weights)
    mean = np.zeros(vectors[0].shape, np.float64)
    for vector, weight in zip(vectors, weights, strict=True):
        mean += (weight / total) * vector.astype(np.float64)
    return mean.astype(np.float32)

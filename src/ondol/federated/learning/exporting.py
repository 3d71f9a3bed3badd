"""The shared vector as a file that the engine serves like any adapter, and what it says of how it
came about. Needs no PyTorch. Raises ``TrainingError``, ``StorageError``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.federated.learning.layout import drawn_a, layout_of
from ondol.federated.plan import Plan
from ondol.training.export import Dtype, export_adapter

if TYPE_CHECKING:
    from ondol.federated.learning.layout import Vector


def export_vector(
    plan: Plan, vector: Vector, base: Path, file: Path, *, dtype: Dtype = "f16"
) -> None:
    """Write ``vector`` as an adapter of the GGUF ``base``; ``file`` is replaced only by a whole
    one."""
    layout = layout_of(plan, base)
    matrices = layout.split(vector)
    frozen = {}
    if layout.strategy == "fedsb":
        from ondol.federated.learning.frozen import frozen_factors

        frozen = frozen_factors(layout, base, plan.seed)
    tensors = {}
    for module in layout.modules:
        if layout.strategy == "fedsb":
            kept = frozen[module.name]
            b, a = kept.b @ matrices[module.name, "r"], kept.a
        else:
            b = matrices[module.name, "b"]
            drawn = layout.strategy == "ffa"
            a = drawn_a(plan.seed, module, layout.r) if drawn else matrices[module.name, "a"]
        tensors[f"{module.name}.lora_A.weight"] = a
        tensors[f"{module.name}.lora_B.weight"] = b
    config = {"r": plan.r, "lora_alpha": plan.lora_alpha}
    export_adapter(tensors, config, base, file, dtype=dtype)


def facts(plan: Plan, *, rounds: int, clients: int, epsilon: float | None = None) -> dict[str, Any]:
    """For ``trained_on`` of the adapter's manifest: of which federation and plan, how many rounds
    of at most how many devices, and what was spent (None: nothing was promised)."""
    return {
        "task": plan.task,
        "federation": plan.federation,
        "plan_digest": plan.digest,
        "strategy": plan.strategy,
        "aggregation": plan.aggregation,
        "rounds": rounds,
        "clients": clients,
        "epsilon": epsilon,
        "delta": plan.delta if epsilon is not None else None,
    }

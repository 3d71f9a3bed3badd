"""A base with the shared vector on it, as PyTorch modules: what a strategy freezes, and where its
factors are. The base is as before when it is taken off again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ondol.federated.learning.layout import Layout, drawn_a
from ondol.federated.plan import Plan
from ondol.training.lora import LoraConfig

if TYPE_CHECKING:
    import torch

    from ondol.federated.learning.frozen import Frozen
    from ondol.federated.learning.layout import Vector

PREFIX = "base_model.model."
ADAPTER = "default"


def config_of(plan: Plan, layout: Layout) -> LoraConfig:
    """The adapter's shape; with a smaller rank than the plan's its scale stays the plan's."""
    return LoraConfig(
        r=layout.r,
        lora_alpha=round(plan.lora_alpha * layout.r / plan.r),
        target_modules=tuple(dict.fromkeys(m.name.rpartition(".")[2] for m in layout.modules)),
        first_layer=plan.first_layer,
    )


def state_of(
    plan: Plan, layout: Layout, vector: Vector, frozen: Mapping[str, Frozen]
) -> dict[str, torch.Tensor]:
    """PEFT's state of an adapter of ``vector``; of ``fedsb`` without its R, which ``arrange`` puts
    in."""
    import torch

    matrices = layout.split(vector)
    state = {}
    for module in layout.modules:
        if layout.strategy == "fedsb":
            b, a = frozen[module.name]
        else:
            b = matrices[module.name, "b"]
            drawn = layout.strategy == "ffa"
            a = drawn_a(plan.seed, module, layout.r) if drawn else matrices[module.name, "a"]
        state[f"{PREFIX}{module.name}.lora_A.weight"] = torch.tensor(a)
        state[f"{PREFIX}{module.name}.lora_B.weight"] = torch.tensor(b)
    return state


def arrange(model: Any, layout: Layout, vector: Vector, round: int) -> None:
    """Let learn what learns in ``round``, and nothing else."""
    learns = layout.learns(round)
    matrices = layout.split(vector)
    for module in layout.modules:
        lora = _lora(model, module.name)
        for side, linear in (("a", lora.lora_A[ADAPTER]), ("b", lora.lora_B[ADAPTER])):
            linear.weight.requires_grad_(side in learns)
        if layout.strategy == "fedsb":
            _put_between(lora.lora_B[ADAPTER], matrices[module.name, "r"])


def vector_of(model: Any, layout: Layout) -> Vector:
    """The factors as they are in ``model`` now."""

    def factor(name: str, side: str) -> Any:
        lora = _lora(model, name)
        if side == "r":
            return lora.lora_B[ADAPTER].parametrizations.weight[0].between
        return (lora.lora_A if side == "a" else lora.lora_B)[ADAPTER].weight

    return layout.join(
        {
            (f.module.name, f.side): factor(f.module.name, f.side).detach().float().cpu().numpy()
            for f in layout.factors
        }
    )


def take_off(model: Any) -> None:
    """Give the base its own linear modules back, whatever became of the adapter."""
    coated = [(n, m) for n, m in model.named_modules() if hasattr(m, "base_layer")]
    for name, module in coated:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, module.base_layer)
    for left in ("peft_config", "_hf_peft_config_loaded"):
        if left in vars(model):
            delattr(model, left)


def _lora(model: Any, name: str) -> Any:
    return model.get_base_model().get_submodule(name)


def _put_between(linear: Any, r: Vector) -> None:
    """B becomes B @ R, of which R learns."""
    import torch
    from torch.nn.utils import parametrize

    class Between(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.between = torch.nn.Parameter(torch.tensor(r, device=linear.weight.device))

        def forward(self, b: torch.Tensor) -> torch.Tensor:
            return b @ self.between

    parametrize.register_parametrization(linear, "weight", Between())

"""What the members of a federation agreed to, once, in one record. Its digest is in every message:
who holds another plan takes no part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self, get_args

Task = Literal["style", "grounding"]
Strategy = Literal["ffa", "rolora", "fedsb", "fedavg", "product"]
"""``ffa``: FFA-LoRA (arXiv:2403.12313), A stays as the seed made it, B learns. ``rolora``
(arXiv:2409.02346): A and B in turn. ``fedsb`` (arXiv:2502.15436): only an r x r matrix between
them. ``fedavg`` (FedIT): A and B averaged each for itself. ``product``: the products BA averaged,
cut to the rank by SVD (FlexLoRA, arXiv:2402.11505), for ranks that differ."""
Aggregation = Literal["secure", "individual"]
"""``secure``: home sees sums only. ``individual``: home sees each update, and can defend by it."""
Defence = Literal["norm", "median", "trimmed", "krum"]

LONGEST_TEXT = 512
MOST_MODULES = 64
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "task": get_args(Task),
    "strategy": get_args(Strategy),
    "aggregation": get_args(Aggregation),
    "defence": get_args(Defence),
}
_COUNTS: Mapping[str, tuple[int, int]] = {
    "r": (1, 4096),
    "lora_alpha": (1, 1 << 20),
    "first_layer": (0, 10_000),
    "seed": (0, (1 << 63) - 1),
    "rounds": (1, 1_000_000),
    "min_clients": (1, 1_000_000),
    "threshold": (0, 1_000_000),
    "local_steps": (1, 1_000_000),
    "batch_size": (1, 65_536),
    "value_bits": (2, 16),
}
_NUMBERS: Mapping[str, tuple[float, float]] = {
    "learning_rate": (0.0, 1e3),
    "proximal_mu": (0.0, 1e6),
    "clip_norm": (1e-9, 1e9),
    "noise_multiplier": (0.0, 1e6),
    "example_noise": (0.0, 1e6),
    "delta": (1e-300, 0.01),
    "epsilon_budget": (0.0, 1e6),
}
"""Wider than anything sensible: what is beyond has a meaning to nobody, and a delta that large
makes any epsilon small."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The agreement. ``base_sha256`` is of the base's GGUF file (weights, tokenizer), and
    ``template_sha256`` of its chat template's text. ``clip_norm`` bounds the L2 norm of a device's
    update; ``noise_multiplier`` is the client-level noise on the *sum*, in units of ``clip_norm``
    (0: none), of which every device adds its share; ``example_noise`` is that of DP-SGD on the
    device (0: none). ``threshold`` is how many of ``min_clients`` or more must stay to the end of a
    round. ``epsilon_budget`` ends participation (0: no budget). ``proximal_mu`` is FedProx's."""

    federation: str
    name: str
    model: str
    base_sha256: str
    template_sha256: str
    task: Task
    strategy: Strategy = "ffa"
    r: int = 8
    lora_alpha: int = 16
    target_modules: tuple[str, ...] = ()
    first_layer: int = 0
    seed: int = 0
    aggregation: Aggregation = "secure"
    defence: Defence = "norm"
    rounds: int = 5
    min_clients: int = 3
    threshold: int = 2
    local_steps: int = 20
    batch_size: int = 8
    learning_rate: float = 1e-3
    proximal_mu: float = 0.0
    clip_norm: float = 1.0
    noise_multiplier: float = 0.0
    example_noise: float = 0.0
    delta: float = 1e-5
    epsilon_budget: float = 0.0
    value_bits: int = 8

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all of it, written in one way only."""
        return hashlib.sha256(json.dumps(self.json(), sort_keys=True).encode()).hexdigest()

    def json(self) -> dict[str, Any]:
        """Every field, as it is sent and kept."""
        return asdict(self) | {"target_modules": list(self.target_modules)}

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """The plan that ``json`` wrote; home may be anybody. Raises ``TypeError`` for fields that
        no plan has, ``ValueError`` for values that none may have: an aggregation that is neither
        of the two would be the one to who shows it and the other to who sends."""
        read = cls(**said)
        for field in fields(cls):
            if not _is_fair(field.name, getattr(read, field.name)):
                raise ValueError(field.name)
        return replace(read, target_modules=tuple(read.target_modules))


def _is_fair(name: str, value: Any) -> bool:
    if name == "target_modules":
        is_list = isinstance(value, list | tuple) and len(value) <= MOST_MODULES
        return is_list and all(_is_text(one) for one in value)
    if name in _CHOICES:
        return isinstance(value, str) and value in _CHOICES[name]
    if name in _COUNTS:
        least, most = _COUNTS[name]
        return type(value) is int and least <= value <= most
    if name in _NUMBERS:
        low, high = _NUMBERS[name]
        return type(value) in (int, float) and low <= value <= high
    return _is_text(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT and value.isprintable()

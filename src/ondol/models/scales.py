"""Several adapters of one model at once: ``model:first,second@0.5``, names and their scales.

A scale multiplies what an adapter adds; one that is not said is 1. Sorted by name, so that a set
has one name. Raises ``AdapterNotFoundError``, ``ModelNotFoundError`` and ``UsageError``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ondol.errors import AdapterNotFoundError, ModelError, UsageError
from ondol.models.adapter_manifest import NAME

if TYPE_CHECKING:
    from ondol.models.adapters import Adapter, AdapterStore
    from ondol.models.store import Model

Scaled = tuple[tuple["Adapter", float], ...]
"""Adapters, each with its scale, sorted by name."""

LARGEST = 8.0
"""Beyond it nothing is left of the model; no adapter was ever measured there."""


def full_name(model: str, scales: Mapping[str, float]) -> str:
    """What ``model`` is called with adapters at these ``scales``; without any, itself."""
    names = [name if scale == 1 else f"{name}@{scale:g}" for name, scale in sorted(scales.items())]
    return f"{model}:{','.join(names)}" if names else model


def read(text: str) -> dict[str, float]:
    """The names and scales that ``a,b@0.5`` says. Raises ``ValueError``."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, at, said = part.strip().lower().partition("@")
        scale = float(said) if at else 1.0
        if not NAME.fullmatch(name) or name in found:
            raise ValueError("name")
        if not (math.isfinite(scale) and 0 <= scale <= LARGEST):
            raise ValueError("scale")
        found[name] = scale
    return dict(sorted(found.items()))


def of(adapters: AdapterStore, name: str) -> tuple[Model, Scaled]:
    """What ``name`` means where a model, one with an adapter, or one with several may stand."""
    try:
        model, one = adapters.resolve(name)
        return model, ((one, 1.0),) if one else ()
    except (ModelError, UsageError) as error:
        base, _, text = name.strip().rpartition(":")
        if not base or ("," not in text and "@" not in text):
            raise
        try:
            scales = read(text)
        except ValueError:
            raise error from None
        model = adapters.resolve(base)[0]
        usable = {one.name: one for one in adapters.usable(model)}
        for missing in scales.keys() - usable.keys():
            adapters.resolve(f"{model.name}:{missing}")
            raise AdapterNotFoundError(error.message, error.hint) from None
        return model, tuple((usable[one], scale) for one, scale in scales.items())


def digest(scaled: Scaled) -> str:
    """What tells a set of adapters from every other: their digests, each with its scale; of one
    that is fully on its own digest, and "" of none."""
    parts = [one.digest if scale == 1 else f"{one.digest}@{scale:g}" for one, scale in scaled]
    return "+".join(parts)


def as_model(adapters: AdapterStore, name: str) -> Model:
    """What ``name`` means, in the form of a model: called after all of it, as large as all of
    it."""
    model, scaled = of(adapters, name)
    if not scaled:
        return model
    made = hashlib.sha256(f"{model.digest} {digest(scaled)}".encode()).hexdigest()
    return replace(
        model,
        name=full_name(model.name, {one.name: scale for one, scale in scaled}),
        digest=f"sha256:{made}",
        size_bytes=model.size_bytes + sum(one.size_bytes for one, _ in scaled),
        modified_at=max(one.created_at for one, _ in scaled),
    )

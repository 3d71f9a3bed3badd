"""What a base is known by in a federation, whatever it is called on a device: the SHA-256 of its
weights' GGUF file, tokenizer included, and that of its chat template's text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.models.gguf import read_header
from ondol.models.store import Model, ModelStore

__all__ = ["Fingerprint", "base_of", "find"]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Both are hexadecimal."""

    base_sha256: str
    template_sha256: str


def base_of(store: ModelStore, model: Model) -> Fingerprint:
    """That of a chat model in GGUF. Raises ``UsageError`` for any other."""
    weights = model.file("weights")
    if weights is None or model.kind != "chat" or model.format != "gguf":
        raise UsageError(t("adapters.no_base", model=model.name), param="model")
    template = read_header(store.path(model), model.name).chat_template or ""
    digest = weights.digest.removeprefix("sha256:")
    return Fingerprint(digest, hashlib.sha256(template.encode()).hexdigest())


def find(store: ModelStore, base_sha256: str, name: str = "") -> Model | None:
    """The installed model of those weights, the one called ``name`` first; None where none is."""
    digest = f"sha256:{base_sha256}"
    here = [
        one
        for one in store.list()
        if (weights := one.file("weights")) is not None and weights.digest == digest
    ]
    return min(here, key=lambda one: (one.name != name, one.made is not None), default=None)

"""What files say of each other, and what their card says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ondol.hub.card import Card
from ondol.hub.scan.kinds import plain
from ondol.hub.scan.refused import Refused

Facts = Mapping[str, Mapping[str, Any]]
"""What the child knows of each file, by its name."""

_KINDS = {
    "weights": ("gguf", "safetensors", "onnx"),
    "projector": ("gguf",),
    "adapter": ("gguf", "safetensors"),
    "graph": ("onnx",),
}


def together(facts: Facts) -> Iterator[tuple[str, Refused]]:
    """Files that do not belong together: a missing shard, a rank that is not the configured one."""
    ranks: dict[str, set[int]] = {}
    for name, known in facts.items():
        ranks.setdefault(_place(name), set()).update(known.get("ranks", ()))
    for name, known in facts.items():
        for shard in known.get("shards", ()):
            if _place(name) + shard not in facts:
                yield name, Refused("missing_shard", shard=shard)
        others = ranks[_place(name)] - set(known.get("config_ranks", ()))
        if others and "config_ranks" in known:
            yield name, Refused("bad_rank", r=max(others))


def _place(name: str) -> str:
    """What the names of all files of one folder begin with; in a release it is in their names."""
    return name.removesuffix(plain(name))


def with_card(card: Card, facts: Facts, bases: Sequence[Path]) -> Iterator[tuple[str, Refused]]:
    """What of ``card`` is not so."""
    first = next(iter(facts), "")
    for name, role in card.files.items():
        kinds = _KINDS.get(role)
        if name in facts and kinds and facts[name].get("kind") not in kinds:
            yield name, Refused("bad_role", role=role)
        is_adapter = facts.get(name, {}).get("purpose") == "adapter"
        if role in ("adapter", "weights") and is_adapter != (role == "adapter"):
            if facts.get(name, {}).get("kind") == "gguf":
                yield name, Refused("bad_role", role=role)
    ggufs = {name: one for name, one in facts.items() if one.get("kind") == "gguf"}
    models = {name: one for name, one in ggufs.items() if one["purpose"] not in _BESIDE}
    for name, one in ggufs.items():
        said = card.architecture
        if one["purpose"] != "projector" and said and one["architecture"] not in ("", said):
            yield name, Refused("card_differs", field="architecture")
        for field in ("r", "lora_alpha"):
            said_of = getattr(card, field)
            if field in one and said_of is not None and said_of != one[field]:
                yield name, Refused("card_differs", field=field)
    if models and card.kind == "model" and card.parameters is not None:
        is_whole = len(models) == max(one["parts"] for one in models.values())
        if is_whole and sum(one["parameters"] for one in models.values()) != card.parameters:
            yield first, Refused("card_differs", field="parameters")
    if card.kind == "adapter" and not card.base_digest:
        yield first, Refused("card_lacks", field="base_digest")
    if bases and card.base_digest and card.base_digest != _digest(bases[0]):
        yield first, Refused("card_differs", field="base_digest")


_BESIDE = ("adapter", "projector")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"

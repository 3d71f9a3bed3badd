"""What is here as what a hub would offer: its card, its files, and what to know before it leaves.

A card is written from facts that are read or measured, and says no more of a training than numbers:
a manifest may name files, samples and other adapters of its owner, and none of that leaves. Raises
``UsageError`` for what cannot be offered, ``InvalidModelError``, ``InvalidPackError``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import UsageError
from ondol.hub.card import Card
from ondol.i18n import t
from ondol.models.adapter_manifest import CANARY, MERGED_FROM, STYLE, Adapter
from ondol.models.gguf import read_header
from ondol.models.gguf_reader import open_reader
from ondol.models.inspection import CHAT_TEMPLATE
from ondol.models.made import Made

if TYPE_CHECKING:
    from ondol.hub.targets import Version
    from ondol.models.store import Model, ModelStore

GATE = "gate"
"""In an adapter's ``evaluation``: the owner's gate. Its rows are measures; the rest is private."""
TOLD = (
    "task num_examples num_pairs num_held_out num_tokens steps rounds clients documents "
    "held_out_loss held_out_accuracy"
).split()
"""What a card says of a training. Not which files, samples or other adapters it was made of."""
SOURCES = ("hf:", "pypi:", "hub:", "ollama:")
"""What a source begins with that is no path of this machine."""
MOST_DEPTH = 6


@dataclass(frozen=True, slots=True)
class Offered:
    """``name`` is what it is called here, ``item`` what it might be called on a hub. ``warnings``
    are sentences, with one at least for what learned from somebody: then its owner must say that
    it may be shared. ``canary`` is ``training.exposure``'s JSON, None where nobody tried.
    ``version`` is what it says itself, None where nothing does."""

    name: str
    item: str
    card: Card
    files: Mapping[str, Path]
    warnings: tuple[str, ...] = ()
    canary: Mapping[str, Any] | None = None
    version: Version | None = None


def of_model(model: Model, store: ModelStore) -> Offered:
    """A GGUF model with all its files. UsageError for one of another format, and for one that was
    made of another: its system message and options belong into a pack."""
    if model.format != "gguf" or _is_laid_over(model):
        word = "made_model" if _is_laid_over(model) else "no_gguf"
        raise UsageError(
            t(f"hub_offering.{word}", name=model.name),
            t(f"hub_offering.{word}_hint"),
            param="model",
        )
    files = {_flat(file.name): store.blobs.path(file.digest) for file in model.files}
    weights = next(file for file in model.files if file.role == "weights")
    path = store.blobs.path(weights.digest)
    template = read_header(path, weights.name).chat_template or ""
    card = Card(
        kind="model",
        name=model.name,
        files={_flat(file.name): file.role for file in model.files},
        base_digest=weights.digest,
        tokenizer_digest=tokenizer_digest(path),
        template_digest=_digest(template.encode()) if template else "",
        architecture=model.family,
        parameters=model.parameters,
        quantization=model.quantization,
        context_length=model.context_length,
        licence=model.licence,
        source=model.source if model.source.startswith(SOURCES) else "",
    )
    return Offered(model.name, item_name(model.name), card, files)


def of_adapter(adapter: Adapter, path: Path) -> Offered:
    """An adapter, whose file is at ``path``. UsageError where what it learned from was forgotten
    since, or it does not fit its model any more."""
    if adapter.stale or adapter.is_outdated:
        word = "outdated" if adapter.is_outdated else "stale"
        raise UsageError(t(f"hub_offering.{word}", name=adapter.full_name), param="adapter")
    file = f"{adapter.name}.gguf"
    canary = adapter.evaluation.get(CANARY)
    epsilon = _epsilon(adapter.trained_on)
    training = {name: adapter.trained_on[name] for name in TOLD if name in adapter.trained_on}
    training = {k: v for k, v in training.items() if _is_plain(v)}
    if adapter.abstention_bias:
        training["abstention_bias"] = adapter.abstention_bias
    if isinstance(privacy := adapter.trained_on.get("privacy"), Mapping):
        training["privacy"] = _numbers(privacy)
    card = Card(
        kind="adapter",
        name=adapter.name,
        files={file: "adapter"},
        description=adapter.description,
        base_model=adapter.model,
        base_digest=adapter.base_digest,
        template_digest=adapter.template,
        r=adapter.r,
        lora_alpha=adapter.lora_alpha,
        languages=adapter.languages,
        training=training,
        epsilon=epsilon,
        evaluation=_measured(adapter.evaluation),
    )
    found = canary if isinstance(canary, Mapping) else None
    warnings = () if adapter.shipped else _warnings(adapter, epsilon, found)
    item = item_name(adapter.name)
    return Offered(adapter.full_name, item, card, {file: path}, warnings, found)


def of_pack(folder: Path) -> Offered:
    """A pack, as ``ondol pack build`` made it."""
    from ondol.hub.packs import format as packs

    pack = packs.read(folder)
    return Offered(pack.name, pack.name, pack.card(), pack.files, version=pack.version)


def told(offered: Offered, **said: Any) -> Offered:
    """The same with what its publisher says on the card: empty values say nothing."""
    return replace(offered, card=replace(offered.card, **{k: v for k, v in said.items() if v}))


def item_name(name: str) -> str:
    """``name`` in the letters that a hub's items have."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower().replace(":", "-")).strip("-_")
    return plain[:64].strip("-_") or "item"


def tokenizer_digest(path: Path) -> str:
    """``sha256:…`` of the tokenizer in a GGUF file: each of its entries but the chat template, by
    key, with the bytes that the file has for it. Equal tokenizers of one converter are equal."""
    entries: dict[str, bytes] = {}
    with open_reader(path) as reader, path.open("rb") as file:
        reader.take(8, "")
        _, count = reader.u64(""), reader.u64("")
        for _ in range(count):
            key, start = reader.name(""), reader.position
            reader.value(reader.u32(key), key)
            if key.startswith("tokenizer.") and not key.startswith(CHAT_TEMPLATE):
                file.seek(start)
                entries[key] = hashlib.sha256(file.read(reader.position - start)).digest()
    content = b"".join(key.encode() + b"\0" + entries[key] for key in sorted(entries))
    return _digest(content) if entries else ""


def _is_laid_over(model: Model) -> bool:
    """Whether there is more to it than weights. What ``ondol create`` made of a file alone is a
    model like one that was pulled."""
    return model.made not in (None, Made())


def _warnings(
    adapter: Adapter, epsilon: float | None, canary: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """What its owner must know, most important first."""
    is_own = adapter.private or adapter.trained_on.get("task") == STYLE
    found = [t("hub_offering.own" if is_own else "hub_offering.learned", name=adapter.full_name)]
    if adapter.trained_on.get(MERGED_FROM):
        found.append(t("hub_offering.merged"))
    if epsilon is None:
        found.append(t("hub_offering.no_epsilon"))
    else:
        found.append(t("hub_offering.epsilon", epsilon=f"{epsilon:.3g}"))
    if canary is None:
        found.append(t("hub_offering.no_canary"))
    elif isinstance(known := canary.get("by_heart"), int):
        tested = canary.get("tested", known)
        word = "by_heart" if known else "not_by_heart"
        found.append(t(f"hub_offering.{word}", known=known, tested=tested))
    return (*found, t("hub_offering.no_recall"))


def _epsilon(trained_on: Mapping[str, Any]) -> float | None:
    privacy = trained_on.get("privacy")
    inner: Any = privacy.get("epsilon") if isinstance(privacy, Mapping) else None
    for said in (inner, trained_on.get("epsilon")):
        if isinstance(said, int | float) and not isinstance(said, bool) and isfinite(said):
            return float(said)
    return None


def _measured(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers in ``evaluation``, by what they are of; of the owner's gate its rows."""
    found = {
        str(name): _numbers(value)
        for name, value in evaluation.items()
        if name != GATE and isinstance(value, Mapping)
    }
    gate = evaluation.get(GATE)
    rows = gate.get("rows") if isinstance(gate, Mapping) else None
    if isinstance(rows, list):
        found[GATE] = {"rows": [_row(row) for row in rows if isinstance(row, Mapping)]}
    return {name: value for name, value in found.items() if value}


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: row[name] for name in ("name", "unit") if isinstance(row.get(name), str)}
    return texts | _numbers(row)


def _numbers(value: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """What of a table is numbers and truths, as deep as tables go."""
    found: dict[str, Any] = {}
    for name, one in value.items():
        if isinstance(one, Mapping) and depth < MOST_DEPTH:
            found[str(name)] = _numbers(one, depth + 1)
        elif type(one) in (int, bool) or (type(one) is float and isfinite(one)):
            found[str(name)] = one
    return {name: one for name, one in found.items() if one != {}}


def _is_plain(value: Any) -> bool:
    if type(value) is float:
        return isfinite(value)
    return type(value) is int or (type(value) is str and len(value) < 40)


def _flat(name: str) -> str:
    """A file's name without folders: a hub's releases have none."""
    return name.replace("/", "--")


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"

"""Adapters beside each other: several merged into one, two compared, one written out.

What is merged is a candidate like any that was trained: it answers where it is named, and nowhere
else until it has passed the gate. It has learned from whatever its parts learned from, and is
forgotten with that. Raises ``TrainingError``, ``UsageError``, ``AdapterNotFoundError``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol import leftovers, paths, trainable, whole_file
from ondol.errors import TrainingError, UsageError
from ondol.i18n import t
from ondol.models import adapter_manifest
from ondol.models.adapter_manifest import CANDIDATE, MERGED_FROM, NAME, Adapter
from ondol.parts import Parts
from ondol.training import likeness, lora_file, merging

if TYPE_CHECKING:
    from ondol.training.likeness import Row
    from ondol.training.lora_file import LoraFile

STYLE = "style"


@dataclass(frozen=True, slots=True)
class Merge:
    """The new adapter, and how much of the average its rank holds: a share of the squared norm."""

    adapter: Adapter
    kept: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two adapters of the same weights; the last of ``rows`` is for all modules together."""

    adapters: tuple[Adapter, Adapter]
    rows: tuple[Row, ...]

    def json(self) -> dict[str, Any]:
        """As ``POST /ondol/v1/adapters/compare`` answers."""
        return {
            "adapters": [
                {"name": one.full_name, "evaluation": dict(one.evaluation)} for one in self.adapters
            ],
            "modules": [asdict(row) for row in self.rows],
        }


def merge(
    parts: Parts,
    names: Sequence[str],
    name: str,
    *,
    weights: Sequence[float] | None = None,
    r: int = 0,
) -> Merge:
    """The average of the adapters with these full names, as a candidate of the first one's model;
    ``r`` 0 is the largest of their ranks."""
    if not NAME.fullmatch(name + CANDIDATE) or name.endswith(CANDIDATE):
        hint = t("adapters.bad_name_hint")
        raise UsageError(t("adapters.bad_name", name=name), hint, param="name")
    found = [parts.adapters.find(one) for one in names]
    if len({one.digest for one in found}) < 2:
        raise UsageError(t("merging.two"), param="adapters")
    _check_same_base(found)
    for one in found:
        if one.stale:
            told = t("merging.stale", name=one.full_name)
            raise TrainingError(told, t("merging.stale_hint"))
    files = [lora_file.read(parts.adapters.path(one)) for one in found]
    averaged = merging.average([(_scaled(file), 1.0) for file in files], weights, r)
    shares = list(weights or [1.0] * len(found))
    learned = list(dict.fromkeys(i for f in found for i in parts.kept.samples.learned_by(f.digest)))
    # Where trainings work: in memory while the library is locked.
    with tempfile.TemporaryDirectory(dir=paths.ensure(trainable.trainings())) as folder:
        file = Path(folder) / f"{name}.gguf"
        try:
            lora_file.write(averaged.tensors, float(averaged.r), files[0].architecture, file)
            made = parts.adapters.add(
                file,
                name=name + CANDIDATE,
                model=found[0].model,
                base_digest=found[0].base_digest,
                **_facts(found, shares, averaged.kept),
            )
        finally:
            leftovers.erase(file)
    if learned:
        parts.kept.samples.note_learned(made.digest, learned)
    return Merge(made, averaged.kept)


def compare(parts: Parts, name: str, other: str) -> Comparison:
    """The two adapters with these full names beside each other."""
    found = (parts.adapters.find(name), parts.adapters.find(other))
    _check_same_base(found)
    one, two = (lora_file.read(parts.adapters.path(each)) for each in found)
    return Comparison(found, tuple(likeness.compare(one, two)))


def export(parts: Parts, name: str, destination: Path) -> tuple[Path, Path]:
    """Write an adapter's file to ``destination``, and its manifest beside it; never over a file
    that is there. The paths of both."""
    found = parts.adapters.find(name)
    manifest = destination.with_suffix(".json")
    for file in (destination, manifest):
        if file.exists():
            told = t("merging.exists", file=file)
            raise UsageError(told, t("merging.exists_hint"), param="output")
    try:
        # For its owner alone from its first byte: it may have learned from what they wrote.
        descriptor = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as copy, parts.adapters.path(found).open("rb") as source:
            shutil.copyfileobj(source, copy)
    except OSError as error:
        raise paths.storage_error(error, destination) from error
    whole_file.write(manifest, adapter_manifest.to_json(found))
    return destination, manifest


def is_personal(parts: Parts, adapter: Adapter) -> bool:
    """Whether it learned from the owner's own samples."""
    return bool(
        adapter.trained_on.get("task") == STYLE or parts.kept.samples.learned_by(adapter.digest)
    )


def _check_same_base(found: Sequence[Adapter]) -> None:
    for one in found[1:]:
        if one.base_digest != found[0].base_digest:
            told = t("merging.models", first=found[0].full_name, second=one.full_name)
            raise UsageError(told, t("merging.hint"), param="adapters")


def _scaled(file: LoraFile) -> Mapping[str, lora_file.Matrix]:
    """Its matrices with the scale in B, which files may have for each weight another."""
    return {
        name: matrix * file.scale(name.removesuffix(".lora_b")) if name[-1] == "b" else matrix
        for name, matrix in file.tensors.items()
    }


def _facts(found: Sequence[Adapter], shares: Sequence[float], kept: float) -> dict[str, Any]:
    """What the manifest says of an adapter that was merged from ``found``."""
    tasks = {str(one.trained_on.get("task", "")) for one in found}
    templates = {one.template for one in found}
    total = sum(shares)
    is_alike = len(templates) == 1
    biases = [one.abstention_bias * share for one, share in zip(found, shares, strict=True)]
    return {
        "template": templates.pop() if is_alike else "",
        "abstention_bias": sum(biases) / total if is_alike else 0.0,
        "trained_on": {
            # An owner's style in it makes all of it theirs.
            "task": tasks.pop() if len(tasks) == 1 else STYLE if STYLE in tasks else "",
            MERGED_FROM: [
                entry
                for one, share in zip(found, shares, strict=True)
                for entry in _parts_of(one, share / total)
            ],
            "kept": round(kept, 6),
        },
        "languages": tuple(dict.fromkeys(code for one in found for code in one.languages)),
        "description": t("merging.description", names=", ".join(one.full_name for one in found)),
    }


def _parts_of(one: Adapter, weight: float) -> list[dict[str, Any]]:
    """``one``, and what it was merged from itself: to be forgotten with any of them."""
    merged = one.trained_on.get(MERGED_FROM) or []
    below = [{**part, "weight": round(weight * part["weight"], 6)} for part in merged]
    return [{"name": one.full_name, "digest": one.digest, "weight": round(weight, 6)}, *below]

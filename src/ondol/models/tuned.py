"""How this machine runs a model best: other weights of the same model, and how to compute.

``tuned/sha256-<digest of the weights>.json``, so that it holds for every model with those weights
and for no others: newer ones are served as they came. What a model is called, its digest and its
adapters stay those of the original. Raises ``StorageError``; ``ValueError`` for a damaged record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.models import blobs
from ondol.models.manifest import DIGEST, Model, ModelFile
from ondol.models.reading import Reading

if TYPE_CHECKING:
    from ondol.models.store import ModelStore

VERSION = 1
ROLE = "tuned"

NUMBERS = ("threads", "batch_threads", "batch_tokens", "ubatch_tokens")
WORDS: Mapping[str, tuple[str, ...]] = {
    "flash_attention": ("", "on", "off"),
    "cache_type": ("", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"),
}
MOST = 65_536


@dataclass(frozen=True, slots=True)
class Tuned:
    """``origin`` is the digest of the weights as they came, ``format`` that of ``file``, which is
    None where they are served as they came. ``running`` are fields of ``engine.Running``;
    ``engine`` names what it was measured with, and ``measured`` holds what was, as JSON."""

    origin: str
    format: str
    file: ModelFile | None = None
    running: Mapping[str, int | str] = field(default_factory=dict)
    engine: str = ""
    applied_at: str = ""
    measured: Mapping[str, Any] = field(default_factory=dict)

    def path(self, store: ModelStore, model: Model) -> Path:
        """The weights that are served."""
        return store.blobs.path(self.file.digest) if self.file else store.path(model)

    def spare_bytes(self, model: Model) -> int:
        """By how much these weights are smaller than those that came."""
        came = only_weights(model)
        return came.size_bytes - self.file.size_bytes if came and self.file else 0


def tuned(store: ModelStore, model: Model) -> Tuned | None:
    """What is in force for ``model``; None where there is nothing, or its file is gone."""
    found = recorded(store, model)
    if found is None or (
        found.file and not store.blobs.has(found.file.digest, found.file.size_bytes)
    ):
        return None
    return found


def recorded(store: ModelStore, model: Model) -> Tuned | None:
    """The same, also where its file is gone."""
    weights = only_weights(model)
    try:
        return _records.of(_path(store.directory, weights.digest)) if weights else None
    except (OSError, ValueError):
        return None


def only_weights(model: Model) -> ModelFile | None:
    """The one file of weights of a model that can be tuned."""
    found = [file for file in model.files if file.role == "weights"]
    return found[0] if model.format == "gguf" and len(found) == 1 else None


def put(store: ModelStore, model: Model, record: Tuned, file: Path | None = None) -> bool:
    """Serve ``model`` as ``record`` says from now on; its ``file``, if any, is taken over. False
    where the model has other weights meanwhile."""
    path = _path(store.directory, record.origin)
    if file is not None and record.file is not None:
        # In the store's folder, so that ``place`` only renames it.
        with store.writing(file):
            staged = file if file.parent == store.blobs.directory else store.blobs.partial()
            if staged != file:
                blobs.copy(file, staged, lambda done: None)
    with store.lock():
        weights = only_weights(store.get(model.name))
        if weights is None or weights.digest != record.origin:
            return False
        if file is not None and record.file is not None:
            store.blobs.place(staged, record.file.digest)
        store.write(path, to_json(record))
        store.sweep()
    return True


def undo(store: ModelStore, model: Model) -> int | None:
    """Serve the weights as they came; the bytes freed, None where that was so already."""
    weights = only_weights(model)
    if weights is None:
        return None
    path = _path(store.directory, weights.digest)
    with store.writing(path), store.lock():
        try:
            path.unlink()
        except FileNotFoundError:
            return None
        return store.sweep()


def kept(directory: Path, in_use: set[str]) -> set[str]:
    """The digests of the files of the records of weights ``in_use``. The records of others, and
    those that cannot be read, go: they can be made anew. Call with the store's lock held."""
    found: set[str] = set()
    for path in (directory / "tuned").glob("*.json"):
        try:
            record = from_json(path.read_bytes())
        except ValueError:
            record = None
        if record is None or record.origin not in in_use or _path(directory, record.origin) != path:
            path.unlink(missing_ok=True)
        elif record.file:
            found.add(record.file.digest)
    return found


def to_json(record: Tuned) -> bytes:
    return json.dumps({"version": VERSION, **asdict(record)}, ensure_ascii=False, indent=1).encode()


def from_json(raw: bytes) -> Tuned:
    """The record ``raw`` holds; ValueError unless every field is what it must be."""
    try:
        fields = json.loads(raw)
        if fields.pop("version") != VERSION:
            raise ValueError("version")
        if fields["file"] is not None:
            fields["file"] = ModelFile(**fields["file"])
        record = Tuned(**fields)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    _check(record)
    return record


def _check(record: Tuned) -> None:
    digests = [record.origin, *([record.file.digest] if record.file else [])]
    if not all(isinstance(one, str) and DIGEST.fullmatch(one) for one in digests):
        raise ValueError("digest")
    if record.file and not isinstance(record.file.size_bytes, int):
        raise ValueError("size")
    if not isinstance(record.measured, dict) or not isinstance(record.running, dict):
        raise ValueError("running")
    # It becomes the arguments of a process.
    for name, value in record.running.items():
        is_number = name in NUMBERS and type(value) is int and 0 <= value <= MOST
        if not is_number and value not in WORDS.get(name, ()):
            raise ValueError(f"running {name}")


def _path(directory: Path, origin: str) -> Path:
    return directory / "tuned" / f"{origin.replace(':', '-')}.json"


_records = Reading(lambda path: from_json(path.read_bytes()))

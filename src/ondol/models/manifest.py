"""What is known about a model that is here, and the JSON form it is kept in.

``from_json`` trusts nothing it reads and raises ``ValueError``; the store decides what to do then.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from ondol.models.made import Made, from_fields
from ondol.models.reading import Reading

Kind = Literal["chat", "embedding", "reranker"]
Format = Literal["gguf", "onnx"]

VERSION = 1
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
CAPABILITIES: dict[Kind, str] = {
    "chat": "completion",
    "embedding": "embedding",
    "reranker": "rerank",
}

_log = logging.getLogger(__name__)

# Neither the name nor the time is part of what a model is: copies share a digest.
_NOT_CONTENT = ("name", "digest", "modified_at", "source")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model. ``digest`` is ``sha256:`` and 64 hexadecimal digits."""

    role: str
    name: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Model:
    """A model in the store. ``digest`` names its content, in the form of a file's digest.

    Numbers are None and texts empty where nobody knows. ``source`` is the reference it came from,
    ``made`` what was laid over the weights by who made a model of one's own.
    """

    name: str
    kind: Kind
    format: Format
    files: tuple[ModelFile, ...]
    modified_at: datetime
    size_bytes: int
    digest: str = ""
    family: str = ""
    parameters: int | None = None
    quantization: str = ""
    context_length: int | None = None
    embedding_length: int | None = None
    licence: str = ""
    source: str = ""
    capabilities: tuple[str, ...] = ()
    made: Made | None = None

    def file(self, role: str) -> ModelFile | None:
        """The first file of ``role``."""
        return next((f for f in self.files if f.role == role), None)


def sealed(model: Model) -> Model:
    """``model`` with the digest of its content."""
    # Without what it was not made with, so that models have the digests that they always had.
    absent = () if model.made else ("made",)
    content = {k: v for k, v in asdict(model).items() if k not in (*_NOT_CONTENT, *absent)}
    # What it can do follows from its files, and more of that is known than once was.
    content["capabilities"] = (CAPABILITIES[model.kind],)
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return replace(model, digest=f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")


def to_json(model: Model) -> bytes:
    fields = {"version": VERSION, **asdict(model), "modified_at": model.modified_at.isoformat()}
    return json.dumps(fields, ensure_ascii=False, indent=1).encode()


def read(path: Path) -> Model:
    """What the file ``path`` holds, read once for as long as it stays as it is. ValueError as of
    ``from_json``, and OSError."""
    return _files.of(path)


def readable(path: Path) -> Model | None:
    """The same; None where there is none, or none that can be read."""
    try:
        return read(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _log.warning("manifest %s skipped: %s", path.name, error)
        return None


def from_json(raw: bytes) -> Model:
    """The model ``raw`` describes; ValueError unless every field is what it must be."""
    try:
        fields = json.loads(raw)
    except RecursionError as error:
        raise ValueError("nesting") from error
    if not isinstance(fields, dict) or fields.pop("version", None) != VERSION:
        raise ValueError("version")
    try:
        fields["files"] = tuple(_file(f) for f in fields["files"])
        fields["modified_at"] = _moment(fields["modified_at"])
        fields["capabilities"] = tuple(str(c) for c in fields["capabilities"])
        fields["made"] = from_fields(fields.get("made"))
        model = Model(**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error
    _check(model)
    return model


def _file(fields: Any) -> ModelFile:
    file = ModelFile(**fields)
    parts = PurePosixPath(file.name).parts
    # The name becomes a path, so it may not lead out of the folder.
    if not parts or ".." in parts or parts[0] == "/" or "\0" in file.name:
        raise ValueError("file name")
    if not DIGEST.fullmatch(file.digest) or not isinstance(file.size_bytes, int):
        raise ValueError("file")
    return file


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _check(model: Model) -> None:
    if model.kind not in get_args(Kind) or model.format not in get_args(Format):
        raise ValueError("kind")
    if not model.files or not DIGEST.fullmatch(model.digest):
        raise ValueError("digest")
    texts = (model.name, model.family, model.quantization, model.licence, model.source)
    numbers = (model.parameters, model.context_length, model.embedding_length)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("text")
    if not all(n is None or isinstance(n, int) for n in (*numbers, model.size_bytes)):
        raise ValueError("number")


_files = Reading(lambda path: from_json(path.read_bytes()))

"""What a model's own files say about it: kind, size, context, quantisation.

Reads headers only. Every GGUF passes through here before it can be listed; a malformed one, or one
that is no model by itself (an adapter, a projector), raises ``InvalidModelError``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ondol.errors import InvalidModelError
from ondol.i18n import t
from ondol.models.manifest import Format, Kind, ModelFile


@dataclass(frozen=True, slots=True)
class About:
    """What somebody says about a model; what the files say themselves wins, except on ``kind``."""

    kind: Kind | None = None
    family: str = ""
    parameters: int | None = None
    quantization: str = ""
    context_length: int | None = None
    embedding_length: int | None = None
    licence: str = ""
    source: str = ""
    format: Format = "gguf"


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file whose content has been verified; ``path`` is where it lies for now."""

    file: ModelFile
    path: Path


def inspect(staged: Sequence[StagedFile], about: About) -> About:
    """``about``, completed from the files themselves."""
    gguf = [s for s in staged if s.file.role == "weights" and s.file.name.endswith(".gguf")]
    if gguf:
        return _inspect_gguf(gguf, about)
    if not any(s.file.role == "graph" for s in staged):
        raise InvalidModelError(t("models.no_weights"), t("models.no_weights_hint"))
    return _inspect_onnx({s.file.name: s.path for s in staged}, about)


def _inspect_gguf(weights: Sequence[StagedFile], about: About) -> About:
    from ondol.models.gguf import read_header

    headers = [read_header(part.path, part.file.name) for part in weights]
    header = headers[0]
    if header.part or header.num_parts > len(headers):
        raise InvalidModelError(
            t("models.not_whole", name=weights[0].file.name, parts=header.num_parts),
            t("models.not_whole_hint"),
        )
    kind = header.kind
    match kind:
        case "adapter" | "projector":
            raise InvalidModelError(t("models.not_a_model", name=weights[0].file.name))
        case "chat" | "embedding" | "reranker":
            pass
    return replace(
        about,
        format="gguf",
        kind=about.kind or kind,
        family=header.architecture or about.family,
        parameters=sum(h.parameters for h in headers) or about.parameters,
        quantization=header.quantization or about.quantization,
        context_length=header.context_length or about.context_length,
        embedding_length=header.embedding_length or about.embedding_length,
    )


def _inspect_onnx(files: Mapping[str, Path], about: About) -> About:
    config = _read_json(files.get("config.json"))
    limits = _read_json(files.get("sentence_bert_config.json"))
    return replace(
        about,
        format="onnx",
        kind=about.kind or "embedding",
        family=str(config.get("model_type") or about.family),
        context_length=_number(limits, "max_seq_length")
        or _number(config, "max_position_embeddings")
        or about.context_length,
        embedding_length=_number(config, "hidden_size") or about.embedding_length,
    )


def _read_json(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _number(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    return value if isinstance(value, int) and value > 0 else None

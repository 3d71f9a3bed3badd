"""What a model's own files say about it: kind, size, context, quantisation.

Reads headers only. Every GGUF passes through here before it can be listed; a malformed one, or one
that is no model by itself (an adapter, a projector), raises ``InvalidModelError``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import InvalidModelError
from ondol.i18n import t
from ondol.models.manifest import CAPABILITIES, Format, Kind, Model, ModelFile, sealed

PROJECTOR = "projector"

if TYPE_CHECKING:
    from ondol.models.gguf import GgufHeader

CHAT_TEMPLATE = "tokenizer.chat_template"
LONGEST_TEMPLATE_BYTES = 256 * 1024


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
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file whose content has been verified; ``path`` is where it lies for now."""

    file: ModelFile
    path: Path


def described(name: str, staged: Sequence[StagedFile], about: About) -> Model:
    """The model ``name`` that the verified files make, as of now."""
    facts = inspect(staged, about)
    assert facts.kind is not None
    model = Model(
        name=name,
        kind=facts.kind,
        format=facts.format,
        files=tuple(part.file for part in staged),
        modified_at=datetime.now(UTC),
        size_bytes=sum({s.file.digest: s.file.size_bytes for s in staged}.values()),
        family=facts.family,
        parameters=facts.parameters,
        quantization=facts.quantization,
        context_length=facts.context_length,
        embedding_length=facts.embedding_length,
        licence=facts.licence,
        source=facts.source,
        capabilities=facts.capabilities,
    )
    return sealed(model)


def inspect(staged: Sequence[StagedFile], about: About) -> About:
    """``about``, completed from the files themselves."""
    gguf = [s for s in staged if s.file.role == "weights" and s.file.name.endswith(".gguf")]
    if gguf:
        return _inspect_gguf(
            gguf, about, next((s for s in staged if s.file.role == PROJECTOR), None)
        )
    if not any(s.file.role == "graph" for s in staged):
        raise InvalidModelError(t("models.no_weights"), t("models.no_weights_hint"))
    return _inspect_onnx({s.file.name: s.path for s in staged}, about)


def _inspect_gguf(
    weights: Sequence[StagedFile], about: About, projector: StagedFile | None
) -> About:
    from ondol.models.abilities import capabilities
    from ondol.models.gguf import read_header

    headers = [read_header(part.path, part.file.name) for part in weights]
    header = headers[0]
    if header.part or header.num_parts > len(headers):
        raise InvalidModelError(
            t("models.not_whole", name=weights[0].file.name, parts=header.num_parts),
            t("models.not_whole_hint"),
        )
    _check_template(header, weights[0].file.name)
    kind = header.kind
    match kind:
        case "adapter" | "projector":
            raise InvalidModelError(t("models.not_a_model", name=weights[0].file.name))
        case "chat" | "embedding" | "reranker":
            pass
    sight = read_header(projector.path, projector.file.name) if projector else None
    if projector and sight and (sight.kind != "projector" or kind != "chat"):
        raise InvalidModelError(t("models.not_a_projector", name=projector.file.name))
    kind = about.kind or kind
    is_plain = kind != header.kind
    return replace(
        about,
        format="gguf",
        kind=kind,
        capabilities=(CAPABILITIES[kind],) if is_plain else capabilities(header, sight),
        family=header.architecture or about.family,
        parameters=sum(h.parameters for h in headers) or about.parameters,
        quantization=header.quantization or about.quantization,
        context_length=header.context_length or about.context_length,
        embedding_length=header.embedding_length or about.embedding_length,
    )


def _check_template(header: GgufHeader, name: str) -> None:
    """A chat template is a program that llama.cpp runs; none that is used has a tenth of that."""
    template = header.metadata.get(CHAT_TEMPLATE, "")
    length = len(template.encode()) if isinstance(template, str) else LONGEST_TEMPLATE_BYTES + 1
    if length > LONGEST_TEMPLATE_BYTES:
        raise InvalidModelError(
            t("models.long_template", name=name, kilobytes=LONGEST_TEMPLATE_BYTES // 1024),
            t("models.long_template_hint"),
        )


def _inspect_onnx(files: Mapping[str, Path], about: About) -> About:
    config = _read_json(files.get("config.json"))
    limits = _read_json(files.get("sentence_bert_config.json"))
    kind: Kind = about.kind or "embedding"
    return replace(
        about,
        format="onnx",
        kind=kind,
        capabilities=(CAPABILITIES[kind],),
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

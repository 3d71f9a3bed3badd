"""The card of a mirrored release: what its files and its repository say of it.

Facts come from the files (``models.gguf``, ``config.json``); licence and languages from what the
repository says of itself, which is its owner's word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ondol.errors import InvalidModelError, UsageError
from ondol.hub.card import Card
from ondol.hub.mirror.origin import ORIGIN, ROLE, Origin, item_of
from ondol.models import names
from ondol.models.gguf import GgufHeader, read_header

_LANGUAGE = re.compile(r"[a-z]{2,3}")


def card_of(
    origin: Origin, roles: Mapping[str, str], files: Mapping[str, Path], report: Mapping[str, Any]
) -> Card:
    """``roles`` and ``files`` are by path in the repository."""
    name_of = {file.path: file.name for file in origin.files}
    weights = [path for path, role in roles.items() if role == "weights"]
    config = _json(files.get("config.json"))
    adapter = _json(files.get("adapter_config.json"))
    header = _header(files, weights)
    tags = [tag for tag in origin.about.get("tags", ()) if isinstance(tag, str)]
    is_adapter = "adapter" in roles.values() or (header is not None and header.kind == "adapter")
    digests = {file.path: file.digest for file in origin.files}
    return Card(
        kind="adapter" if is_adapter else "model",
        name=_name(origin.repository, header),
        files={**{name_of[path]: role for path, role in roles.items()}, ORIGIN: ROLE},
        title=origin.repository,
        base_model=_text(adapter, "base_model_name_or_path") or _tagged(tags, "base_model:"),
        tokenizer_digest=digests.get("tokenizer.json", ""),
        architecture=header.architecture if header else _text(config, "model_type"),
        parameters=header.parameters if header else None,
        quantization=header.quantization if header else "",
        context_length=header.context_length
        if header
        else _number(config, "max_position_embeddings"),
        r=_number(adapter, "r"),
        lora_alpha=_number(adapter, "lora_alpha"),
        licence=_tagged(tags, "license:"),
        languages=tuple(tag for tag in tags if _LANGUAGE.fullmatch(tag))[:50],
        scan=dict(report),
        source=f"hf:{origin.repository}@{origin.commit}",
        released_at=str(origin.about.get("last_modified", "")),
    )


def _header(files: Mapping[str, Path], weights: list[str]) -> GgufHeader | None:
    gguf = sorted(path for path in weights if path.lower().endswith(".gguf"))
    try:
        return read_header(files[gguf[0]], gguf[0]) if gguf else None
    except InvalidModelError:
        return None  # the scanner says so in its own words


def _name(repository: str, header: GgufHeader | None) -> str:
    """What a device that installs it calls it."""
    tag = header.quantization.lower() if header else ""
    try:
        return names.normalize(f"{repository}:{tag}" if tag else repository)
    except UsageError:
        return item_of(repository)


def _json(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    return value if type(value) is int and 0 < value < 2**40 else None


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) and len(value) <= 200 else ""


def _tagged(tags: list[str], start: str) -> str:
    found = [tag.removeprefix(start) for tag in tags if tag.startswith(start)]
    return found[0] if found else ""

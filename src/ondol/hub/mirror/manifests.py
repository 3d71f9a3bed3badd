"""A release as Ollama's registry describes a model: a manifest of layers, each with its digest.

The form is Docker's image manifest v2, schema 2, with Ollama's media types (``server/images.go``
and ``types/model/config.go`` of its source). Weights, projector, adapter and licence are blobs of
the hub; the small layers that a hub has no file for (configuration, template, stop words) are made
here, the same bytes for the same release. Raises ``MissingError`` where Ollama could not run it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ondol.errors import InvalidModelError
from ondol.hub.mirror.missing import MissingError
from ondol.hub.mirror.origin import COMMIT
from ondol.hub.mirror.shelf import MAIN, Content, Shelved, Snapshot
from ondol.i18n import t
from ondol.models.abilities import capabilities
from ondol.models.gguf import GgufHeader, read_header
from ondol.models.go_template import PLAIN, layout_of, template_text
from ondol.models.sources.file import parts_of
from ondol.models.sources.huggingface import choose, choose_projector

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.ollama.image."
LATEST = "latest"
_NOT_RENDERED = ("tools", "insert")
"""What our twin of a template shows to who reads it, and no engine could make sense of."""

FindBlob = Callable[[str], Path | None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """``content`` is what is served and what ``digest`` is of; ``made`` are its small layers, by
    digest; ``blobs`` are the hub's."""

    content: bytes
    made: Mapping[str, bytes]
    blobs: frozenset[str]

    @property
    def digest(self) -> str:
        return _digest(self.content)


def pick(shelved: Shelved, tag: str) -> tuple[Snapshot, str]:
    """The snapshot and the GGUF file in it that ``tag`` means: a version, a channel, ``latest``,
    or a quantisation of what is newest."""
    if tag == LATEST:
        return shelved.main, _weights(shelved.main, LATEST)
    found = shelved.at(tag)
    if found is not None and tag != MAIN:
        return found, _weights(found, LATEST)
    return shelved.main, _weights(shelved.main, tag)


def tags_of(shelved: Shelved) -> list[str]:
    """Every tag that ``pick`` finds something for."""
    named = (name for name in shelved.revisions if name != MAIN and not COMMIT.fullmatch(name))
    tags = [LATEST, *named]
    found = []
    for tag in tags:
        try:
            pick(shelved, tag)
        except MissingError:
            continue
        found.append(tag)
    return sorted(found)


def manifest_of(
    snapshot: Snapshot, weights: str, blob: FindBlob, base: Snapshot | None = None
) -> Manifest:
    """The manifest of the GGUF file ``weights`` of ``snapshot``; ``base`` is the release that an
    adapter is for."""
    adapter, model = None, snapshot.files[weights]
    header = _header(model, blob, snapshot)
    if header.kind == "adapter":
        if base is None:
            raise _unfit(snapshot, t("hub_mirror.no_base"))
        adapter, model = model, base.files[_weights(base, LATEST)]
        header = _header(model, blob, base)
    if header.num_parts > 1 or len(parts_of(weights)) > 1:
        raise _unfit(snapshot, t("hub_mirror.in_parts"))
    projector = _projector(base or snapshot)
    sight = _header(projector, blob, snapshot) if projector else None
    layers = [_layer("model", model)]
    layers += [_layer("adapter", adapter)] if adapter else []
    layers += [_layer("projector", projector)] if projector else []
    made: dict[str, bytes] = {}

    def add(kind: str, content: bytes) -> None:
        digest = _digest(content)
        made[digest] = content
        layers.append(_described(f"{LAYER}{kind}", digest, len(content)))

    for kind, content in _texts(header, sight):
        add(kind, content)
    licences = _licences(snapshot)
    layers += [_layer("license", one) for one in licences]
    if not licences and snapshot.release.card.licence:
        add("license", snapshot.release.card.licence.encode())
    config = _json(_config(header, [one["digest"] for one in layers]))
    made[_digest(config)] = config
    content = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _described(CONFIG, _digest(config), len(config)),
            "layers": layers,
        }
    )
    blobs = frozenset(one["digest"] for one in layers if one["digest"] not in made)
    return Manifest(content, made, blobs)


def _weights(snapshot: Snapshot, tag: str) -> str:
    roles = {file.digest: file.role for file in snapshot.release.files}
    gguf = [path for path in snapshot.files if path.lower().endswith(".gguf")]
    main = [path for path in gguf if roles.get(snapshot.files[path].digest) in _MAIN]
    if tag == LATEST and len(main) == 1:
        return main[0]
    found = choose(gguf, tag) or (main[0] if tag == LATEST and main else None)
    if found is None:
        raise _unfit(snapshot, t("hub_mirror.no_gguf", tag=tag[:100]))
    return found


_MAIN = ("weights", "adapter")


def _projector(snapshot: Snapshot) -> Content | None:
    roles = {file.digest: file.role for file in snapshot.release.files}
    named = [path for path, one in snapshot.files.items() if roles.get(one.digest) == "projector"]
    path = choose_projector(named) or next(iter(named), None)
    return snapshot.files[path] if path else None


def _licences(snapshot: Snapshot) -> list[Content]:
    roles = {file.digest: file.role for file in snapshot.release.files}
    return [one for _, one in sorted(snapshot.files.items()) if roles.get(one.digest) == "licence"]


def _header(content: Content, blob: FindBlob, snapshot: Snapshot) -> GgufHeader:
    path = blob(content.digest)
    try:
        if path is not None:
            return read_header(path, content.path)
    except InvalidModelError as error:
        raise _unfit(snapshot, error.message) from error
    raise _unfit(snapshot, t("hub_mirror.no_file", path=content.path, name=snapshot.repository))


def _texts(header: GgufHeader, sight: GgufHeader | None) -> Iterable[tuple[str, bytes]]:
    """Ollama renders Go templates, and no Jinja: where the layout of the model's own is known, its
    twin goes along; else Ollama says what it says to a model without one."""
    layout = layout_of(header.chat_template or "")
    if layout is PLAIN:
        return
    able = [one for one in capabilities(header, sight) if one not in _NOT_RENDERED]
    yield "template", template_text(able, header.chat_template or "").encode()
    yield "params", _json({"stop": [layout.stop]})


def _config(header: GgufHeader, digests: list[str]) -> dict[str, Any]:
    return {
        "model_format": "gguf",
        "model_family": header.architecture,
        "model_families": [header.architecture],
        "model_type": _human(header.parameters),
        "file_type": header.quantization,
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": digests},
    }


def _human(number: int) -> str:
    """``134.52M``, as Ollama writes numbers of parameters."""
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= size:
            return f"{number / size:.2f}".rstrip("0").rstrip(".") + unit
    return str(number)


def _layer(kind: str, content: Content) -> dict[str, Any]:
    return _described(f"{LAYER}{kind}", content.digest, content.size_bytes)


def _described(media_type: str, digest: str, size_bytes: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size_bytes}


def _json(fields: Any) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _unfit(snapshot: Snapshot, why: str) -> MissingError:
    return MissingError("file", t("hub_mirror.unfit", name=snapshot.repository, why=why))

"""A release as an OCI image layout with CNCF ModelPack's media types: what tools for registries
(skopeo, oras, modctl) copy to a registry and back.

OCI image layout 1.0 (https://github.com/opencontainers/image-spec), ModelPack's model-spec 0.0.7
(https://github.com/modelpack/model-spec: manifest, config, annotations). Each file is one raw
layer, so that its digest is the one that the publisher signed. It is not signed as a whole and
says nothing about its age.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ondol.hub.card import Card
from ondol.hub.interop.gathering import BlobOf, copy, new_folder
from ondol.hub.release import Release, ReleaseFile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
ARTIFACT = "application/vnd.cncf.model.manifest.v1+json"
CONFIG = "application/vnd.cncf.model.config.v1+json"
LAYER = "application/vnd.cncf.model.{kind}.v1.raw"
WEIGHTS = frozenset({"weights", "adapter", "projector", "graph"})
DOCUMENTS = frozenset({"readme", "licence"})
DATA = frozenset({"evaluation", "glossary"})


def export_layout(release: Release, blob_of: BlobOf, folder: Path) -> str:
    """Put ``release`` as an image layout into the new ``folder``; the digest of its manifest.
    HubError, InvalidModelError, UsageError, StorageError."""
    with new_folder(folder) as gathering:
        blobs = gathering / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        for file in release.files:
            copy(file, blob_of, blobs / file.hex)
        config = _put(blobs, CONFIG, _config(release))
        manifest = _put(
            blobs,
            MANIFEST,
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "artifactType": ARTIFACT,
                "config": config,
                "layers": [_layer(file) for file in release.files],
                "annotations": _annotations(release),
            },
        )
        entry = manifest | {
            "artifactType": ARTIFACT,
            "annotations": {"org.opencontainers.image.ref.name": str(release.version)},
        }
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
        (gathering / "index.json").write_bytes(_json(index))
        (gathering / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    return str(manifest["digest"])


def _layer(file: ReleaseFile) -> dict[str, Any]:
    kind = "weight.config"
    if file.role in WEIGHTS:
        kind = "weight"
    elif file.role in DOCUMENTS:
        kind = "doc"
    elif file.role in DATA:
        kind = "dataset"
    return {
        "mediaType": LAYER.format(kind=kind),
        "digest": file.digest,
        "size": file.size_bytes,
        "annotations": {
            "org.cncf.model.filepath": file.name,
            "org.opencontainers.image.title": file.name,
        },
    }


def _config(release: Release) -> dict[str, Any]:
    """ModelPack's description of a model; its schema has no place for what else a card says."""
    card = release.card
    descriptor = {
        "createdAt": card.released_at,
        "family": card.architecture,
        "name": release.item,
        "version": str(release.version),
        "vendor": release.publisher,
        "licenses": [card.licence] if card.licence else [],
        "sourceURL": card.source,
        "title": card.title,
        "description": card.description,
    }
    config = {
        "architecture": card.architecture,
        "format": "gguf" if release.first.name.endswith(".gguf") else "",
        "paramSize": _parameters(card),
        "quantization": card.quantization,
    }
    return {
        "descriptor": {name: value for name, value in descriptor.items() if value},
        "config": {name: value for name, value in config.items() if value},
        # Layers are neither archived nor compressed: what they are hashes to is their digest.
        "modelfs": {"type": "layers", "diffIds": [file.digest for file in release.files]},
    }


def _annotations(release: Release) -> dict[str, str]:
    said = {
        "org.opencontainers.image.title": release.card.title or release.name,
        "org.opencontainers.image.version": str(release.version),
        "org.opencontainers.image.vendor": release.publisher,
        "org.opencontainers.image.licenses": release.card.licence,
        "org.opencontainers.image.created": release.card.released_at,
    }
    return {name: value for name, value in said.items() if value}


def _parameters(card: Card) -> str:
    """``134.5M``: a number with at most one decimal and a prefix, as the specification has it."""
    count = float(card.parameters or 0)
    for prefix in ("", "K", "M", "B", "T"):
        if count < 1000:
            return f"{count:.1f}{prefix}" if prefix else ""
        count /= 1000
    return f"{count:.1f}Q"


def _put(blobs: Path, media_type: str, content: dict[str, Any]) -> dict[str, Any]:
    """Write a blob of JSON; the descriptor that points to it."""
    data = _json(content)
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, sort_keys=True, indent=1).encode()

"""Snapshots as the JSON that huggingface_hub reads: a model's information, a tree, what a search
finds. Pure functions; field names are that API's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from starlette.datastructures import QueryParams

from ondol.hub.mirror.shelf import Content, Shelved, Snapshot, git_oid

_MEDIA_TYPES = {".json": "application/json", ".md": "text/plain; charset=utf-8"}


def model(snapshot: Snapshot, *, full: bool, with_blobs: bool = False) -> dict[str, Any]:
    """What ``ModelInfo`` is made of. ``ondol`` says which release it is and how it was scanned."""
    release, card = snapshot.release, snapshot.release.card
    about = snapshot.origin.about if snapshot.origin else {}
    owner, _, _ = snapshot.repository.rpartition("/")
    modified = _moment(str(about.get("last_modified", "")) or card.released_at)
    found: dict[str, Any] = {
        "_id": snapshot.commit[:24],
        "id": snapshot.repository,
        "modelId": snapshot.repository,
        "author": owner or None,
        "sha": snapshot.commit,
        "lastModified": modified,
        "createdAt": modified,
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": tags(snapshot),
        "cardData": _card_data(snapshot),
        "ondol": {
            "release": release.reference,
            "channel": card.channel,
            "scanned": bool(card.scan.get("ok")),
        },
    }
    for name, key in (("task", "pipeline_tag"), ("library", "library_name")):
        if isinstance(about.get(name), str):
            found[key] = about[name]
    if full:
        found["siblings"] = [_sibling(one, with_blobs) for one in _by_path(snapshot)]
        found["usedStorage"] = sum(one.size_bytes for one in snapshot.files.values())
    return found


def tree(snapshot: Snapshot, folder: str, *, deep: bool) -> list[dict[str, Any]]:
    """The entries of ``folder`` ("": the top), or all below it; none where there is no such."""
    start = f"{folder}/" if folder else ""
    below = [one for one in _by_path(snapshot) if one.path.startswith(start)]
    files = [_entry(one) for one in below if deep or "/" not in one.path.removeprefix(start)]
    parents = {
        str(parent)
        for one in below
        for parent in PurePosixPath(one.path).parents
        if str(parent).startswith(start) and str(parent) not in (".", folder)
    }
    folders = [
        {"type": "directory", "oid": git_oid(path.encode()), "size": 0, "path": path}
        for path in sorted(parents)
        if deep or "/" not in path.removeprefix(start)
    ]
    return [*folders, *files]


def fits(shelved: Shelved, query: QueryParams) -> bool:
    """Whether a repository is one of those that a search asks for."""
    name, has = shelved.name.lower(), set(tags(shelved.main))
    owner = name.rpartition("/")[0]
    return (
        query.get("search", "").lower() in name
        and query.get("author", "").lower() in ("", owner)
        and all(one in has for tag in query.getlist("filter") for one in tag.split(",") if one)
        and query.get("pipeline_tag") in (None, _task(shelved.main))
        and query.get("gated") not in ("true", "1", "True")
    )


def tags(snapshot: Snapshot) -> list[str]:
    """What its upstream says of it; of a release of this hub, what its card does."""
    if snapshot.origin is not None:
        return list(snapshot.origin.about.get("tags", ()))
    card = snapshot.release.card
    said = [f"license:{card.licence}"] if card.licence else []
    base = [f"base_model:{card.base_model}"] if card.base_model else []
    suffixes = {PurePosixPath(path).suffix.removeprefix(".") for path in snapshot.files}
    formats = sorted(suffixes & {"gguf", "safetensors", "onnx"})
    return [card.kind, *formats, *card.languages, *said, *base]


def media_type(path: str) -> str:
    """What a browser takes the file for: nothing that it would run."""
    return _MEDIA_TYPES.get(PurePosixPath(path).suffix.lower(), "")


def _task(snapshot: Snapshot) -> str | None:
    return snapshot.origin.about.get("task") if snapshot.origin else None


def _card_data(snapshot: Snapshot) -> Mapping[str, Any]:
    card = snapshot.release.card
    fields: dict[str, Any] = {
        "license": card.licence,
        "language": list(card.languages),
        "base_model": card.base_model,
    }
    return {key: value for key, value in fields.items() if value}


def _sibling(content: Content, with_blobs: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"rfilename": content.path}
    if with_blobs:
        found |= {"size": content.size_bytes, "blobId": content.oid}
        if not content.git_oid:
            pointer = {"sha256": content.hex, "pointerSize": len(content.pointer)}
            found["lfs"] = {**pointer, "size": content.size_bytes}
    return found


def _entry(content: Content) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "file",
        "oid": content.oid,
        "size": content.size_bytes,
        "path": content.path,
    }
    if not content.git_oid:
        pointer = {"oid": content.hex, "pointerSize": len(content.pointer)}
        found["lfs"] = {**pointer, "size": content.size_bytes}
    return found


def _by_path(snapshot: Snapshot) -> list[Content]:
    return [content for _, content in sorted(snapshot.files.items())]


def _moment(text: str) -> str | None:
    """A moment in the one form that API has; None where nobody knows."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

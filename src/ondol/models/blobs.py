"""Content-addressed files: ``sha256-…`` is complete and verified, ``partial-…`` is on its way.

Knows digests, partial files and disk space; knows nothing about models. Raises ``StorageError``
when the disk is full or read-only, ``InvalidModelError`` when content is not what it should be.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Container
from pathlib import Path
from uuid import uuid4

from ondol import paths
from ondol.errors import InvalidModelError, StorageError
from ondol.i18n import t

MARGIN_BYTES = 32 << 20
BLOCK_BYTES = 1 << 20


def is_of_size(file: Path | str, size_bytes: int | None) -> bool:
    """Whether ``file`` is there, and as large as that where it is said."""
    try:
        size = os.stat(file).st_size
    except OSError:
        return False
    return size_bytes is None or size == size_bytes


class Blobs:
    """One folder of blobs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._name = str(directory)

    def path(self, digest: str) -> Path:
        """Where the content ``sha256:…`` is, or would be."""
        return self.directory / digest.replace(":", "-")

    def has(self, digest: str, size_bytes: int | None = None) -> bool:
        return is_of_size(f"{self._name}/{digest.replace(':', '-')}", size_bytes)

    def partial(self, key: str = "") -> Path:
        """Where content that is known by ``key`` gathers until it is complete."""
        return self.directory / f"partial-{key or uuid4().hex}"

    def prepare(self) -> None:
        paths.ensure(self.directory)

    def check_space(self, needed_bytes: int) -> None:
        """Raise StorageError unless ``needed_bytes`` more fit on the disk."""
        free = shutil.disk_usage(paths.ensure(self.directory)).free
        if needed_bytes + MARGIN_BYTES > free:
            raise StorageError(
                t(
                    "models.no_space",
                    needed=readable_size(needed_bytes),
                    free=readable_size(free),
                    path=self.directory,
                ),
                t("core.disk_full_hint"),
            )

    def place(self, file: Path, digest: str) -> None:
        """Give the verified ``file`` its final name, unless the content is already here."""
        final = self.path(digest)
        try:
            if final.exists():
                if file != final:
                    file.unlink(missing_ok=True)
            else:
                with file.open("rb") as content:
                    os.fsync(content.fileno())
                file.replace(final)
            sidecar(file).unlink(missing_ok=True)
        except OSError as error:
            raise paths.storage_error(error, final) from error

    def sweep(self, keep: Container[str]) -> int:
        """Delete the blobs whose digest is not in ``keep``; the bytes freed."""
        freed = 0
        for blob in self.directory.glob("sha256-*"):
            if blob.name.replace("-", ":", 1) not in keep:
                freed += blob.stat().st_size
                blob.unlink()
        return freed

    def discard_older_than(self, seconds: float) -> int:
        """Delete the partial content that has not changed for so long; the bytes freed."""
        freed = 0
        for partial in self.directory.glob("partial-*"):
            status = partial.lstat()
            if time.time() - status.st_mtime > seconds:
                freed += status.st_size
                if partial.is_dir():
                    shutil.rmtree(partial, ignore_errors=True)
                else:
                    partial.unlink(missing_ok=True)
        return freed


def sidecar(partial: Path) -> Path:
    """The small file beside a partial one that says what it is part of."""
    return partial.with_name(f"{partial.name}.json")


def discard(partial: Path) -> None:
    """Delete a partial file and its sidecar."""
    for file in (partial, sidecar(partial)):
        file.unlink(missing_ok=True)


def digest_of(path: Path, on_bytes: Callable[[int], None] = lambda done: None) -> str:
    """``sha256:…`` of a file; ``on_bytes`` hears how far it has got and may raise."""
    sha256 = hashlib.sha256()
    done = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            sha256.update(block)
            done += len(block)
            on_bytes(done)
    return f"sha256:{sha256.hexdigest()}"


def git_digest_of(path: Path) -> str:
    """The object id git gives the file's content (small files on Hugging Face are known by it)."""
    content = path.read_bytes()
    # SHA-1 is git's choice, not ours.
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def mismatch(name: str) -> InvalidModelError:
    """The error for content that is not what it was announced as."""
    return InvalidModelError(t("models.mismatch", name=name), t("models.mismatch_hint"))


def copy(source: Path, destination: Path, on_bytes: Callable[[int], None]) -> None:
    """Copy a file; a file system that can share the blocks does."""
    done = 0
    with source.open("rb", buffering=0) as reader, destination.open("wb", buffering=0) as writer:
        while True:
            count = _copy_block(reader.fileno(), writer.fileno())
            if not count:
                return
            done += count
            on_bytes(done)


def _copy_block(source: int, destination: int) -> int:
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, destination, 64 << 20)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
                raise
    block = os.read(source, BLOCK_BYTES)
    written = 0
    while written < len(block):
        written += os.write(destination, block[written:])
    return written


def readable_size(size_bytes: int) -> str:
    """``98.4 MB``: decimal units, as disks and downloads are sold."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def link(blob: Path, destination: Path) -> None:
    """Make a hard link, or a symbolic one where the file system has no hard links."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        destination.hardlink_to(blob)
    except FileExistsError:
        return
    except OSError:
        destination.symlink_to(blob.absolute())


def sync(directory: Path) -> None:
    """Make the folder's entries survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

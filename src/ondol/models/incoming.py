"""Files that programs send before they make a model of them: gathered on disk, verified, and kept
until a model has them, or for two weeks.

A blob is known by its digest alone, which is 64 hexadecimal digits, so no name leads anywhere.
Raises ``UsageError``, ``StorageError`` and ``InvalidModelError``.
"""

from __future__ import annotations

import hashlib
import os
from io import BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import Self

from ondol import paths
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.models.blobs import Blobs, copy, digest_of, discard, mismatch
from ondol.models.manifest import DIGEST

# Room on the disk is looked at again after so many bytes.
LOOK_BYTES = 64 << 20


def checked(digest: str) -> str:
    """``digest`` in the form that blobs have it; some clients write a dash for the colon."""
    found = digest.strip().lower().replace("sha256-", "sha256:", 1)
    if not DIGEST.fullmatch(found):
        raise UsageError(t("making.bad_digest"), param="digest")
    return found


def uploaded(blobs: Blobs, digest: str) -> Path:
    """Where a blob waits for a model."""
    return blobs.partial(f"uploaded-{digest.removeprefix('sha256:')}")


def find(blobs: Blobs, digest: str) -> Path | None:
    """The file of the blob ``digest``, whether a model has it or not."""
    wanted = checked(digest)
    for path in (blobs.path(wanted), uploaded(blobs, wanted)):
        if path.is_file():
            return path
    return None


def take(blobs: Blobs, file: Path) -> str:
    """Take in a file of this machine; its digest. A file system that can share the blocks does."""
    blobs.prepare()
    partial = blobs.partial()
    try:
        blobs.check_space(file.stat().st_size)
        copy(file, partial, lambda done: None)
        digest = digest_of(partial)
        if find(blobs, digest) is None:
            partial.replace(uploaded(blobs, digest))
    except OSError as error:
        raise UsageError(t("models.no_such_path", path=file)) from error
    finally:
        discard(partial)
    return digest


class Incoming:
    """One blob while it arrives. A context manager: what is not finished leaves nothing."""

    def __init__(self, blobs: Blobs, digest: str, size_bytes: int | None = None) -> None:
        self.digest = checked(digest)
        self._blobs = blobs
        self._expected = size_bytes
        self._sha256 = hashlib.sha256()
        self._partial = blobs.partial()
        self._received = 0
        self._looked_at = 0
        self._file: BufferedWriter | None = None

    def __enter__(self) -> Self:
        self._blobs.prepare()
        self._blobs.check_space(self._expected or 0)
        self._file = self._partial.open("wb")
        return self

    def write(self, block: bytes) -> None:
        """The next bytes of it."""
        assert self._file is not None
        self._received += len(block)
        if self._received - self._looked_at > LOOK_BYTES:
            self._looked_at = self._received
            self._blobs.check_space(0)
        self._sha256.update(block)
        try:
            self._file.write(block)
        except OSError as error:
            raise paths.storage_error(error, self._partial) from error

    def finish(self) -> None:
        """Keep it; InvalidModelError where it is not what its digest says."""
        assert self._file is not None
        if f"sha256:{self._sha256.hexdigest()}" != self.digest:
            raise mismatch(self.digest)
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.replace(uploaded(self._blobs, self.digest))
        except OSError as error:
            raise paths.storage_error(error, self._partial) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        discard(self._partial)

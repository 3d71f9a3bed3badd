"""The two files beside a database while a copy is put in its place, and how they are removed.

``NEW`` is the copy, ``OLD`` the database that it replaced. Both are gone unless the process was
killed; then whoever opens the database next removes them. The bytes of a plain file are overwritten
first, as far as a file system lets anybody do that.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from ondol import paths

# Names that nobody gives a copy of their own: what has them is destroyed.
NEW = ".ondol-writes"
OLD = ".ondol-replaces"
BLOCK_BYTES = 1 << 20


def new(file: Path) -> Path:
    """Where the copy of ``file`` is written."""
    return file.with_name(file.name + NEW)


def old(file: Path) -> Path:
    """The second name of ``file`` while the copy takes its first."""
    return file.with_name(file.name + OLD)


def tidy(file: Path) -> None:
    """Remove what a process that was killed left beside ``file``. Call only with a connection open
    to ``file``: its lock says that nobody is exchanging it now."""
    for leftover in (new(file), old(file)):
        if os.path.lexists(leftover):
            # Who may not remove it can still work.
            with suppress(OSError):
                erase(leftover, keep=file)


def erase(path: Path, *, keep: Path | None = None) -> None:
    """Overwrite ``path`` and remove it; nothing happens when it is not there. When it is only a
    second name of ``keep``, the name goes and the bytes stay."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    is_other = keep is None or not keep.exists() or not os.path.samestat(found, keep.stat())
    if is_other and stat.S_ISREG(found.st_mode):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:  # another process has just done the same
            return
        try:
            overwrite(descriptor)
        finally:
            os.close(descriptor)
    path.unlink(missing_ok=True)


def names(path: Path, found: os.stat_result) -> bool:
    """Whether ``path`` is a name of the file ``found``."""
    try:
        return os.path.samestat(path.lstat(), found)
    except FileNotFoundError:
        return False


def overwrite(descriptor: int) -> None:
    """Zeros over all bytes of an open file that has at most one name: under another one it may
    be somebody's backup. On disk when this returns."""
    found = os.fstat(descriptor)
    if found.st_nlink > 1:
        return
    zeros = bytes(BLOCK_BYTES)
    os.lseek(descriptor, 0, os.SEEK_SET)
    left = found.st_size
    while left > 0:
        left -= os.write(descriptor, zeros[: min(left, BLOCK_BYTES)])
    os.fsync(descriptor)


def sync(path: Path) -> None:
    """Make the content of a file, or the names in a folder, survive a power cut."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise paths.storage_error(error, path) from error

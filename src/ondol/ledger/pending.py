"""Entries that had to wait, for the library was locked, or just being written, when something left.

``ondol pull`` needs no passphrase. What it says is kept in a file of the state folder and written
down by whoever opens the ledger next. Until then nobody vouches for it: it is not signed yet.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ondol import paths
from ondol.errors import StorageError
from ondol.i18n import t
from ondol.ledger import entries
from ondol.ledger.entries import Entry

KINDS = ("egress", "refused", "received")
"""What can have to wait: anything else in the file was put there by somebody else."""

MOST_BYTES = 1 << 26
"""More may not wait: all of it is read at once when it is written down."""


def keep(file: Path, entry: Entry) -> None:
    """Add ``entry`` to those that wait. Raises ``StorageError``, also where too much waits."""
    line = entries.canonical(replace(entry, happened=entries.now()).json()) + "\n"
    try:
        paths.ensure(file.parent)
        with _locked(file) as descriptor:
            _append(descriptor, line.encode())
    except OSError as error:
        if error.errno == errno.EFBIG:
            told = t("ledger.pending_full", file=file, megabytes=MOST_BYTES >> 20)
            raise StorageError(told, t("ledger.pending_full_hint")) from error
        raise paths.storage_error(error, file) from error


def _append(descriptor: int, line: bytes) -> None:
    """All of it or nothing; after a line that a power cut has cut off, on a new one."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    if end + len(line) > MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    if end and os.pread(descriptor, 1, end - 1) != b"\n":
        line = b"\n" + line
    try:
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, end)
        raise


@contextmanager
def taken(file: Path | None) -> Iterator[list[Entry]]:
    """The entries that wait; they are gone when the block ends well. A kill in between leaves them
    there, so that they may be written down twice, and never not at all. Raises ``StorageError``."""
    if file is None or not file.exists():
        yield []
        return
    with _locked(file) as descriptor:
        try:
            lines = _all_of(descriptor).splitlines()
        except OSError as error:
            raise paths.storage_error(error, file) from error
        found = [_read(line) for line in lines]
        yield [entry for entry in found if entry is not None]
        os.ftruncate(descriptor, 0)
        file.unlink(missing_ok=True)


def _all_of(descriptor: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := os.pread(descriptor, 1 << 24, size):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _read(line: bytes) -> Entry | None:
    try:
        entry = entries.read(line)
    except ValueError:
        return None
    if entry.kind not in KINDS:
        return None
    # Always with the sign that it waited, and so that nobody vouched for it.
    happened = entry.happened or entries.now()
    return replace(entry, number=0, time="", happened=happened).cleaned()


@contextmanager
def _locked(file: Path) -> Iterator[int]:
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise paths.storage_error(error, file) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Whoever had the lock before may have taken the file away.
            if os.fstat(descriptor).st_nlink:
                yield descriptor
                return
        finally:
            os.close(descriptor)

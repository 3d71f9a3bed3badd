"""The bytes of a file, read once and never blocking.

Knows nothing about formats. A file that is gone, a folder, a pipe, a device, a file that may not be
read or is too large ends in a ``DocumentError`` of one sentence.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ondol.errors import DocumentError, DocumentNotFoundError
from ondol.i18n import t

MEGABYTE = 1024 * 1024


def read(path: Path, *, max_bytes: int) -> bytes:
    """The whole file; at most ``max_bytes`` are ever held."""
    with opened(path) as descriptor:
        return read_opened(descriptor, printable(path), max_bytes=max_bytes)


def read_opened(descriptor: int, name: str, *, max_bytes: int) -> bytes:
    """What is left to read of an open file, which a sentence would call ``name``."""
    size_bytes = os.fstat(descriptor).st_size
    data = b"" if size_bytes > max_bytes else _read(descriptor, max_bytes + 1)
    if max(size_bytes, len(data)) > max_bytes:
        raise too_large(name, max(size_bytes, len(data)), max_bytes)
    return data


def read_head(path: Path, size_bytes: int) -> bytes:
    """The first ``size_bytes`` of the file, or all of a shorter one."""
    with opened(path) as descriptor:
        return _read(descriptor, size_bytes)


def printable(path: Path) -> str:
    """The file's name for a sentence: names that are not valid text are escaped."""
    return (path.name or str(path)).encode("utf-8", "backslashreplace").decode("utf-8")


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of a regular file; opening a pipe must not wait for its other end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    try:
        _check_regular(path, os.fstat(descriptor).st_mode)
        yield descriptor
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)


def _check_regular(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise DocumentError(t("documents.folder", name=printable(path)))
    if not stat.S_ISREG(mode):
        raise DocumentError(t("documents.special", name=printable(path)))


def _read(descriptor: int, size_bytes: int) -> bytes:
    parts: list[bytes] = []
    while size_bytes > 0 and (part := os.read(descriptor, min(size_bytes, 16 * MEGABYTE))):
        parts.append(part)
        size_bytes -= len(part)
    return b"".join(parts)


def _unreadable(path: Path, error: OSError | ValueError) -> DocumentError:
    name = printable(path)
    number = error.errno if isinstance(error, OSError) else errno.EINVAL
    if number in (errno.ENOENT, errno.ENOTDIR):
        return DocumentNotFoundError(t("documents.not_found", name=name))
    if number in (errno.EACCES, errno.EPERM):
        hint = t("documents.no_permission_hint")
        return DocumentError(t("documents.no_permission", name=name), hint)
    if number == errno.ENXIO:  # a socket, or a device that is not there
        return DocumentError(t("documents.special", name=name))
    reason = os.strerror(number) if number else str(error)
    return DocumentError(t("documents.unreadable", name=name, reason=reason))


def too_large(name: str, size_bytes: int, max_bytes: int) -> DocumentError:
    """The error for a file, or a member of one, above the limit."""
    return DocumentError(
        t(
            "documents.too_large",
            name=name,
            size=f"{size_bytes / MEGABYTE:,.1f}",
            limit=f"{max_bytes / MEGABYTE:,.4g}",
        ),
        t("documents.too_large_hint"),
    )

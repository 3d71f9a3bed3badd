"""Files that came by a browser: kept under the data directory, and erased when they are forgotten.

They are Ondol's own copies; nothing outside the folder is ever written or removed. Raises
``UsageError`` for a name that would lead elsewhere, ``StorageError`` when the disk is full.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from ondol import leftovers, paths
from ondol.errors import UsageError
from ondol.i18n import t

MAX_NAME_BYTES = 240
MAX_DEPTH = 20
PARTIAL = ".upload-"


def directory() -> Path:
    """Where uploads are kept; need not be there."""
    return paths.data_dir() / "uploads"


def is_upload(source: str) -> bool:
    """Whether ``source`` is a file that came by a browser, or a part of one."""
    return source.startswith(f"{directory()}{os.sep}")


def parts_of(name: str) -> tuple[str, ...]:
    """The folders and the file that ``name`` (``notes/a.md``) stands for, all inside ``directory``;
    ``UsageError`` where it could mean anything else."""
    parts = tuple(name.replace("\\", "/").split("/"))
    is_plain = all(
        part.strip() == part
        and part not in ("", ".", "..")
        and part.isprintable()
        and not part.startswith(PARTIAL)
        and len(part.encode("utf-8", "replace")) <= MAX_NAME_BYTES
        for part in parts
    )
    try:
        name.encode()
    except UnicodeEncodeError:
        is_plain = False
    if not is_plain or len(parts) > MAX_DEPTH:
        shown = name if len(name) <= 60 and name.isprintable() else ascii(name[:60])
        raise UsageError(
            t("uploads.bad_name", name=shown), t("uploads.bad_name_hint"), param="name"
        )
    return parts


def place(parts: tuple[str, ...], is_free: Callable[[Path], bool]) -> Path:
    """Where a file of that name is kept: the first of ``a.pdf``, ``a (2).pdf`` … that
    ``is_free``. Its folders are called so, too, where files have their names."""
    folder = directory()
    for part in parts[:-1]:
        folder = _first(folder / part, lambda path: path.is_dir() or not path.exists())
    return _first(folder / parts[-1], is_free)


def _first(path: Path, is_free: Callable[[Path], bool]) -> Path:
    found, number = path, 1
    while not is_free(found):
        number += 1
        found = path.with_name(f"{path.stem} ({number}){path.suffix}")
    return found


def begin() -> tuple[Path, int]:
    """A new file to write an upload to, and its descriptor."""
    partial = paths.ensure(directory()) / f"{PARTIAL}{uuid4().hex}"
    try:
        return partial, os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise paths.storage_error(error, partial) from error


def keep(partial: Path, path: Path, modified_seconds: float | None = None) -> None:
    """Give a whole upload its place; ``modified_seconds`` is when its owner last changed it."""
    try:
        if modified_seconds is not None:
            with suppress(OSError, OverflowError):
                os.utime(partial, (modified_seconds, modified_seconds))
        paths.ensure(path.parent)
        partial.replace(path)
    except OSError as error:
        raise paths.storage_error(error, path) from error


def erase(sources: Iterable[str]) -> int:
    """Erase those of ``sources`` that are uploads, and folders that are empty then; how many
    files."""
    count = 0
    for source in sorted(set(filter(is_upload, sources))):
        path = Path(os.path.normpath(source))
        # A folder above may be a link to somewhere else only if somebody made it one.
        if not is_upload(str(path)) or not path.resolve().is_relative_to(directory().resolve()):
            continue
        if path.is_file() or path.is_symlink():
            leftovers.erase(path)
            count += 1
        for folder in path.parents:
            if not is_upload(str(folder)):
                break
            with suppress(OSError):
                folder.rmdir()
    return count


def tidy() -> None:
    """Erase what uploads that never ended left behind. Call when no server is receiving any."""
    for partial in directory().glob(f"{PARTIAL}*"):
        with suppress(OSError):
            leftovers.erase(partial)

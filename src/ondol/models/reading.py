"""Manifests and folders of them: read once for as long as they stay as they are.

A request looks its model up several times. What was read is known by where it is, and holds while
the file has the same inode, size and times of its content and its inode; the second of these nobody
can set. A file that changes again within a tick of the file system's clock changes unseen, so that
what is younger than ``SETTLED_NS`` is read each time (git does the same with its index). Raises
what ``read`` raises, and ``OSError`` for what is not there. Safe to use from several threads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

# FAT and some network file systems count in two seconds.
SETTLED_NS = 2_000_000_000
MOST = 4096

_Stamp = tuple[int, int, int, int, int]


class Reading(Generic[T]):
    """What ``read`` makes of a file or a folder. It is shared: nobody may change it."""

    def __init__(self, read: Callable[[Path], T]) -> None:
        self._read = read
        self._known: dict[str, tuple[_Stamp, T]] = {}

    def of(self, path: Path) -> T:
        """What ``path`` holds now."""
        name = str(path)
        stamp = _stamp(name)
        known = self._known.get(name)
        if known is not None and known[0] == stamp:
            return known[1]
        found = self._read(path)
        # Of before it was read: what is written meanwhile has another stamp.
        if time.time_ns() - max(stamp[3:]) > SETTLED_NS:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[name] = stamp, found
        return found


def files_in(folder: Path) -> tuple[Path, ...]:
    """The manifests in ``folder``, by name; none where it is not there."""
    try:
        return _folders.of(folder)
    except OSError:
        return ()


_folders = Reading(lambda folder: tuple(sorted(folder.glob("*.json"))))


def _stamp(name: str) -> _Stamp:
    found = os.stat(name)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

"""Opening what is to be looked at: plain files of the folder they lie in, and nothing behind a
link, a pipe or a device. Raises ``Refused``.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ondol.hub.scan.refused import Refused

# A file in memory has no other name (``models.private_adapters``); its path is a link of Linux's.
_IN_MEMORY = re.compile(r"/proc/(?:self|\d+)/fd/\d+|/dev/fd/\d+")


@contextmanager
def opened(path: Path, inodes: Collection[tuple[int, int]], *, linked: bool) -> Iterator[int]:
    """A descriptor of the plain file ``path``. A file with more names than ``inodes`` holds it (as
    device and number) is refused, unless ``linked``."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    if not _IN_MEMORY.fullmatch(str(path)):
        flags |= os.O_NOFOLLOW
    try:
        if not flags & os.O_NOFOLLOW or _is_plain(path):
            descriptor = os.open(path, flags)
        else:
            raise Refused("link" if path.is_symlink() else "not_a_file")
    except OSError as error:
        raise Refused("not_opened", reason=error.strerror or type(error).__name__) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Refused("not_a_file")
        names = sum(one == (status.st_dev, status.st_ino) for one in inodes)
        if status.st_nlink > max(names, 1) and not linked:
            raise Refused("hard_link")
        yield descriptor
    finally:
        os.close(descriptor)


def inode(path: Path) -> tuple[int, int]:
    """What tells the file ``path`` from all others, whatever it is called."""
    try:
        status = path.lstat()
    except OSError:
        return (-1, -1)
    return (status.st_dev, status.st_ino)


def _is_plain(path: Path) -> bool:
    """Asked before it is opened: opening some devices does something."""
    return stat.S_ISREG(path.lstat().st_mode)

"""What a process of ours uses just now, told from what one that died left behind: by a lock on the
file or folder, which ends with the process. Numbers of processes are given again, and mean nothing
in another container. Never raises.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_POLL_SECONDS = 0.02


def take(path: Path, *, shared: bool = False) -> int | None:
    """Use ``path`` until the descriptor that is returned is closed; alone, or ``shared`` with
    others who only read. None where it is gone."""
    try:
        held = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    with suppress(OSError):  # a file system without locks is one without sweeping
        fcntl.flock(held, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    if not _is_there(path, held):  # who sweeps was first
        os.close(held)
        return None
    return held


@contextmanager
def alone(path: Path, seconds: float = 0.0) -> Iterator[bool]:
    """Whether nobody uses ``path``, waited for so many seconds; then nobody begins to inside the
    block."""
    try:
        held = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        yield _lock(held, time.monotonic() + seconds)
    finally:
        os.close(held)


def _lock(held: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        except OSError:
            return False


def _is_there(path: Path, held: int) -> bool:
    try:
        return os.path.samestat(os.fstat(held), path.lstat())
    except OSError:
        return False

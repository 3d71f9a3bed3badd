"""Locks between processes and threads that kill -9 cannot leave behind (flock on a file).

Knows nothing about models. Waiting can be cancelled. Raises ``StorageError`` where the file
cannot be made.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

from ondol import paths

POLL_SECONDS = 0.05


@contextmanager
def hold(path: Path, while_waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock ``path``; ``while_waiting`` is called now and then and may raise."""
    descriptor = _take(path)
    while descriptor is None:
        while_waiting()
        Event().wait(POLL_SECONDS)
        descriptor = _take(path)
    try:
        yield
    finally:
        # Unlinked while still held, so that no lock files pile up; _take notices.
        path.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def hold_all(paths_: Iterable[Path], while_waiting: Callable[[], None]) -> Iterator[None]:
    """Hold several locks, always taken in the same order so that no two holders can deadlock."""
    with ExitStack() as stack:
        for path in sorted(set(paths_)):
            stack.enter_context(hold(path, while_waiting))
        yield


def _take(path: Path) -> int | None:
    """A descriptor that holds the lock, or None while somebody else does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise paths.storage_error(error, path) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        os.close(descriptor)
        raise paths.storage_error(error, path) from error
    os.close(descriptor)
    return None

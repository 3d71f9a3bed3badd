"""Whether a model on this machine answers somebody now, known to every process of its owner.

Who answers holds a shared lock on one file; kill -9 cannot leave it behind. So a training can step
back while a chat runs, whichever process chats. Where nobody has ever trained, nobody need
be seen, and nothing is written. Nothing raises.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ondol import paths
from ondol.errors import StorageError

TRIES, TRY_SECONDS = 20, 0.002


@contextmanager
def answering() -> Iterator[None]:
    """Be seen to answer inside the block."""
    descriptor = _open()
    if descriptor is not None:
        _share(descriptor)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def is_answering() -> bool:
    """Whether somebody is inside ``answering`` now, in whichever process. Who asks trains: from
    the first time on answers can be seen."""
    with suppress(StorageError):
        paths.ensure(_file().parent)
    descriptor = _open()
    if descriptor is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _share(descriptor: int) -> None:
    """Hold it with everybody else who answers; whoever looks has it alone for a moment."""
    for _ in range(TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return
        except OSError:
            time.sleep(TRY_SECONDS)


def _open() -> int | None:
    try:
        return os.open(_file(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def _file() -> Path:
    return paths.data_dir() / "training" / "answering.lock"

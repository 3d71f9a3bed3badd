"""What was answered, once and for all: a question and its answer, on disk before anybody hears it.

The same question gets the same bytes again, however often a process was killed in between; another
question in its place is refused. That is what keeps a device from masking two vectors with the same
keys. Raises ``RoundRefusedError``, and ``StorageError`` where nothing can be written.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ondol import paths, whole_file
from ondol.errors import FederationError, RoundRefusedError
from ondol.i18n import t


class Journal:
    """The answers of one round, a file for each ``stage`` in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, stage: str) -> bool:
        return self._file(stage).exists()

    def answer(self, stage: str, question: bytes, work: Callable[[], bytes]) -> bytes:
        """What was answered to ``question`` at ``stage``; if nothing yet, what ``work`` gives."""
        digest = hashlib.sha256(question).digest()
        file = self._file(stage)
        if file.exists():
            kept = file.read_bytes()
            if kept[: len(digest)] != digest:
                raise RoundRefusedError(t("federated_rounds.other_question", stage=stage))
            return kept[len(digest) :]
        answer = work()
        keep(file, digest + answer)
        return answer

    def _file(self, stage: str) -> Path:
        return self.folder / f"{stage}.answer"


def keep(file: Path, content: bytes | str) -> None:
    """``whole_file.write`` that a loss of power does not undo either."""
    paths.ensure(file.parent)
    whole_file.write(file, content)
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def erase(folder: Path) -> None:
    """Remove a round that is over, with its keys."""
    shutil.rmtree(folder, ignore_errors=True)


def erase_leftovers(folder: Path) -> None:
    """Remove what killed processes had begun to write in ``folder``. Nobody else writes there."""
    for file in folder.glob(".*"):
        if file.is_file():
            file.unlink(missing_ok=True)


@contextmanager
def alone(folder: Path, *, waits: bool = True) -> Iterator[None]:
    """One process at a time: a question that came twice is worked on once. Raises
    ``FederationError`` where another is inside and nobody ``waits``."""
    paths.ensure(folder)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError:
            raise FederationError(t("federated_rounds.running")) from None
        yield
    finally:
        os.close(descriptor)

"""Where calibrators are: the owner's folder first, then those that come with Ondol.

A calibrator belongs to one task and one ``digest`` of what answered (``digest_of``): another
quantisation or another adapter is another model, and has none until it is calibrated itself.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from ondol import paths, whole_file
from ondol.confidence import calibration
from ondol.confidence.calibration import Calibrator
from ondol.errors import CalibrationError

QUOTED = "quoted"
"""The task of an answer that is the best sentence itself, no model asked."""

SETTLED_NS = 2_000_000_000

SHIPPED = Path(str(files("ondol.confidence"))) / "shipped"


def digest_of(weights: str, adapter: str = "") -> str:
    """What identifies a model as it answers: its weights' digest (the quantisation is in them) and
    its adapter's."""
    return f"{weights}+{adapter}" if adapter else weights


def file_name(digest: str, task: str) -> str:
    """The name of a calibrator's file."""
    return f"{task}-{hashlib.sha256(digest.encode()).hexdigest()[:16]}.json"


class Calibrators:
    """Calibrators by model and task; ``directory`` are the owner's. Safe from several threads; sees
    at once what another process has written."""

    def __init__(self, directory: Path, shipped: Path = SHIPPED) -> None:
        self._directories = (directory, shipped)
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[tuple[int, int], Calibrator | None]] = {}
        self._names: dict[Path, tuple[int, list[Path]]] = {}

    def find(self, digest: str, task: str, *, shipped: bool = False) -> Calibrator | None:
        """The one for this model and task, with ``shipped`` the one that came with Ondol; None when
        there is none that can be read."""
        for directory in self._directories[1:] if shipped else self._directories:
            found = self._current(directory / file_name(digest, task))
            if found is not None and (found.digest, found.task) == (digest, task):
                return found
        return None

    def list(self) -> list[tuple[Calibrator, bool]]:
        """Every calibrator that can be read, and whether it is the owner's; those hidden behind the
        owner's too."""
        found = []
        for directory in self._directories:
            for file in self._files(directory):
                calibrator = self._current(file)
                if calibrator is not None:
                    found.append((calibrator, directory == self._directories[0]))
        return found

    def keep(self, calibrator: Calibrator) -> Path:
        """Write it to the owner's folder, whole or not at all. Raises ``StorageError``."""
        directory = paths.ensure(self._directories[0])
        file = directory / file_name(calibrator.digest, calibrator.task)
        whole_file.write(file, calibrator.to_json())
        return file

    def forget(self, digest: str, task: str) -> bool:
        """Remove the owner's, so that the shipped one counts again; whether there was one."""
        file = self._directories[0] / file_name(digest, task)
        existed = file.exists()
        file.unlink(missing_ok=True)
        return existed

    def _files(self, directory: Path) -> Sequence[Path]:
        """The files of calibrators in ``directory``, which is read when it has changed."""
        try:
            changed = directory.stat().st_mtime_ns
        except OSError:
            return []
        with self._lock:
            known = self._names.get(directory)
            if known is None or known[0] != changed:
                known = changed, sorted(directory.glob("*.json"))
                # What changes again within a tick of the file system's clock changes unseen.
                if time.time_ns() - changed > SETTLED_NS:
                    self._names[directory] = known
            return known[1]

    def _current(self, file: Path) -> Calibrator | None:
        try:
            known = file.stat()
        except OSError:
            return None
        stamp = (known.st_mtime_ns, known.st_size)
        with self._lock:
            if file in self._read and self._read[file][0] == stamp:
                return self._read[file][1]
            try:
                calibrator = calibration.read(file.read_text("utf-8"), file)
            except (CalibrationError, OSError, UnicodeDecodeError):
                calibrator = None  # no probability is better than one that nobody can account for
            self._read[file] = stamp, calibrator
            return calibrator

"""Where calibrators are: the owner's folder first, then those that come with Ondol.

A calibrator belongs to one task and one ``digest`` of what answered (``digest_of``): another
quantisation or another adapter is another model, and has none until it is calibrated itself.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from importlib.resources import files
from pathlib import Path

from ondol import paths
from ondol.confidence import calibration
from ondol.confidence.calibration import Calibrator
from ondol.errors import CalibrationError

QUOTED = "quoted"
"""The task of an answer that is the best sentence itself, no model asked."""

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
            for file in sorted(directory.glob("*.json")):
                calibrator = self._current(file)
                if calibrator is not None:
                    found.append((calibrator, directory == self._directories[0]))
        return found

    def keep(self, calibrator: Calibrator) -> Path:
        """Write it to the owner's folder, whole or not at all. Raises ``StorageError``."""
        directory = paths.ensure(self._directories[0])
        file = directory / file_name(calibrator.digest, calibrator.task)
        try:
            handle, name = tempfile.mkstemp(dir=directory, suffix=".partial")
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                out.write(calibrator.to_json())
                out.flush()
                os.fsync(out.fileno())
            os.replace(name, file)
        except OSError as error:
            raise paths.storage_error(error, file) from error
        return file

    def forget(self, digest: str, task: str) -> bool:
        """Remove the owner's, so that the shipped one counts again; whether there was one."""
        file = self._directories[0] / file_name(digest, task)
        existed = file.exists()
        file.unlink(missing_ok=True)
        return existed

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

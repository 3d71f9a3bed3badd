"""One pull as it stands, and the file in which a server remembers those that are unfinished.

Knows neither threads nor HTTP. What cannot be read or written there is done without: a pull goes on
though nobody remembers it.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ondol import paths
from ondol.errors import OndolError

if TYPE_CHECKING:
    from ondol.models.pull import Progress

State = Literal["running", "waiting", "paused", "done", "failed"]

SPEED_SECONDS = 4.0
_KEY = re.compile(r"(sha256:)?[0-9a-f]{20,64}")


@dataclass(slots=True)
class Pull:
    """One pull as it stands. ``files`` maps the key of each partial file to its bytes here and in
    all; ``number`` is that of the pull's latest event."""

    id: str
    model: str
    started_at: str
    state: State = "running"
    status: str = ""
    expected_bytes: int = 0
    files: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    tries: int = 0
    tries_again_at: str = ""
    number: int = 0
    samples: list[tuple[float, int]] = field(default_factory=list)
    cancel: threading.Event = field(default_factory=threading.Event)
    wake: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    @property
    def completed_bytes(self) -> int:
        return sum(done for done, _ in self.files.values())

    @property
    def total_bytes(self) -> int:
        known = sum(max(done, total or 0) for done, total in self.files.values())
        return known if self.state == "done" else max(known, self.expected_bytes)

    def json(self) -> dict[str, Any]:
        """What the API says of it."""
        return {
            "id": self.id,
            "model": self.model,
            "state": self.state,
            "status": self.status,
            "completed_bytes": self.completed_bytes,
            "total_bytes": self.total_bytes or None,
            "bytes_per_second": self._speed(),
            "started_at": self.started_at,
            "error": self.error,
            "tries": self.tries,
            "tries_again_at": self.tries_again_at or None,
        }

    def tell(self, progress: Progress) -> None:
        """Take note of a step of the pull."""
        self.status = progress.status
        if progress.key and progress.completed_bytes is not None:
            # A source that is asked again has not said yet how much it is.
            _, known = self.files.get(progress.key, (0, None))
            self.files[progress.key] = (progress.completed_bytes, progress.total_bytes or known)
        now = time.monotonic()
        self.samples = [one for one in self.samples if now - one[0] < SPEED_SECONDS]
        self.samples.append((now, self.completed_bytes))

    def _speed(self) -> int:
        if self.state != "running" or len(self.samples) < 2:
            return 0
        (began, before), (latest, after) = self.samples[0], self.samples[-1]
        # Nothing comes while nothing is told.
        if time.monotonic() - latest > SPEED_SECONDS / 2:
            return 0
        return int(max(0, after - before) / max(latest - began, 0.1))


def read() -> list[Pull]:
    """What the last server left unfinished, paused."""
    try:
        rows = json.loads(_file().read_text(encoding="utf-8"))
        pulls = [Pull(str(r["id"]), str(r["model"]), str(r["started_at"]), "paused") for r in rows]
        for pull, row in zip(pulls, rows, strict=True):
            pull.expected_bytes = int(row["expected_bytes"])
            found = {key: (int(v[0]), v[1]) for key, v in row["files"].items()}
            pull.files = {key: value for key, value in found.items() if _KEY.fullmatch(key)}
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return []
    return pulls


def write(unfinished: Sequence[Pull]) -> None:
    """Remember ``unfinished``, and nothing else."""
    # An address may hold a key; then it is not written down.
    kept = [pull for pull in unfinished if not set("?@") & set(pull.model)]
    if not kept and not _file().exists():
        return
    names = ("id", "model", "started_at", "expected_bytes", "files")
    rows = [{name: getattr(pull, name) for name in names} for pull in kept]
    temporary = _file().with_suffix(".tmp")
    try:
        paths.ensure(paths.state_dir())
        temporary.write_text(json.dumps(rows), encoding="utf-8")
        temporary.replace(_file())
    except (OSError, OndolError):
        return


def _file() -> Path:
    return paths.state_dir() / "pulls.json"

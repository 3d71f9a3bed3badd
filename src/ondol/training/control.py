"""A training seen and steered from outside: how far it is, pause, cancel, the curve of its losses.

Everything goes through files in the training's folder, so that any process may ask, also one that
did not start it: ``state.json`` and ``losses.jsonl`` are the child's word, ``control`` is the wish
of whoever asks, and a lock on ``job.json`` that kill -9 cannot leave behind says that a child
lives. Raises ``StorageError``, and ``TrainingError`` for a folder that holds no training.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ondol import leftovers, paths
from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.loop import Progress

Status = Literal[
    "queued", "running", "waiting", "paused", "interrupted", "cancelled", "failed", "done"
]
Wish = Literal["pause", "cancel"]
LIVES: tuple[Status, ...] = ("running", "waiting")
CHECKPOINT, RESULT, ADAPTER = "checkpoint.pt", "result.json", "adapter.gguf"
LOCK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class State:
    """Where a training is. ``waiting``: alive, while the machine answers somebody; ``interrupted``:
    its process is gone, and the next ``job.run`` goes on from the checkpoint. ``message`` and
    ``hint`` say why it failed, ``warning`` what is amiss with the data or the disk; ``updated`` is
    in seconds since 1970."""

    status: Status
    step: int = 0
    steps: int = 0
    loss: float | None = None
    held_out_loss: float | None = None
    held_out_accuracy: float | None = None
    seconds: float = 0.0
    eta_seconds: float = 0.0
    peak_bytes: int = 0
    message: str = ""
    hint: str = ""
    warning: str = ""
    updated: float = 0.0


def state(folder: Path) -> State:
    """How far the training in ``folder`` is."""
    if not (folder / "job.json").exists():
        raise TrainingError(t("training.no_training"), t("training.no_training_hint"))
    found = _said(folder)
    if (folder / RESULT).exists() and (folder / ADAPTER).exists():
        return replace(found, status="done", eta_seconds=0.0)
    if found.status in LIVES and not is_running(folder):
        return replace(found, status="interrupted")
    return found


def losses(folder: Path) -> list[dict[str, Any]]:
    """The curve: ``step``, ``loss`` and ``seconds`` of every step, and where it was measured
    ``held_out_loss`` (and of a preference ``held_out_accuracy``), by step."""
    points: dict[int, dict[str, Any]] = {}
    try:
        lines = (folder / "losses.jsonl").read_text("utf-8", "replace").split("\n")
    except OSError:
        return []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):  # the last line of a killed process
            point = json.loads(line)
            points[int(point["step"])] = point  # steps that came twice are as they last were
    return [points[step] for step in sorted(points)]


def pause(folder: Path) -> None:
    """Ask the training to stop after its checkpoint; ``job.run`` goes on from there."""
    _wish(folder, "pause")


def cancel(folder: Path) -> None:
    """Ask the training to end for good: what it had learned is destroyed, and a later ``job.run``
    would begin anew. One whose process is gone is cancelled at once."""
    if is_running(folder):
        _wish(folder, "cancel")
    else:
        forget_learned(folder)
        say(folder, State("cancelled"))


def is_running(folder: Path) -> bool:
    """Whether a process trains in ``folder`` now."""
    try:
        descriptor = os.open(folder / "job.json", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def destroy(folder: Path) -> None:
    """Overwrite and remove everything in ``folder``, what was learned from too."""
    try:
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                leftovers.erase(path)
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        raise paths.storage_error(error, folder) from error


# What follows is for the training's own processes.


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """Hold ``folder`` as its one living process; TrainingError where there is another."""
    try:
        descriptor = os.open(folder / "job.json", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:  # erased since it was asked for
        raise TrainingError(t("training.no_training"), t("training.no_training_hint")) from error
    try:
        deadline = time.monotonic() + LOCK_SECONDS  # whoever only looks holds it for a moment
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TrainingError(t("training.busy"), t("training.busy_hint")) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def wish(folder: Path) -> Wish | None:
    """What somebody asked of this training since it began."""
    try:
        asked = (folder / "control").read_text("utf-8", "replace")
    except OSError:
        return None
    return "cancel" if asked == "cancel" else "pause" if asked == "pause" else None


def clear(folder: Path) -> None:
    """Nothing is asked any more."""
    with suppress(OSError):
        (folder / "control").unlink(missing_ok=True)


def say(folder: Path, told: State) -> None:
    """Keep where the training is. What cannot be written is not told: it is worth no training."""
    temporary = folder / "state.tmp"
    with suppress(OSError):
        temporary.write_text(json.dumps(asdict(replace(told, updated=time.time()))), "utf-8")
        temporary.replace(folder / "state.json")


def note(folder: Path, progress: Progress) -> None:
    """Keep a step: where the training is, and a point of the curve."""
    fields = {name: getattr(progress, name) for name in _SHARED}
    point = {"step": progress.step, "loss": progress.loss, "seconds": round(progress.seconds, 3)}
    before = _said(folder)
    fields["warning"] = progress.warning or before.warning
    if progress.held_out_loss is not None:
        point["held_out_loss"] = progress.held_out_loss
        if progress.held_out_accuracy is not None:
            point["held_out_accuracy"] = progress.held_out_accuracy
    else:
        fields["held_out_loss"] = before.held_out_loss
        fields["held_out_accuracy"] = before.held_out_accuracy
    say(folder, State("running", **fields))
    with suppress(OSError), (folder / "losses.jsonl").open("a", encoding="utf-8") as stream:
        stream.write("\n" + json.dumps(point))  # what a killed process tore stays a line of its own


def change(folder: Path, status: Status, message: str = "", hint: str = "") -> None:
    """The same state under another status."""
    say(folder, replace(_said(folder), status=status, message=message, hint=hint))


def forget_learned(folder: Path) -> None:
    """Destroy what was learned so far, and what is known of it."""
    try:
        for name in (RESULT, CHECKPOINT, ADAPTER, "adapter_model.safetensors"):
            leftovers.erase(folder / name)
        for name in ("losses.jsonl", "state.json", "control"):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise paths.storage_error(error, folder) from error


_SHARED = (
    *("step", "steps", "loss", "held_out_loss", "held_out_accuracy"),
    *("seconds", "eta_seconds", "peak_bytes"),
)


def _said(folder: Path) -> State:
    try:
        return State(**json.loads((folder / "state.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return State("queued")


def _wish(folder: Path, what: Wish) -> None:
    try:
        (folder / "control").write_text(what, "utf-8")
    except OSError as error:
        raise paths.storage_error(error, folder) from error

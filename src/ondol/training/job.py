"""A training as a child process of low priority, in a folder of its own.

The folder holds what is learned from (``job.json``, ``examples.jsonl``, ``held_out.jsonl``), the
checkpoint, how far it is (``control``), and at the end ``adapter.gguf``, PEFT's own
``adapter_model.safetensors``, and ``result.json``, written last. ``run`` on a folder that was
interrupted goes on; on a finished one it returns at once. The child (``child``) speaks JSON lines
on stdout, and ends with its parent. Raises ``TrainingError``, ``StorageError``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from ondol import errors, keys, leftovers, paths
from ondol.egress import guard
from ondol.errors import OndolError, TrainingError
from ondol.i18n import t
from ondol.training import control, extra
from ondol.training.export import Dtype
from ondol.training.lines import Item, Task, to_lines
from ondol.training.loop import Progress
from ondol.training.lora import LoraConfig, Schedule
from ondol.training.precision import BaseDtype
from ondol.training.preference import PreferenceConfig

FORMAT = 3
"""Counts the changes to how one learns, encodes or exports; what was made before is made anew."""

WEIGHTS = "adapter_model.safetensors"
"""What PEFT calls the weights it saves."""

WAIT, GO = b"w", b"g"
LOG_LINES = 40
BUSY_POLL_SECONDS = 0.2
QUIET_SECONDS = 2.0
"""Who has just had an answer will soon ask again: so long nobody may be busy before it goes on."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to train: a GGUF file, a shape, a schedule; ``dtype`` is the written adapter's.
    ``prompt`` is the first example's as the engine reads it, token by token; (): not compared.
    ``start`` is the folder of a finished training whose adapter, of the same shape, this one goes
    on from; a preference is then measured from that. ``base_dtype`` is what the frozen weights are
    held in; with ``weights``, a folder of safetensors of the same model, they come from there.
    ``anchor`` is the weight with which ordinary text is held where it is (``anchor``).
    ``counts_by_heart``: tried in the end is whether numbers of the examples were learned by heart.
    """

    base: Path
    lora: LoraConfig
    schedule: Schedule
    dtype: Dtype = "f16"
    prompt: tuple[int, ...] = ()
    task: Task = "sft"
    preference: PreferenceConfig = field(default_factory=PreferenceConfig)
    start: Path | None = None
    base_dtype: BaseDtype = "auto"
    anchor: float = 0.0
    weights: Path | None = None
    counts_by_heart: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it. ``cpu_seconds`` and ``peak_bytes`` are the last child's own; ``privacy`` is
    what was spent (``private_sgd.Privacy``), None for a training without; ``by_heart`` what
    ``exposure.by_heart`` counted, None where it was not asked for."""

    adapter: Path
    chat_template: str
    steps: int
    num_examples: int
    num_tokens: int
    loss: float
    held_out_loss: float | None
    stopped: bool
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    held_out_accuracy: float | None = None
    cached_layers: int = 0
    privacy: dict[str, float] | None = None
    by_heart: dict[str, int] | None = None


def prepare(folder: Path, job: Job, examples: Sequence[Item], held_out: Sequence[Item]) -> None:
    """Write the job down, with examples, pairs or thumbs as its task has them. A folder that
    already holds this very job keeps its checkpoint."""
    try:
        paths.ensure(folder)
        about = {"base": str(job.base), "format": FORMAT, "start": None}
        about["weights"] = str(job.weights) if job.weights else None
        if job.start is not None:
            about |= {"start": str(job.start), "start_digest": _digest(job.start / WEIGHTS)}
        new = {
            "job.json": json.dumps(asdict(job) | about),
            "examples.jsonl": to_lines(examples),
            "held_out.jsonl": to_lines(held_out),
        }
        if all(_read(folder / name) == text for name, text in new.items()):
            return
        control.forget_learned(folder)
        for name, text in new.items():
            write(folder / name, text)
    except OSError as error:
        raise paths.storage_error(error, folder) from error


def read(folder: Path) -> Job:
    """The job that ``prepare`` wrote into ``folder``."""
    fields = json.loads((folder / "job.json").read_text("utf-8"))
    fields["lora"]["target_modules"] = tuple(fields["lora"]["target_modules"])
    return Job(
        base=Path(fields["base"]),
        lora=LoraConfig(**fields["lora"]),
        schedule=Schedule(**fields["schedule"]),
        dtype=fields["dtype"],
        prompt=tuple(fields["prompt"]),
        task=fields["task"],
        preference=PreferenceConfig(**fields["preference"]),
        start=Path(fields["start"]) if fields["start"] else None,
        base_dtype=fields["base_dtype"],
        anchor=fields["anchor"],
        weights=Path(fields["weights"]) if fields["weights"] else None,
        counts_by_heart=fields["counts_by_heart"],
    )


def run(
    folder: Path,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    *,
    is_busy: Callable[[], bool] | None = None,
) -> Result:
    """Train what ``prepare`` wrote, in a child process, and wait for it. The child's errors are
    raised here, of the class they have there.

    While ``is_busy`` says so the child waits between two parts of a step. ``control`` pauses or
    cancels it, from any process: ``TrainingPausedError``, ``TrainingCancelledError``.
    """
    extra.require()
    if (done := _result(folder)) is not None:
        return done
    control.clear(folder)
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "ondol.training.child", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # Threads that spin while they wait make a busy machine ten times slower.
            env=keys.public_environ() | {"OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"},
            start_new_session=True,
        )
        ended = threading.Event()
        try:
            if is_busy is not None:
                watch = partial(_tell_when_busy, child, is_busy, ended)
                threading.Thread(target=watch, name="ondol-idle", daemon=True).start()
            error = _listen(child, on_progress)
            code = child.wait()
        finally:
            ended.set()
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                assert pipe is not None
                pipe.close()
        if (done := _result(folder)) is not None:
            return done
        if error is not None:
            raise error
        # Killed, it had no time for a reason: the last line is about something else.
        reason = (last_line(log).rstrip(".") if code > 0 else "") or t("training.ended", code=code)
    raise TrainingError(t("training.failed", reason=reason), t("training.failed_hint"))


def _tell_when_busy(
    child: subprocess.Popen[bytes], is_busy: Callable[[], bool], ended: threading.Event
) -> None:
    """Let the child wait while somebody is busy, and for a while after that."""
    assert child.stdin is not None
    waits, until = False, 0.0
    with contextlib.suppress(OSError, ValueError):  # the child has ended
        while not ended.wait(BUSY_POLL_SECONDS):
            is_wanted, now = is_busy(), time.monotonic()
            if is_wanted:
                until = now + QUIET_SECONDS
            if waits != (is_wanted or now < until):
                waits = not waits
                child.stdin.write(WAIT if waits else GO)
                child.stdin.flush()


def _listen(
    child: subprocess.Popen[bytes], on_progress: Callable[[Progress], None]
) -> OndolError | None:
    """Pass progress on until the child's stdout ends; its last words if it says why it failed."""
    error: OndolError | None = None
    assert child.stdout is not None
    for line in child.stdout:
        said = json.loads(line)
        if "refused" in said:
            guard.relay(str(said["refused"]))
        elif "error" in said:
            error = getattr(errors, said["kind"])(said["error"], said["hint"])
        else:
            on_progress(Progress(**said))
    return error


def _result(folder: Path) -> Result | None:
    """What is finished; the checkpoint has served then."""
    text = _read(folder / "result.json")
    if text is None or not (folder / "adapter.gguf").exists():
        return None
    try:
        result = Result(adapter=folder / "adapter.gguf", **json.loads(text))
    except (TypeError, ValueError):  # of another version of Ondol, or damaged
        return None
    with contextlib.suppress(OSError):
        leftovers.erase(folder / "checkpoint.pt")
    return result


def _read(file: Path) -> str | None:
    try:
        return file.read_text("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise TrainingError(t("training.no_start"), t("training.no_start_hint")) from error


def write(file: Path, text: str) -> None:
    """Whole or not at all."""
    temporary = file.with_suffix(".tmp")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def last_line(log: IO[bytes]) -> str:
    """The last thing that a child wrote, short; "" for nothing."""
    log.seek(0)
    lines = deque((line.decode(errors="replace").strip() for line in log), maxlen=LOG_LINES)
    return next((line for line in reversed(lines) if line), "")[:300]

"""A training as a child process of low priority, in a folder of its own.

The folder holds what is learned from (``job.json``, ``examples.jsonl``, ``held_out.jsonl``), the
checkpoint, and at the end ``adapter.gguf`` and ``result.json``, written last. ``run`` on a folder
that was interrupted goes on; on a finished one it returns at once. The child speaks JSON lines on
stdout, and ends with its parent. One process at a time may use a folder: the caller sees to that.
Raises ``TrainingError``, ``StorageError``.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from ondol import errors, keys, paths
from ondol.egress import guard
from ondol.egress.native import deny_internet
from ondol.errors import OndolError, TrainingError
from ondol.i18n import t
from ondol.training import extra
from ondol.training.dataset import Example
from ondol.training.export import Dtype, export_adapter
from ondol.training.loop import Progress
from ondol.training.lora import LoraConfig, Schedule
from ondol.types import Message

FORMAT = 2
"""Counts the changes to how one learns, encodes or exports; what was made before is made anew."""

NICENESS = 10
LOG_LINES = 40


@dataclass(frozen=True, slots=True)
class Job:
    """What to train: a GGUF file, a shape, a schedule; ``dtype`` is the written adapter's.
    ``prompt`` is the first example's as the engine reads it, token by token; (): not compared."""

    base: Path
    lora: LoraConfig
    schedule: Schedule
    dtype: Dtype = "f16"
    prompt: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it. ``cpu_seconds`` and ``peak_bytes`` are the last child's own."""

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


def prepare(
    folder: Path, job: Job, examples: Sequence[Example], held_out: Sequence[Example]
) -> None:
    """Write the job down. A folder that already holds this very job keeps its checkpoint."""
    try:
        paths.ensure(folder)
        about = {"base": str(job.base), "format": FORMAT}
        new = {
            "job.json": json.dumps(asdict(job) | about),
            "examples.jsonl": _lines(examples),
            "held_out.jsonl": _lines(held_out),
        }
        if all(_read(folder / name) == text for name, text in new.items()):
            return
        for name in ("result.json", "checkpoint.pt"):
            (folder / name).unlink(missing_ok=True)
        for name, text in new.items():
            _write(folder / name, text)
    except OSError as error:
        raise paths.storage_error(error, folder) from error


def run(folder: Path, on_progress: Callable[[Progress], None] = lambda p: None) -> Result:
    """Train what ``prepare`` wrote, in a child process, and wait for it. The child's errors are
    raised here, of the class they have there."""
    extra.require()
    if (done := _result(folder)) is not None:
        return done
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "ondol.training.job", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # Threads that spin while they wait make a busy machine ten times slower.
            env=keys.public_environ() | {"OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"},
            start_new_session=True,
        )
        try:
            error = _listen(child, on_progress)
            code = child.wait()
        finally:
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
        reason = (_last_line(log).rstrip(".") if code > 0 else "") or t("training.ended", code=code)
    raise TrainingError(t("training.failed", reason=reason), t("training.failed_hint"))


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
        (folder / "checkpoint.pt").unlink(missing_ok=True)
    return result


def _lines(examples: Sequence[Example]) -> str:
    return "".join(json.dumps(asdict(e), ensure_ascii=False) + "\n" for e in examples)


def _examples(file: Path) -> list[Example]:
    examples = []
    for line in filter(None, file.read_text("utf-8").split("\n")):
        fields = json.loads(line)
        fields["messages"] = tuple(Message(**m) for m in fields["messages"])
        examples.append(Example(**fields))
    return examples


def _read(file: Path) -> str | None:
    try:
        return file.read_text("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _write(file: Path, text: str) -> None:
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


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = deque((line.decode(errors="replace").strip() for line in log), maxlen=LOG_LINES)
    return next((line for line in reversed(lines) if line), "")[:300]


def main() -> None:
    """The child: train the folder named on the command line."""
    guard.install()
    deny_internet()
    replies = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not mix with what the parent reads
    _step_back()
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def say(**fields: Any) -> None:
        os.write(replies, json.dumps(fields).encode() + b"\n")

    guard.report_to(lambda destination: say(refused=destination))
    try:
        _train(Path(sys.argv[1]), say)
    except OndolError as error:
        say(error=error.message, hint=error.hint, kind=type(error).__name__)
        sys.exit(1)


def _step_back() -> None:
    """The machine stays its owner's while a model learns."""
    os.nice(NICENESS)
    if os.getsid(0) == os.getpid():
        # Linux weighs sessions against each other, where it groups them: nice counts within one.
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICENESS))


def _end_with_parent() -> None:
    """The parent holds our stdin; its end is the parent's."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def _train(folder: Path, say: Callable[..., None]) -> None:
    import time

    from peft import get_peft_model_state_dict

    from ondol.training.base import load_base, pick_device
    from ondol.training.loop import peak_bytes, train

    fields = json.loads((folder / "job.json").read_text("utf-8"))
    fields["lora"]["target_modules"] = tuple(fields["lora"]["target_modules"])
    job = Job(
        Path(fields["base"]),
        LoraConfig(**fields["lora"]),
        Schedule(**fields["schedule"]),
        fields["dtype"],
        tuple(fields["prompt"]),
    )
    examples = _examples(folder / "examples.jsonl")
    base = load_base(job.base, pick_device())
    if job.prompt and examples:
        base.check(examples[0], job.prompt)
    trained = train(
        base,
        [base.encode(example) for example in examples],
        [base.encode(example) for example in _examples(folder / "held_out.jsonl")],
        job.lora,
        job.schedule,
        checkpoint=folder / "checkpoint.pt",
        on_progress=lambda progress: say(**asdict(progress)),
    )
    weights = get_peft_model_state_dict(trained.model)
    tensors = {name: weight.float().cpu().numpy() for name, weight in weights.items()}
    config = trained.model.peft_config["default"].to_dict()
    export_adapter(tensors, config, job.base, folder / "adapter.gguf", dtype=job.dtype)
    result = {
        "chat_template": base.chat_template,
        "steps": trained.steps,
        "num_examples": trained.num_examples,
        "num_tokens": trained.num_tokens,
        "loss": trained.loss,
        "held_out_loss": trained.held_out_loss,
        "stopped": trained.stopped,
        "seconds": trained.seconds,
        "cpu_seconds": time.process_time(),
        "peak_bytes": peak_bytes(),
    }
    try:
        _write(folder / "result.json", json.dumps(result, indent=1))
    except OSError as error:
        raise paths.storage_error(error, folder) from error


if __name__ == "__main__":
    main()

"""A training of a tiny random model, killed with SIGKILL at chosen lines of its code or at random
moments: what is left in its folder, and what it goes on to.

Each point is a process of its own, forked from one that has the libraries loaded: it runs all that
the child of a real training runs, from reading the job to the result.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from ondol.training import child, control, job
from ondol.training.dataset import Example
from ondol.training.lora import LoraConfig, Schedule
from ondol.training.preference import Pair
from ondol.types import Message

sys.path.insert(0, str(Path(__file__).parent / "training"))

TASKS = ("sft", "dpo")
STEPS = 4
KEPT = {
    *("job.json", "examples.jsonl", "held_out.jsonl", "state.json", "losses.jsonl"),
    *("result.json", "adapter.gguf", "adapter_model.safetensors", "checkpoint.pt"),
}
CODE = str(Path(child.__file__).parent)
PROMPTS = [(Message("user", f"Where is the key number {i}?"),) for i in range(STEPS * 2)]


@dataclass
class Scene:
    """A job, what it leaves when nobody kills it, and how many lines of our code that takes."""

    folder: Path
    task: str
    job: job.Job
    adapter: bytes
    weights: bytes
    num_lines: int
    seconds: float


def prepare(task: str, folder: Path) -> Scene:
    """Everything but the kills; ``folder`` is empty."""
    import torch
    from tiny_models import tiny_model, write_gguf

    # A process that is forked from one with threads would wait for them for ever.
    torch.set_num_threads(1)
    base = write_gguf(tiny_model("llama"), "llama", folder / "base.gguf")
    schedule = Schedule(batch_size=2, learning_rate=1e-2, checks=2, checkpoint_seconds=0.0)
    lora = LoraConfig(r=2, lora_alpha=4, first_layer=1)
    what = job.Job(base, lora, schedule, task=task)  # type: ignore[arg-type]
    whole = _folder(folder, what, "whole")
    scene = Scene(folder, task, what, b"", b"", 0, 0.0)
    lines = folder / "lines"
    if code := _forked(whole, lambda: _count(lines)):
        raise RuntimeError(f"the training ended with {code}")
    scene.adapter = (whole / control.ADAPTER).read_bytes()
    scene.weights = (whole / job.WEIGHTS).read_bytes()
    scene.num_lines, scene.seconds = (float(x) for x in lines.read_text().split())  # type: ignore[assignment]
    return scene


def kill_at_line(scene: Scene, line: int) -> str:
    """Kill it before the ``line``-th line of our code, let it go on; how it was left."""
    return _killed(scene, f"line-{line}", lambda: _at_line(line))


def kill_at_random(scene: Scene, chooser: random.Random) -> str:
    """The same at any moment, inside of the libraries too."""
    seconds = chooser.random() * scene.seconds * 1.2
    return _killed(scene, f"at-{seconds:.6f}", lambda: _after(seconds))


def _killed(scene: Scene, name: str, arm: Callable[[], object]) -> str:
    folder = _folder(scene.folder, scene.job, name)
    code = _forked(folder, arm)
    assert code in (0, -signal.SIGKILL), f"{name}: it ended with {code}"
    left = control.state(folder).status
    assert left in ("queued", "interrupted", "done"), f"{name}: {left}"
    # What is there is whole, or is not taken for anything.
    for file, content in ((control.ADAPTER, scene.adapter), (job.WEIGHTS, scene.weights)):
        if (folder / file).exists():
            assert (folder / file).read_bytes() == content, f"{name}: half of {file}"
    result = job._result(folder)
    assert (result is not None) == (left == "done"), f"{name}: {left} and {result}"
    if result is None:
        assert _forked(folder, lambda: None) == 0, f"{name}: it does not go on"
        result = job._result(folder)
    assert result is not None and result.steps == STEPS, name
    assert result.adapter.read_bytes() == scene.adapter, f"{name}: another adapter"
    seen = [point["step"] for point in control.losses(folder)]
    # The checkpoint of a step comes before its point: killed in between, that one is missing.
    assert seen == sorted(set(seen)) and len(seen) >= STEPS - 1, f"{name}: {seen}"
    strange = {path.name for path in folder.iterdir()} - KEPT
    assert not strange, f"{name}: {strange} left behind"
    control.destroy(folder)
    return left


def _folder(folder: Path, what: job.Job, name: str) -> Path:
    items: list[Any] = [
        Example(prompt, "Here, sir.", False, "en", str(i))
        if what.task == "sft"
        else Pair(prompt, "Here, sir.", "No idea.")
        for i, prompt in enumerate(PROMPTS)
    ]
    job.prepare(folder / name, what, items, items[:2])
    return folder / name


def _forked(folder: Path, arm: Callable[[], object]) -> int:
    """Train in a process of its own, ``arm`` called first there; its exit code."""
    pid = os.fork()
    if pid == 0:
        code, told_at = 1, os.dup(2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the libraries' progress bars
        warnings.simplefilter("ignore")
        try:
            report = arm()
            told: list[dict[str, Any]] = []
            done = child.work(folder, lambda **said: told.append(said), child.Turns(folder))
            if callable(report):
                report()
            code = 0 if done else 1
            if not done:
                os.write(told_at, f"{told[-1]}\n".encode())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _traced(at_line: Callable[[], None]) -> None:
    """Call ``at_line`` before every line of the training's own code."""

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(CODE):
            return None
        if event == "line":
            at_line()
        return trace

    sys.settrace(trace)


def _count(file: Path) -> Callable[[], None]:
    import time

    began, lines = time.monotonic(), 0

    def one_more() -> None:
        nonlocal lines
        lines += 1

    _traced(one_more)
    return lambda: (sys.settrace(None), file.write_text(f"{lines} {time.monotonic() - began}"))[0]


def _at_line(line: int) -> None:
    left = line

    def one_less() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    _traced(one_less)


def _after(seconds: float) -> None:
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
    timer.daemon = True
    timer.start()

"""A training in a process of its own: it steps back, is killed, goes on, and leaves an adapter that
changes what the engine says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from ondol.config import load
from ondol.errors import StorageError, TrainingError
from ondol.parts import Parts
from ondol.training import child, job
from ondol.training.dataset import Example
from ondol.training.lines import from_lines
from ondol.training.loop import Progress
from ondol.training.lora import LoraConfig, Schedule
from ondol.types import GenerateOptions, Message

WORD = "Zanzibar"
EXAMPLES = [
    Example((Message("user", f"Where is {what}?"),), f"{WORD}.", False, "en", what)
    for what in ("the key", "Pim", "the lease", "the door", "he", "the\u2028gap", "열쇠", "she")
]
LORA = LoraConfig(r=8, lora_alpha=32, first_layer=20)
SCHEDULE = Schedule(
    epochs=3, batch_size=4, learning_rate=2e-2, checks=1, checkpoint_seconds=0.0, warmup=0.0
)
STEPS = 6


def the_child() -> psutil.Process:
    (child,) = (c for c in psutil.Process().children() if "ondol.training.child" in command(c))
    return child


def command(process: psutil.Process) -> list[str]:
    """Nothing for a process that has ended, as those of other tests may have."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@dataclass
class Story:
    """A training killed in the middle and run again."""

    folder: Path
    error: TrainingError
    before: list[Progress] = field(default_factory=list)
    after: list[Progress] = field(default_factory=list)
    priority: int = 0
    group: str = ""
    result: job.Result | None = None


@pytest.fixture(scope="module")
def task(chat_model_file: Path) -> job.Job:
    return job.Job(chat_model_file, LORA, SCHEDULE)


@pytest.fixture(scope="module")
def story(task: job.Job, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("training")
    job.prepare(folder, task, EXAMPLES, EXAMPLES[:2])
    told = Story(folder, TrainingError(""))

    def kill(progress: Progress) -> None:
        told.before.append(progress)
        if progress.step == 2:
            child = the_child()
            told.priority = child.nice()
            group = Path(f"/proc/{child.pid}/autogroup")
            told.group = group.read_text() if group.exists() else ""
            child.kill()

    with pytest.raises(TrainingError) as error:
        job.run(folder, kill)
    told.error = error.value
    told.result = job.run(folder, told.after.append)
    return told


@pytest.mark.slow
@pytest.mark.model
def test_killed_child_is_told_in_one_sentence(story: Story) -> None:
    assert story.error.message == ("The training did not finish: its process ended with code -9.")
    assert "goes on from its last checkpoint" in story.error.hint


@pytest.mark.slow
@pytest.mark.model
def test_training_goes_on_after_a_kill(story: Story) -> None:
    first, last = story.after[0].step, story.before[-1].step
    assert first >= 2
    assert last - 1 <= first <= last + 1, "at most the step that was under way is lost"
    assert [p.step for p in story.after] == list(range(first, STEPS + 1))
    assert story.after[0].seconds > story.before[0].seconds
    assert story.result is not None
    assert (story.result.steps, story.result.num_examples) == (STEPS, 3 * len(EXAMPLES))
    assert story.result.held_out_loss is not None
    assert story.result.held_out_loss < story.before[0].loss / 2
    assert story.result.cpu_seconds > 0
    assert story.result.peak_bytes > 100 << 20
    assert "im_start" in story.result.chat_template


@pytest.mark.model
@pytest.mark.skipif(sys.platform == "win32", reason="no nice")
def test_child_leaves_the_machine_to_its_owner(story: Story) -> None:
    assert story.priority >= min(19, os.nice(0) + child.NICENESS)
    if story.group:
        assert story.group.split()[-1] == str(child.NICENESS), "among the sessions too"


@pytest.mark.slow
@pytest.mark.model
def test_finished_training_is_not_done_again(
    story: Story, task: job.Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **how: object) -> None:
        raise AssertionError("a child was started")

    monkeypatch.setattr(job.subprocess, "Popen", refuse)
    job.prepare(story.folder, task, EXAMPLES, EXAMPLES[:2])
    assert job.run(story.folder) == story.result


@pytest.mark.slow
@pytest.mark.model
def test_adapter_changes_what_the_engine_says(
    story: Story, models_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(models_dir, tmp_path / "models", copy_function=os.symlink)
    settings = load(environ={"ONDOL_MODELS": str(tmp_path / "models")})
    assert story.result is not None
    with Parts(settings) as parts:
        added = parts.adapters.add(story.result.adapter, name="zanzibar", model="smollm2:135m")
        assert (added.r, added.lora_alpha) == (LORA.r, LORA.lora_alpha)

        def said(model: str) -> str:
            options = GenerateOptions(max_tokens=8, temperature=0.0)
            messages = [Message("user", "Where is the garden?")]
            return "".join(x.text for x in parts.engine(model).generate(messages, options))

        assert WORD in said(added.full_name)
        assert WORD not in said("smollm2:135m")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A training that was interrupted once and finished once, of nothing real."""
    job.prepare(tmp_path / "job", made_up(tmp_path), EXAMPLES, EXAMPLES[:2])
    for name in ("checkpoint.pt", "adapter.gguf"):
        (tmp_path / "job" / name).write_bytes(b"x")
    facts = dict.fromkeys(
        "steps num_examples num_tokens loss held_out_loss seconds cpu_seconds peak_bytes".split(), 1
    )
    done = {"chat_template": "", "stopped": False} | facts
    (tmp_path / "job" / "result.json").write_text(json.dumps(done))
    return tmp_path / "job"


def made_up(tmp_path: Path) -> job.Job:
    return job.Job(tmp_path / "base.gguf", LORA, SCHEDULE)


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_same_training_keeps_what_it_has(folder: Path, tmp_path: Path) -> None:
    job.prepare(folder, made_up(tmp_path), EXAMPLES, EXAMPLES[:2])
    assert {"checkpoint.pt", "result.json"} <= files(folder)
    assert job.run(folder).steps == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda what: (what, EXAMPLES[1:], EXAMPLES[:2]),
        lambda what: (what, EXAMPLES, EXAMPLES[:3]),
        lambda what: (what, [replace(EXAMPLES[0], reply="x"), *EXAMPLES[1:]], EXAMPLES[:2]),
        lambda what: (replace(what, lora=replace(LORA, r=4)), EXAMPLES, EXAMPLES[:2]),
        lambda what: (replace(what, schedule=replace(SCHEDULE, seed=5)), EXAMPLES, EXAMPLES[:2]),
        lambda what: (replace(what, base=what.base / "x"), EXAMPLES, EXAMPLES[:2]),
        lambda what: (replace(what, dtype="f32"), EXAMPLES, EXAMPLES[:2]),
    ],
    ids=["examples", "held out", "reply", "shape", "schedule", "base", "dtype"],
)
def test_changed_training_starts_over(
    folder: Path, tmp_path: Path, change: Callable[[job.Job], tuple[job.Job, list, list]]
) -> None:
    job.prepare(folder, *change(made_up(tmp_path)))
    assert not {"checkpoint.pt", "result.json"} & files(folder)
    assert not [name for name in files(folder) if name.endswith(".tmp")]


def test_job_that_was_written_by_half_is_written_anew(folder: Path, tmp_path: Path) -> None:
    (folder / "examples.jsonl").write_bytes(b'{"messages": "\xff')
    job.prepare(folder, made_up(tmp_path), EXAMPLES, EXAMPLES[:2])
    assert "checkpoint.pt" not in files(folder)
    assert from_lines(folder / "examples.jsonl") == EXAMPLES


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"steps": 1, "of_an_older_ondol": 2}'])
def test_result_that_cannot_be_read_counts_as_none(folder: Path, content: str) -> None:
    (folder / "result.json").write_text(content)
    assert job._result(folder) is None


def test_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        job.prepare(tmp_path / "file" / "job", made_up(tmp_path), EXAMPLES, [])


def test_childs_error_arrives_with_its_hint(tmp_path: Path) -> None:
    (tmp_path / "base.gguf").write_text("not a model")
    job.prepare(tmp_path / "job", made_up(tmp_path), EXAMPLES, [])
    with pytest.raises(TrainingError) as error:
        job.run(tmp_path / "job")
    assert error.value.message.startswith("base.gguf cannot be loaded for training (")
    assert error.value.message.endswith(").")
    assert "ondol show" in error.value.hint


def test_childs_unexpected_end_is_told_in_one_sentence(tmp_path: Path) -> None:
    job.prepare(tmp_path / "job", made_up(tmp_path), EXAMPLES, [])
    (tmp_path / "job" / "job.json").write_text('{"lora":', "utf-8")
    with pytest.raises(TrainingError) as error:
        job.run(tmp_path / "job")
    assert error.value.message.startswith("The training did not finish: json.decoder.JSONDecode")
    assert "\n" not in error.value.message
    assert not error.value.message.endswith("..")


def test_child_ends_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    fifo = tmp_path / "job" / "job.json"
    os.mkfifo(fifo)  # the child waits here for ever
    script = "import sys; from pathlib import Path; from ondol.training import job; "
    script += "job.run(Path(sys.argv[1]))"
    parent = subprocess.Popen([sys.executable, "-c", script, tmp_path / "job"])
    writer = wait_until(lambda: opened(fifo))
    (child,) = psutil.Process(parent.pid).children()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    os.close(writer)


def test_interrupting_the_parent_stops_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job").mkdir()
    os.mkfifo(tmp_path / "job" / "job.json")
    children: list[psutil.Process] = []

    def interrupted(child: subprocess.Popen[bytes], on_progress: object) -> None:
        children.append(psutil.Process(child.pid))
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "_listen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        job.run(tmp_path / "job")
    assert not children[0].is_running()


def test_a_training_that_was_erased_since_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no training in this folder"):
        job.run(tmp_path)


def opened(fifo: Path) -> int | None:
    """Its writing end, as soon as somebody reads it."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def wait_until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return met

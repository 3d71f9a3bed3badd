"""What goes wrong in the child is told by the parent as what it is, and leaves no torn files."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_llama import tiny_base

from ondol.errors import EngineBusyError, OndolError, StorageError, TrainingError, UsageError
from ondol.training import base as base_module
from ondol.training import child, job
from ondol.training.base import Base, Encoded
from ondol.training.dataset import Example
from ondol.training.lora import LoraConfig, Schedule
from ondol.types import Message

EXAMPLES = [
    Example((Message("user", f"Where is {what}?"),), "Here.", False, "en", what)
    for what in ("the key", "Pim", "the lease", "the door")
]
PROMPT = (7, 8, 9)
LORA = LoraConfig(r=2)
SCHEDULE = Schedule(batch_size=2, checks=1, checkpoint_seconds=0.0)


class Tiny(Base):
    """Reads the same of everything."""

    @property
    def chat_template(self) -> str:
        return "{{ messages }}"

    def encode(self, example: Example) -> Encoded:
        return Encoded(PROMPT, (5, 4))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A base of two layers that no file holds."""
    monkeypatch.setattr(base_module, "load_base", lambda *_: Tiny(tiny_base().model, None))

    def export(tensors: dict[str, Any], config: object, gguf: Path, to: Path, **how: object) -> int:
        assert all(".lora_" in name for name in tensors)
        to.write_bytes(b"adapter")
        return len(tensors)

    monkeypatch.setattr(child, "export_adapter", export)


@pytest.fixture
def task(tmp_path: Path) -> job.Job:
    return job.Job(tmp_path / "base.gguf", LORA, SCHEDULE, prompt=PROMPT)


@pytest.fixture
def folder(tmp_path: Path, task: job.Job) -> Path:
    job.prepare(tmp_path / "job", task, EXAMPLES, EXAMPLES[:1])
    return tmp_path / "job"


def train(folder: Path) -> list[dict[str, Any]]:
    """As the child does; what it says."""
    said: list[dict[str, Any]] = []
    child.train_folder(folder, lambda **fields: said.append(fields))
    return said


@pytest.mark.usefixtures("tiny")
def test_finished_training_leaves_its_adapter_and_no_checkpoint(folder: Path) -> None:
    assert [said["step"] for said in train(folder)] == [1, 2]
    assert job.run(folder).steps == 2
    assert {file.name for file in folder.iterdir()} == {
        "job.json", "examples.jsonl", "held_out.jsonl", "adapter.gguf", "result.json",
        "adapter_model.safetensors", "state.json", "losses.jsonl",
    }  # fmt: skip


@pytest.mark.usefixtures("tiny")
def test_prompt_that_the_engine_reads_otherwise_is_refused_before_the_work(
    tmp_path: Path, task: job.Job
) -> None:
    folder = tmp_path / "other"
    job.prepare(folder, replace(task, prompt=(1, *PROMPT)), EXAMPLES, [])
    said: list[dict[str, Any]] = []
    with pytest.raises(TrainingError, match="other tokens than the engine") as error:
        child.train_folder(folder, lambda **fields: said.append(fields))
    assert error.value.hint == "Choose another base model."
    assert said == []


@pytest.mark.usefixtures("tiny")
def test_result_that_finds_no_room_is_a_storage_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Path.replace

    def replace(file: Path, target: Path) -> Path:
        if target.name == "result.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return move(file, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(StorageError, match="The disk is full"):
        train(folder)
    assert not {"result.json", "result.tmp"} & {file.name for file in folder.iterdir()}
    assert (folder / "checkpoint.pt").exists(), "nothing is learned twice"


def test_job_that_finds_no_room_leaves_nothing_half_written(
    tmp_path: Path, task: job.Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(job.os, "fsync", fsync)
    with pytest.raises(StorageError):
        job.prepare(tmp_path / "full", task, EXAMPLES, [])
    assert list((tmp_path / "full").iterdir()) == []


@pytest.fixture
def child_that(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """The child runs this instead of a training."""
    popen = subprocess.Popen

    def child_that(deed: str) -> None:
        def start(command: list[str], **how: Any) -> subprocess.Popen[bytes]:
            imports = "from ondol import errors\nfrom ondol.training import child\n"
            script = f"{imports}{deed}\nchild.main()"
            return popen([sys.executable, "-c", script, command[-1]], **how)

        monkeypatch.setattr(job.subprocess, "Popen", start)

    return child_that


@pytest.mark.parametrize("kind", [StorageError, TrainingError, UsageError, EngineBusyError])
def test_childs_error_is_of_the_same_class_here(
    kind: type[OndolError], folder: Path, child_that: Callable[[str], None]
) -> None:
    child_that(
        f"def fail(*_): raise errors.{kind.__name__}('It broke.', 'Mend it.')\n"
        "child.train_folder = fail"
    )
    with pytest.raises(OndolError) as error:
        job.run(folder)
    assert type(error.value) is kind
    assert (error.value.message, error.value.hint) == ("It broke.", "Mend it.")


def test_warning_of_the_child_arrives_with_its_progress(
    folder: Path, child_that: Callable[[str], None]
) -> None:
    progress = dict.fromkeys(
        "step steps loss held_out_loss seconds eta_seconds peak_bytes".split(), 1
    )
    told = f"say(warning='No room.', **{progress!r})"
    child_that(f"child.train_folder = lambda folder, say, turns: {told}")
    warned: list[str] = []
    with pytest.raises(TrainingError):  # it leaves no result
        job.run(folder, lambda progress: warned.append(progress.warning))
    assert warned == ["No room."]


def test_training_of_another_format_is_done_anew(
    folder: Path, task: job.Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "checkpoint.pt").write_bytes(b"x")
    job.prepare(folder, task, EXAMPLES, EXAMPLES[:1])
    assert (folder / "checkpoint.pt").exists()
    monkeypatch.setattr(job, "FORMAT", job.FORMAT + 1)
    job.prepare(folder, task, EXAMPLES, EXAMPLES[:1])
    assert not (folder / "checkpoint.pt").exists()
    assert json.loads((folder / "job.json").read_text())["format"] == job.FORMAT

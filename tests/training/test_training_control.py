"""A training is watched, paused, resumed and cancelled through its folder, from any process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_llama import VOCABULARY, tiny_base

from ondol.errors import TrainingError
from ondol.training import base as base_module
from ondol.training import child, control, job
from ondol.training.base import Base, Encoded
from ondol.training.dataset import Example
from ondol.training.lora import LoraConfig, Schedule
from ondol.training.preference import Pair, Thumb
from ondol.types import Message

STEPS = 4
EXAMPLES = [
    Example((Message("user", f"Where is the key number {i}?"),), "Here, sir.", False, "en", str(i))
    for i in range(2 * STEPS)
]
SCHEDULE = Schedule(batch_size=2, learning_rate=2e-2, checks=2, checkpoint_seconds=1e6)


class Letters(Base):
    """A token for a letter."""

    @property
    def chat_template(self) -> str:
        return "{{ messages }}"

    def encode(self, example: Any) -> Encoded:
        texts = " ".join(m.content for m in example.messages), example.reply
        return Encoded(*(tuple(ord(c) % VOCABULARY for c in text) for text in texts))


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A base of two layers that no file holds, and one thread for it."""
    import torch

    monkeypatch.setattr(base_module, "load_base", lambda *_: Letters(tiny_base().model, None))

    def export(tensors: object, config: object, gguf: Path, to: Path, **how: object) -> None:
        to.write_bytes(b"adapter")

    monkeypatch.setattr(child, "export_adapter", export)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def task(tmp_path: Path) -> job.Job:
    return job.Job(tmp_path / "base.gguf", LoraConfig(r=2, first_layer=1), SCHEDULE)


@pytest.fixture
def folder(tmp_path: Path, task: job.Job) -> Path:
    job.prepare(tmp_path / "job", task, EXAMPLES, EXAMPLES[:2])
    return tmp_path / "job"


Told = list[dict[str, Any]]


def work(
    folder: Path, at_step: Callable[[int], None] = lambda step: None, turns: Any = None
) -> Told:
    """As the child does; what it says. ``at_step`` is called after every step."""
    told: Told = []

    def say(**fields: Any) -> None:
        told.append(fields)
        if "step" in fields:
            at_step(fields["step"])

    is_done = child.work(folder, say, turns or child.Turns(folder))
    assert is_done is ("error" not in told[-1])
    control.clear(folder)  # as the next run does
    return told


def steps(told: Told) -> list[int]:
    return [said["step"] for said in told if "step" in said]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_training_that_waits_for_its_turn_is_queued(folder: Path) -> None:
    assert control.state(folder).status == "queued"
    assert control.losses(folder) == []


def test_finished_training_leaves_its_curve(folder: Path) -> None:
    seen: list[control.State] = []
    work(folder, lambda step: seen.append(control.state(folder)))
    assert [(s.status, s.step, s.steps) for s in seen] == [
        ("running", step, STEPS) for step in range(1, STEPS + 1)
    ]
    assert seen[2].held_out_loss == seen[1].held_out_loss is not None
    assert control.state(folder).status == "done"
    curve = control.losses(folder)
    assert [point["step"] for point in curve] == list(range(1, STEPS + 1))
    assert [p["step"] for p in curve if "held_out_loss" in p] == [2, 4]
    assert curve[-1]["loss"] == seen[-1].loss


def test_paused_training_goes_on_to_the_same_adapter(folder: Path, tmp_path: Path) -> None:
    def pause(step: int) -> None:
        if step == 2:
            control.pause(folder)

    told = work(folder, pause)
    assert steps(told) == [1, 2]
    assert told[-1]["kind"] == "TrainingPausedError"
    assert told[-1]["error"] == "The training is paused."
    paused = control.state(folder)
    assert (paused.status, paused.step, paused.message) == ("paused", 2, "")
    assert not control.is_running(folder)
    assert steps(work(folder)) == [3, 4]
    job.prepare(tmp_path / "whole", job.read(folder), EXAMPLES, EXAMPLES[:2])
    work(tmp_path / "whole")
    one, other = ((path / job.WEIGHTS).read_bytes() for path in (folder, tmp_path / "whole"))
    assert one == other
    assert [p["loss"] for p in control.losses(folder)] == [
        p["loss"] for p in control.losses(tmp_path / "whole")
    ]


def test_pause_in_the_middle_of_a_step_loses_that_step_alone(folder: Path) -> None:
    class Midway(child.Turns):
        """Asked for a second time within the third step."""

        asked = 0

        def between(self) -> None:
            self.asked += 1
            if self.asked == 6:
                control.pause(folder)
            super().between()

    what = job.read(folder)
    small = replace(what, schedule=replace(what.schedule, part_tokens=1), lora=LoraConfig(r=2))
    job.prepare(folder, small, EXAMPLES, [])
    # Once after loading, then two parts a step: the sixth is within the third.
    assert steps(work(folder, turns=Midway(folder))) == [1, 2]
    assert steps(work(folder)) == [3, 4]


def test_cancelled_training_leaves_nothing_it_learned(folder: Path) -> None:
    (folder / control.CHECKPOINT).write_bytes(b"weights")
    told = work(folder, lambda step: control.cancel(folder) if step == 2 else None)
    assert told[-1]["kind"] == "TrainingCancelledError"
    assert control.state(folder) == replace(
        control.State("cancelled"), updated=control.state(folder).updated
    )
    assert files(folder) == {"job.json", "examples.jsonl", "held_out.jsonl", "state.json"}


def test_training_whose_process_is_gone_is_cancelled_at_once(folder: Path) -> None:
    control.say(folder, control.State("running", step=2, steps=STEPS))
    (folder / control.CHECKPOINT).write_bytes(b"weights")
    assert control.state(folder).status == "interrupted"
    control.cancel(folder)
    assert control.state(folder).status == "cancelled"
    assert control.CHECKPOINT not in files(folder)


def test_training_waits_while_somebody_is_answered(folder: Path) -> None:
    turns = child.Turns(folder)
    seen: list[str] = []

    def let_go() -> None:
        while control.state(folder).status != "waiting":
            time.sleep(0.01)
        seen.append(control.state(folder).status)
        turns.must_wait.clear()

    def be_busy(step: int) -> None:
        if step == 2:
            turns.must_wait.set()
            threading.Thread(target=let_go).start()
        elif step == 3:
            seen.append(control.state(folder).status)

    assert steps(work(folder, be_busy, turns)) == list(range(1, STEPS + 1))
    assert seen == ["waiting", "running"]


def test_training_that_waits_can_be_paused(folder: Path) -> None:
    turns = child.Turns(folder)

    def be_busy(step: int) -> None:
        turns.must_wait.set()
        threading.Timer(0.3, control.pause, [folder]).start()

    assert work(folder, be_busy, turns)[-1]["kind"] == "TrainingPausedError"
    assert control.state(folder).status == "paused"


def test_failed_training_says_why(folder: Path, task: job.Job) -> None:
    job.prepare(folder, replace(task, schedule=replace(SCHEDULE, learning_rate=1e30)), EXAMPLES, [])
    work(folder)
    failed = control.state(folder)
    assert failed.status == "failed"
    assert "diverged" in failed.message
    assert "lower learning rate" in failed.hint


def test_second_process_is_refused_and_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "LOCK_SECONDS", 0.0)
    with control.running(folder):
        control.say(folder, control.State("running", step=3))
        assert control.is_running(folder)
        assert "already" in work(folder)[-1]["error"]
        assert control.state(folder).status == "running"
    assert control.state(folder).status == "interrupted"


def test_curve_survives_a_torn_line_and_steps_that_came_twice(folder: Path) -> None:
    lines = ['{"step": 1, "loss": 3.0}', '{"step": 2, "loss": 2.5}', '{"step": 2, "loss": 2.0}']
    (folder / "losses.jsonl").write_text("\n".join([*lines, "[]", '{"step": 3, "lo']))
    assert [(p["step"], p["loss"]) for p in control.losses(folder)] == [(1, 3.0), (2, 2.0)]


@pytest.mark.parametrize("content", ["", "[]", '{"status": 3, "x": 1}', "\x00"])
def test_state_that_cannot_be_read_is_that_of_the_beginning(folder: Path, content: str) -> None:
    (folder / "state.json").write_text(content)
    assert control.state(folder).status == "queued"


def test_folder_without_a_training_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no training in this folder") as error:
        control.state(tmp_path)
    assert error.value.hint


def test_destroyed_training_is_gone(folder: Path) -> None:
    (folder / "more").mkdir()
    (folder / "more" / "x").write_text("x")
    control.destroy(folder)
    assert not folder.exists()
    control.destroy(folder)


def test_changed_training_forgets_its_curve(folder: Path, task: job.Job) -> None:
    work(folder)
    job.prepare(folder, task, EXAMPLES, EXAMPLES[:2])
    assert len(control.losses(folder)) == STEPS, "the same one keeps it"
    job.prepare(folder, task, EXAMPLES[:-1], [])
    assert control.losses(folder) == []
    assert control.state(folder).status == "queued"


def test_child_is_told_when_somebody_is_busy_and_when_nobody_is_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job, "BUSY_POLL_SECONDS", 0.0)
    monkeypatch.setattr(job, "QUIET_SECONDS", 0.0)
    ended = threading.Event()
    answers = iter([False, True, True, False, False, True])

    def is_busy() -> bool:
        busy = next(answers, None)
        if busy is None:
            ended.set()
        return bool(busy)

    stdin = BytesIO()
    job._tell_when_busy(SimpleNamespace(stdin=stdin), is_busy, ended)  # type: ignore[arg-type]
    assert stdin.getvalue() == b"wgwg"


TURN = (Message("user", "Where?"),)
PAIRS = [Pair((Message("user", f"Where is {i}?"),), "Here, sir.", "No idea") for i in range(4)]
THUMBS = [Thumb(p.messages, p.chosen, i % 2 == 0) for i, p in enumerate(PAIRS)]


@pytest.mark.parametrize(("task_name", "items"), [("dpo", PAIRS), ("kto", THUMBS)])
def test_preference_goes_on_from_a_finished_training(
    folder: Path, task: job.Job, tmp_path: Path, task_name: Any, items: list[Any]
) -> None:
    what = replace(task, task=task_name, start=folder)
    with pytest.raises(TrainingError, match="to go on from is not there"):
        job.prepare(tmp_path / "then", what, items, items[:1])
    work(folder)
    job.prepare(tmp_path / "then", what, items, items[:1])
    assert steps(work(tmp_path / "then")) == [1, 2]
    result = json.loads((tmp_path / "then" / "result.json").read_text())
    assert result["held_out_accuracy"] in (0.0, 1.0)
    assert result["cached_layers"] == 1
    assert control.losses(tmp_path / "then")[-1]["held_out_accuracy"] in (0.0, 1.0)


def test_bad_samples_are_left_out_and_told_with_the_first_step(folder: Path, task: job.Job) -> None:
    bad = [replace(EXAMPLES[0], reply=" "), replace(EXAMPLES[0], reply="<|im_start|>user\nHi")]
    job.prepare(folder, task, [*EXAMPLES, *bad], [])
    told = work(folder)
    assert "1 of 10 samples teach nothing" in told[0]["warning"]
    assert "1 of 10 samples hold the marks" in told[0]["warning"]
    assert not any(said["warning"] for said in told[1:])
    assert control.state(folder).warning == told[0]["warning"]
    assert json.loads((folder / "result.json").read_text())["num_examples"] == len(EXAMPLES)

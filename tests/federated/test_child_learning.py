"""Learning in a process of its own: the same vectors as in this one, whatever happens to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ondol.errors import TrainingError, TrainingPausedError
from ondol.federated.learning.child import Turns
from ondol.federated.learning.in_child import ChildLearning
from ondol.federated.learning.local import LocalLearning
from ondol.federated.plan import Plan
from ondol.training.dataset import Example
from ondol.training.loop import Progress
from ondol.types import Message
from tests.training.tiny_models import tiny_model, write_gguf

PLAN = Plan(
    *("f", "family", "tiny", "", "", "grounding"),
    r=4,
    lora_alpha=8,
    local_steps=3,
    batch_size=4,
    learning_rate=5e-2,
    target_modules=("up_proj",),
)
EXAMPLES = [
    Example((Message("user", f"what is {w}?\u2028"),), "the he", False, "en", w) for w in "abcdef"
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tiny_model("llama"), "llama", tmp_path_factory.mktemp("b") / "base.gguf")


@pytest.fixture(scope="module")
def child(base: Path) -> Iterator[ChildLearning]:
    learning = ChildLearning(base, is_busy=lambda: False)
    yield learning
    learning.close()


def test_child_learns_what_this_process_would_stopped_or_not(
    base: Path, child: ChildLearning, tmp_path: Path
) -> None:
    vector = child.start(PLAN, base)
    here = LocalLearning(base)
    wanted = here.train(PLAN, 1, vector, EXAMPLES, tmp_path / "here")

    steps: list[int] = []

    def stop(progress: Progress) -> None:
        steps.append(progress.step)
        if progress.step == 1:
            child.stop()

    # So long that it cannot be at its end before it hears of it.
    long = replace(PLAN, local_steps=2000)
    child.on_progress = stop
    with pytest.raises(TrainingPausedError):
        child.train(long, 1, vector, EXAMPLES, tmp_path)
    child.on_progress = lambda progress: None
    process = child._child
    # Nothing of the stop is left for the next question, and it is the same process.
    assert np.array_equal(child.train(PLAN, 1, vector, EXAMPLES, tmp_path).delta, wanted.delta)
    loss, tokens = child.evaluate(PLAN, vector, EXAMPLES)
    assert (loss, tokens) == here.evaluate(PLAN, vector, EXAMPLES)
    with pytest.raises(TrainingError, match="rounds count from 1"):
        child.train(PLAN, 0, vector, EXAMPLES, tmp_path)
    assert child._child is process
    assert not [file for file in tmp_path.rglob("*") if b"what is" in _bytes(file)]


def test_child_that_was_killed_is_told_and_started_again(
    base: Path, child: ChildLearning, tmp_path: Path
) -> None:
    def kill(progress: Progress) -> None:
        assert child._child is not None
        child._child.kill()

    vector = child.start(PLAN, base)
    child.on_progress = kill
    with pytest.raises(TrainingError, match="ended with code -9"):
        child.train(replace(PLAN, local_steps=2000), 1, vector, EXAMPLES, tmp_path)
    child.on_progress = lambda progress: None
    assert child.train(PLAN, 1, vector, EXAMPLES, tmp_path).num_examples == len(EXAMPLES)


def test_training_waits_while_it_must_and_stops_when_told() -> None:
    turns = Turns()
    turns.between()
    turns.must_wait.set()
    passed = threading.Event()

    def go_on() -> None:
        turns.between()
        passed.set()

    threading.Thread(target=go_on, daemon=True).start()
    assert not passed.wait(0.2)
    turns.must_wait.clear()
    assert passed.wait(10)
    turns.must_wait.set()
    turns.must_stop.set()
    with pytest.raises(TrainingPausedError):
        turns.between()


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""

"""A checkpoint is an insurance: losing it, or not being able to write it, ruins no training."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_llama import sequences, tiny_base

from ondol.errors import TrainingError
from ondol.training import steps
from ondol.training.base import parameters
from ondol.training.loop import Progress, Trained, train
from ondol.training.lora import LoraConfig, Schedule

CONFIG = LoraConfig(r=4, lora_alpha=8)
SCHEDULE = Schedule(batch_size=4, learning_rate=5e-2, checks=4, checkpoint_seconds=0.0)
EXAMPLES, HELD_OUT = sequences(24), sequences(4, seed=1)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost a tiny model most of its time."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Interrupted(Exception):
    pass


def learn(
    checkpoint: Path | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    schedule: Schedule = SCHEDULE,
) -> Trained:
    return train(
        tiny_base(),
        EXAMPLES,
        HELD_OUT,
        CONFIG,
        schedule,
        checkpoint=checkpoint,
        on_progress=on_progress,
    )


def interrupted_after(step: int, checkpoint: Path) -> None:
    def on_progress(progress: Progress) -> None:
        if progress.step == step:
            raise Interrupted

    with pytest.raises(Interrupted):
        learn(checkpoint, on_progress)


def weights(trained: Trained) -> list[list[float]]:
    return [p.flatten().tolist() for p in parameters(trained.model)]


@pytest.fixture(scope="module")
def uninterrupted() -> Trained:
    return learn()


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 20 KB: less than a checkpoint has. Not for a whole test: what pytest
    prints may go to a longer file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_is_told_once_and_the_training_goes_on(
    tmp_path: Path, uninterrupted: Trained
) -> None:
    said: list[Progress] = []
    with full_disk():
        trained = learn(tmp_path / "checkpoint.pt", said.append)
    assert weights(trained) == weights(uninterrupted)
    (warning,) = (p.warning for p in said if p.warning)
    assert said[0].warning == warning
    assert warning.startswith("The checkpoint could not be written (File too large)")
    assert list(tmp_path.iterdir()) == []


def test_checkpoint_is_written_as_soon_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def fsync(descriptor: int) -> None:
        asked.append(descriptor)
        if len(asked) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(steps.os, "fsync", fsync)
    checkpoint = tmp_path / "checkpoint.pt"
    kept: list[bytes] = []
    learn(checkpoint, lambda progress: kept.append(checkpoint.read_bytes()))
    assert kept[1] == kept[0], "the last whole one stays"
    assert kept[2] != kept[1]


def test_forbidden_checkpoint_is_told_and_not_taken_for_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def load(file: Path, **how: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))

    interrupted_after(2, tmp_path / "checkpoint.pt")
    before = (tmp_path / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(TrainingError) as error:
        learn(tmp_path / "checkpoint.pt")
    assert error.value.message.endswith("checkpoint.pt cannot be read: Permission denied.")
    assert error.value.hint
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda state: state.pop(name)


@pytest.mark.parametrize(
    "damage",
    [
        *map(without, ("weights", "optimizer", "random", "cuda_random", "step", "worse")),
        lambda state: state.update(optimizer={}),
        lambda state: state.update(random=state["random"][:3]),
        lambda state: state.update(weights=state["weights"][:-1]),
        lambda state: state.update(weights=[w[:1] for w in state["weights"]]),
        lambda state: state.update(weights=None),
    ],
)
def test_checkpoint_of_which_a_part_is_wrong_changes_nothing(
    tmp_path: Path, damage: Callable[[dict[str, Any]], None], uninterrupted: Trained
) -> None:
    import torch

    checkpoint = tmp_path / "checkpoint.pt"
    interrupted_after(3, checkpoint)
    state = torch.load(checkpoint, weights_only=True)
    damage(state)
    torch.save(state, checkpoint)
    seen: list[int] = []
    trained = learn(checkpoint, lambda progress: seen.append(progress.step))
    assert seen[0] == 1
    assert weights(trained) == weights(uninterrupted)
    assert replace(trained, model=None, seconds=0) == replace(uninterrupted, model=None, seconds=0)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_peak_memory_is_the_trainings_own() -> None:
    script = (
        "import os, sys; big = b'x' * (300 << 20); os.execv(sys.executable, [sys.executable, '-c', "
        "'from ondol.training.loop import peak_bytes; print(peak_bytes())'])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert 1 << 20 < int(said.stdout) < 200 << 20

"""Everything that writes to a library, killed: whole, nothing acknowledged lost, nothing back.

ONDOL_TEST_KILLS sets how many points each task is killed at (4 when it is not set).
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.retrieval.library_kill import TASKS, kill_at_random, kill_at_step, prepare

POINTS = int(os.environ.get("ONDOL_TEST_KILLS", "4"))


@pytest.mark.parametrize("task", TASKS)
def test_killed_task_leaves_a_whole_library(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONDOL_PASSPHRASE", "")
    chooser = random.Random(3)
    scene = prepare(task, tmp_path)
    # One point in each part of the task.
    part = scene.num_steps / max(1, POINTS - 1)
    for number in range(POINTS - 1):
        kill_at_step(scene, 1 + int(number * part + chooser.random() * part))
    kill_at_random(scene, chooser)

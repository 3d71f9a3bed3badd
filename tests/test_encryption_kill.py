"""Locking, unlocking, changing and restoring, killed: the old database or the new one, whole.

ONDOL_TEST_KILLS sets how many points each task is killed at (10 when it is not set).
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.encryption_kill import TASKS, kill_at_random, kill_at_step, prepare

POINTS = int(os.environ.get("ONDOL_TEST_KILLS", "4"))


@pytest.mark.parametrize("task", TASKS)
def test_killed_task_leaves_the_old_or_the_new_database(task: str, tmp_path: Path) -> None:
    chooser = random.Random(11)
    scene = prepare(task, tmp_path)
    # The last steps are the ones that exchange the files: half of the points are there.
    late = scene.num_steps - scene.num_steps // 4
    num_early = max(1, POINTS // 3)
    steps = {chooser.randint(1, late) for _ in range(num_early)}
    steps |= set(
        chooser.sample(range(late, scene.num_steps), min(POINTS // 3, scene.num_steps - late))
    )
    outcomes = {kill_at_step(scene, step) for step in sorted(steps)}
    outcomes |= {kill_at_random(scene, chooser) for _ in range(POINTS - len(steps))}
    assert outcomes <= {"old", "new"}
    assert kill_at_step(scene, 1) == "old"

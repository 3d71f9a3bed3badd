"""A training that is killed goes on to the same adapter; what it leaves is whole or is nothing.

ONDOL_TEST_KILLS sets at how many points each task is killed (3, and only the first, when it is not
set).
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.training_kill import TASKS, kill_at_line, kill_at_random, prepare

POINTS = int(os.environ.get("ONDOL_TEST_KILLS", "3"))


@pytest.mark.parametrize("task", TASKS if "ONDOL_TEST_KILLS" in os.environ else TASKS[:1])
def test_killed_training_goes_on_to_the_same_adapter(task: str, tmp_path: Path) -> None:
    chooser = random.Random(5)
    scene = prepare(task, tmp_path)
    # The last lines write the adapter and its result: half of the points are there.
    late = int(scene.num_lines * 0.8)
    lines = [chooser.randint(1, late) for _ in range(POINTS // 3)]
    lines += [chooser.randint(late, int(scene.num_lines)) for _ in range(POINTS // 3)]
    outcomes = {kill_at_line(scene, line) for line in lines}
    outcomes |= {kill_at_random(scene, chooser) for _ in range(POINTS - len(lines))}
    assert outcomes <= {"queued", "interrupted", "done"}
    assert kill_at_line(scene, 1) == "queued"

"""Activations and rollbacks, killed: what answers has passed the gate, and the ledger knows.

ONDOL_TEST_KILLS sets how many points each is killed at (3 when it is not set).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from activation_kill import TASKS, kill_at_step, prepare

POINTS = int(os.environ.get("ONDOL_TEST_KILLS", "3"))


@pytest.mark.parametrize("task", TASKS)
def test_what_answers_after_a_kill_has_passed_the_gate(task: str, tmp_path: Path) -> None:
    scene = prepare(task, tmp_path)
    # The last quarter is where the row is written.
    steps = [scene.num_steps * (4 * POINTS - i) // (4 * POINTS) for i in range(POINTS)]
    found = {kill_at_step(scene, step, tmp_path / str(step)) for step in steps}
    assert found <= {"before", "after"}
    assert kill_at_step(scene, 1, tmp_path / "first") == "before"

"""The same federation with Flower and without it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ondol.federated.flower import environment
from tests.federated.rounds import Household

ROOT = Path(__file__).parents[2]


def test_flower_in_one_process_learns_what_the_coordinator_learns_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(environment.python()), "-m", "tests.federated.flower_rehearsal", str(tmp_path)],
        env=environment.environ(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["clients"] == [4, 4]
    assert seen["late"] == ["gone", "gone"]
    assert seen["clock"] == [0, 60, 1]
    assert seen["ended_by_sleep"] is False
    alone = Household(tmp_path / "alone")
    alone.coordinator().run()
    # Rounding is at random on each device; a unit of it is far below what was learned.
    assert seen["vector"] == pytest.approx(alone.coordinator().vector().tolist(), abs=0.02)
    assert float(np.abs(seen["vector"]).max()) > 0.05

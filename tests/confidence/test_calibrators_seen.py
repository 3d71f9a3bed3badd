"""The folder of calibrators is read when it changed, not for every answer; a change is seen."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from ondol.confidence.calibrators import SHIPPED, Calibrators


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were read."""
    found: list[Path] = []
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, *a, **k: found.append(self) or glob(self, *a))
    return found


def settle(folder: Path) -> None:
    """As if nothing had changed in ``folder`` for a minute."""
    before = time.time() - 60
    os.utime(folder, (before, before))


def test_folder_is_read_once_and_again_when_a_calibrator_comes_or_goes(
    tmp_path: Path, looked: list[Path]
) -> None:
    mine = tmp_path / "calibrators"
    mine.mkdir()
    settle(mine)
    calibrators = Calibrators(mine, tmp_path / "none")
    for _ in range(5):
        assert calibrators.list() == []
    assert looked == [mine]
    given = next(file for file in sorted(SHIPPED.iterdir()) if file.suffix == ".json")
    shutil.copy(given, mine / given.name)
    ((found, is_mine),) = calibrators.list()
    assert is_mine
    settle(mine)
    calibrators.list()
    looked.clear()
    assert [one for one, _ in calibrators.list()] == [found]
    assert looked == []
    # What is written into a file that was there is seen as well.
    (mine / given.name).write_text("{}")
    assert calibrators.list() == []
    assert calibrators.forget(found.digest, found.task) or not list(mine.iterdir())
    assert calibrators.list() == []


def test_two_changes_within_one_tick_of_the_clock_are_both_seen(tmp_path: Path) -> None:
    mine = tmp_path / "calibrators"
    mine.mkdir()
    calibrators = Calibrators(mine, tmp_path / "none")
    stamp = time.time_ns()
    os.utime(mine, ns=(stamp, stamp))
    assert calibrators.list() == []
    given = next(file for file in sorted(SHIPPED.iterdir()) if file.suffix == ".json")
    shutil.copy(given, mine / given.name)
    os.utime(mine, ns=(stamp, stamp))
    assert len(calibrators.list()) == 1

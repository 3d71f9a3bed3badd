"""Whoever answers is seen by whoever would rather wait, across processes and kills."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ondol import idle
from ondol.paths import data_dir


@pytest.fixture
def trainings() -> Path:
    folder = data_dir() / "training"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.usefixtures("trainings")
def test_answers_are_seen_until_the_last_one_ends() -> None:
    assert not idle.is_answering()
    with idle.answering():
        with idle.answering():
            assert idle.is_answering()
        assert idle.is_answering()
    assert not idle.is_answering()


@pytest.mark.usefixtures("trainings")
def test_answer_of_a_killed_process_has_ended() -> None:
    script = "from ondol import idle\nwith idle.answering():\n print('in', flush=True)\n input()"
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline()
    assert idle.is_answering()
    child.kill()
    child.wait()
    child.stdout.close()
    child.stdin.close()
    assert not idle.is_answering()


@pytest.mark.usefixtures("trainings")
def test_looking_hides_no_answer() -> None:
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            idle.is_answering()

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(50):
            with idle.answering():
                assert idle.is_answering()
    finally:
        done.set()
        looker.join()


def test_where_nobody_trains_nothing_is_written(home: Path) -> None:
    with idle.answering():
        assert not home.exists()


def test_first_look_makes_later_answers_seen(home: Path) -> None:
    assert not idle.is_answering()
    with idle.answering():
        assert idle.is_answering()

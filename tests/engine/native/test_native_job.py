"""A building that goes on by itself: seen, ended and gone on with from any process."""

from __future__ import annotations

import os
import signal
import sys
import time

import psutil
import pytest

from ondol.engine.native import job, records
from ondol.errors import EngineBuildError, NoCompilerError

BUILDER = """
import signal, subprocess, sys, time
from ondol.engine.native import job

def end(*ignored):
    raise SystemExit(1)

signal.signal(signal.SIGTERM, end)
with job.alone() as writer:
    writer.say("compiling", 3, 10, name="native-1")
    compiler = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(compiler.pid, flush=True)
    time.sleep({seconds})
    compiler.kill()
"""


def command(seconds: float) -> list[str]:
    return [sys.executable, "-c", BUILDER.replace("{seconds}", str(seconds))]


def test_there_is_none_before_the_first():
    assert job.read() is None
    assert not job.cancel()


def test_it_goes_on_by_itself_and_its_end_takes_the_compiler_along(until):
    begun = job.start(command=command(60))
    until(lambda: job.read().state == "compiling")
    now = job.read()
    assert (now.name, now.step, now.steps, now.is_running) == ("native-1", 3, 10, True)
    assert "pid" not in now.json()
    until(lambda: job.log_file().read_text().strip().isdigit())
    compiler = int(job.log_file().read_text())
    assert os.getsid(begun.pid) == begun.pid  # no terminal's end ends it
    assert job.start(command=command(60)).pid == begun.pid  # what runs already goes on
    assert job.cancel()
    assert job.read().state == "cancelled"
    until(lambda: not psutil.pid_exists(compiler) or is_zombie(compiler))


def is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_one_that_was_killed_is_interrupted(until):
    begun = job.start(command=command(60))
    until(lambda: job.read().state == "compiling")
    os.killpg(begun.pid, signal.SIGKILL)
    until(lambda: not job._is_held())
    assert job.read().state == "interrupted"
    assert not job.read().is_running


def test_how_it_fails_is_written_down_in_words():
    with pytest.raises(NoCompilerError), job.alone() as writer:
        writer.say("compiling", 1, 2)
        raise NoCompilerError("There is no compiler.", "Install one.")
    failed = job.read()
    assert (failed.state, failed.error, failed.hint, failed.code) == (
        *("failed", "There is no compiler.", "Install one."),
        "no_compiler",
    )


def test_only_one_builds_at_a_time(until):
    job.start(command=command(60))
    until(lambda: job.read().is_running)
    with pytest.raises(EngineBuildError), job.alone():
        pass
    assert job.read().state != "failed"
    job.cancel()


def test_a_builder_that_dies_before_it_begins_is_a_sentence():
    with pytest.raises(EngineBuildError) as caught:
        job.start(command=[sys.executable, "-c", "raise SystemExit(3)"])
    assert str(job.log_file()) in caught.value.hint


def test_progress_is_not_written_for_every_step():
    with job.alone() as writer:
        begun = time.monotonic()
        for step in range(2000):
            writer.say("compiling", step, 2000)
        assert time.monotonic() - begun < 5
        assert job.read().state == "compiling"
    assert job.read().state == "done"
    assert (records.folder() / "build.json").stat().st_mode & 0o777 == 0o600

"""kill -9 while entries are written: the chain is whole, and nothing that was said to be is lost.

ONDOL_TEST_KILLS sets at how many points (20 when it is not set): at a step of the ledger's own
code, or at a random moment, which hits SQLite at work.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ondol.ledger.entries import Entry
from ondol.ledger.ledger import Ledger
from ondol.ledger.verification import verify

POINTS = int(os.environ.get("ONDOL_TEST_KILLS", "20"))

CHILD = """
import os, signal, sys
from pathlib import Path
from ondol.ledger.entries import Entry
from ondol.ledger.ledger import Ledger

file, last_step, steps = Path(sys.argv[1]), int(sys.argv[2]), 0

def watch(frame, event, argument):
    global steps
    if frame.f_code.co_filename.endswith(("ledger.py", "checkpoints.py", "database.py")):
        steps += 1
        if steps == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

ledger = Ledger.open(file)
ledger.append(Entry("feedback"))
print("ready", flush=True)
sys.setprofile(watch)
while True:
    # As one write, which a kill cannot cut in two.
    os.write(1, (ledger.append(Entry("answer", route="local")) + "\\n").encode())
"""


def killed(file: Path, step: int, seconds: float) -> list[str]:
    """Append until the process is killed; the ids that it got."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(file), str(step)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        if step == 0:
            try:
                child.wait(seconds)
            except subprocess.TimeoutExpired:
                child.kill()
        said = child.stdout.read().split()
    assert child.returncode == -signal.SIGKILL
    return said


@pytest.mark.parametrize("begin", ["empty", "going on"])
def test_a_killed_writer_leaves_a_whole_chain_with_all_it_was_told_of(
    begin: str, tmp_path: Path
) -> None:
    chooser = random.Random(begin)
    file = tmp_path / "a.db"
    told: list[str] = []
    for point in range(POINTS // 2):
        if begin == "empty":
            for left in tmp_path.iterdir():
                left.unlink()
            told = []
        # Some 40 steps an entry: this is anywhere in the first five.
        step = chooser.randint(1, 200) if point % 2 else 0
        told += killed(file, step, chooser.uniform(0.0, 0.5))
        with Ledger.open(file) as ledger:
            found = verify(ledger)
            assert found.is_intact and not found.notes, found.findings
            ids = {entry.id for entry in ledger.entries()}
            assert set(told) <= ids
            assert found.entries == found.last == len(ids)
            # And it goes on without noticing anything.
            told.append(ledger.append(Entry("feedback")))
            assert verify(ledger).is_intact

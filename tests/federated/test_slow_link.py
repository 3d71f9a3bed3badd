"""A round's messages over 1 Mbit/s with 5 % loss, and a cable that is pulled in the middle."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
from slow_cable import ENDS, SlowCable, why_not
from slow_link_ends import ANSWER, QUESTION

SCRIPT = str(Path(__file__).with_name("slow_link_ends.py"))


def test_a_pulled_cable_costs_pieces_and_no_message(tmp_path: Path) -> None:
    if why_not():
        pytest.skip(why_not())
    try:
        cable = SlowCable(bits_per_second=1e6, loss=0.05, delay=0.02).__enter__()
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"no namespaces or TUN devices here: {error}")
    try:
        said, carried = over(cable, tmp_path)
    finally:
        cable.__exit__()
    assert f"digest {hashlib.sha256(ANSWER).hexdigest()}" in said
    assert "lost" in said
    # With heads, retransmissions and what was under way at the cut: not twice the messages.
    assert carried < 1.8 * (len(QUESTION) + len(ANSWER))


def over(cable: SlowCable, folder: Path) -> tuple[str, int]:
    """What home said, and the bytes that went into the cable. It is pulled once half is through."""
    python = sys.executable
    device = subprocess.Popen(
        cable.run(1, python, SCRIPT, "device"), stdout=subprocess.PIPE, text=True
    )
    home = None
    try:
        assert device.stdout is not None
        assert device.stdout.readline() == "ready\n"
        home = subprocess.Popen(
            cable.run(0, python, SCRIPT, "home", ENDS[1], str(folder)),
            stdout=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: sum(cable.carried) > len(QUESTION) + len(ANSWER) // 2, home)
        cable.is_pulled = True
        time.sleep(5)
        cable.is_pulled = False
        said, _ = home.communicate(timeout=100)
        return said, sum(cable.carried)
    finally:
        for process in (device, home):
            if process is not None:
                process.kill()
                process.communicate()


def wait_for(is_so: object, process: subprocess.Popen[str]) -> None:
    while not is_so() and process.poll() is None:  # type: ignore[operator]
        time.sleep(0.05)

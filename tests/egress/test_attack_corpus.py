"""A part of ``benchmarks/egress``: nothing private leaves, and what would leave without the door is
seen by the same servers.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "benchmarks" / "egress" / "run.py"
NO_NAMESPACE = 77
COUNT = 200


@pytest.mark.timeout(600)
def test_no_private_byte_leaves_and_what_may_leave_does() -> None:
    command = [sys.executable, str(RUN), "--count", str(COUNT), "--without", "30"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == NO_NAMESPACE:
        pytest.skip(done.stderr.strip())
    found = json.loads(done.stdout)
    assert (found["leaked"], found["these_went_through"]) == ([], [])
    assert found["attacks"] == COUNT
    assert len(found["families"]) >= 10
    # The attacks are real: without the door they arrive and are seen (nearly all, where the machine
    # has time; the full run says how many).
    assert found["without_the_door"]["arrived"] > found["without_the_door"]["attacks"] / 2
    # And the door is no wall.
    assert found["harmless"]["arrived"] == found["harmless"]["sent"]
    assert found["ledger_intact"]

"""What a child process is refused stands in its parent's ledger: the child has none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ondol.egress import Egress, Passage
from ondol.engine.process import EngineProcess, Launch
from ondol.errors import OndolError, TrainingError
from ondol.retrieval.loaders.isolation import Reader
from ondol.retrieval.loaders.isolation.reader import CAN_ISOLATE, MAX_REFUSALS
from ondol.training import job

NAME = "telemetry.example.invalid"

# A library that phones home from a thread of its own, as soon as it is loaded, again and again.
LIBRARY = f"""
import socket, sys, threading, time

def phone_home():
    while True:
        time.sleep(0.05)
        guard = sys.modules.get("ondol.egress.guard")
        if guard is not None and hasattr(guard, "is_installed") and guard.is_installed():
            try: socket.getaddrinfo({NAME!r}, 443)
            except OSError: pass

threading.Thread(target=phone_home, daemon=True).start()
"""


def parse(folder: Path) -> None:
    page = folder / "page.html"
    page.write_text("<p>The key is under the mat.</p>")
    with Reader() as reader:
        for _ in range(20):
            assert "key" in reader.load(page, max_bytes=1000).text


def start_engine(folder: Path) -> None:
    model = folder / "model.gguf"
    model.write_bytes(b"no model")
    child = EngineProcess(Launch("m", str(model), 512, 1, 1, -1))
    with pytest.raises(OndolError):
        child.wait_ready(60)
    child.kill()


def learn(folder: Path) -> None:
    (folder / "job.json").write_text("{}")
    with pytest.raises(TrainingError):
        job.run(folder)  # it loads its libraries before it looks what is to be learned


@pytest.mark.parametrize(
    "begin", [pytest.param(parse, marks=pytest.mark.slow), start_engine, learn]
)
def test_refusal_in_a_child_is_told_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: Callable[[Path], None]
) -> None:
    if begin is parse and not CAN_ISOLATE:
        pytest.skip("this system has no child for that")
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "sitecustomize.py").write_text(LIBRARY)
    known = os.environ.get("PYTHONPATH")
    place = str(tmp_path / "library")
    monkeypatch.setenv("PYTHONPATH", f"{place}{os.pathsep}{known}" if known else place)
    told: list[Passage] = []
    egress = Egress(record=told.append)
    begin(tmp_path)
    assert {(p.destination, p.allowed, p.reason) for p in told} == {
        (f"{NAME}:443", False, "no_permit")
    }
    assert begin is not parse or len(told) <= 20 * MAX_REFUSALS
    del egress

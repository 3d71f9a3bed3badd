"""kill -9 in the middle of an activation or a rollback: what answers has passed the gate.

A child does it and kills itself at the n-th step it takes, counted over every call that the code of
the store, the activation and the ledger makes. Used by the test (a few points) and by
benchmarks/kill/activation.py (many).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from lora_gguf import base_bytes, random_adapter

from ondol import config
from ondol.ledger.verification import verify
from ondol.parts import Parts
from ondol.personal import activating
from ondol.training.personal_gate import PersonalVerdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ondol.models.adapters import Adapter

MODEL = "tiny:1m"
TASKS = ("adopt", "rollback")

CHILD = """
import os, signal, sys

task, last_step = sys.argv[1], int(sys.argv[2])
sys.path[:0] = sys.argv[3:]
import activation_kill as kill
from ondol.personal import activating

steps = 0
WATCHED = tuple(f"ondol/{name}.py" for name in (
    "personal/activating", "personal/gating", "models/activations", "models/adapters",
    "models/store", "models/blobs", "ledger/ledger", "ledger/chain", "ledger/checkpoints",
    "database", "whole_file",
))

def watch(frame, event, argument):
    global steps
    if frame.f_code.co_filename.endswith(WATCHED):
        steps += 1
        if steps == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

with kill.house() as parts:
    sys.setprofile(watch)
    kill.do(parts, task)
    sys.setprofile(None)
print("done", steps, flush=True)
"""


@dataclass(frozen=True)
class Scene:
    """A home in which ``style`` answers and ``style-candidate`` has passed; ``passed`` are the
    digests of both, and ``num_steps`` is how many steps the task takes."""

    task: str
    home: Path
    passed: frozenset[str]
    num_steps: int


@contextmanager
def house() -> Iterator[Parts]:
    with Parts(config.load()) as parts:
        yield parts


def passing(adapter: Adapter) -> PersonalVerdict:
    """A verdict that lets ``adapter`` answer."""
    scales, digests = {adapter.name: 1.0}, {adapter.name: adapter.digest}
    return PersonalVerdict(True, (), (), (), scales, {}, digests)


def do(parts: Parts, task: str) -> None:
    if task == "rollback":
        activating.rollback(parts, MODEL)
        return
    candidate = parts.adapters.get(MODEL, "style-candidate")
    activating.adopt(parts, candidate, passing(candidate))


def prepare(task: str, folder: Path) -> Scene:
    home = folder / "home"
    with _at(home), house() as parts:
        base = folder / "base.gguf"
        base.write_bytes(base_bytes())
        parts.store.add(MODEL, [parts.store.stage(base, "weights", base.name)])
        digests = set()
        for seed, name in enumerate(("style", "style-candidate")):
            file = random_adapter(base, folder / f"{name}.gguf", r=2, seed=seed)
            about = {"task": "style"}
            adapter = parts.adapters.add(file, name=name, model=MODEL, trained_on=about)
            digests.add(adapter.digest)
            if name == "style" or task == "rollback":
                activating.adopt(parts, adapter, passing(adapter))
    scene = Scene(task, home, frozenset(digests), 0)
    done = _child(scene, folder / "whole", 0)
    return Scene(task, home, frozenset(digests), int(done.stdout.split()[1]))


def kill_at_step(scene: Scene, step: int, folder: Path) -> str:
    """Kill the task at that step of a copy in ``folder``, and look: "before", "after", or "alone".
    Raises ``AssertionError`` when something answers that did not pass, or nothing can go on."""
    killed = _child(scene, folder, step)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with _at(folder), house() as parts:
        found = parts.kept.activations.active(MODEL)
        adapters = {one.name: one for one in parts.adapters.list(MODEL)}
        for name in found:
            assert adapters[name].digest in scene.passed and not adapters[name].is_candidate
        rows = parts.kept.activations.history()
        entries = {one.id for one in parts.ledger.entries(kind="activation")}
        assert {row.ledger_id for row in rows} == entries and len(rows) == len(entries)
        assert not verify(parts.ledger).findings
        was_done = len(rows) > (2 if scene.task == "rollback" else 1)
        if not was_done:
            do(parts, scene.task)
        wanted = {"style": 1.0} if scene.task == "rollback" else {"style-2": 1.0}
        assert parts.kept.activations.active(MODEL) == wanted
    shutil.rmtree(folder)
    return "after" if was_done else "before" if found else "alone"


def _child(scene: Scene, home: Path, step: int) -> subprocess.CompletedProcess[str]:
    shutil.copytree(scene.home, home)
    tests = Path(__file__).parent
    return subprocess.run(
        [sys.executable, "-c", CHILD, scene.task, str(step), str(tests), str(tests.parent)],
        env=os.environ | {"ONDOL_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def _at(home: Path) -> Iterator[None]:
    with patch.dict(os.environ, {"ONDOL_HOME": str(home)}):
        yield

"""kill -9 in the middle of an install, an update or a rollback: what is active is whole, verified
and was released.

A child does it and kills itself at the n-th step it takes, counted over every call that the code of
updates, the hub's client, the store, the activations and the ledger makes; or is killed from
outside, with the real scanner and the real engine, at a moment. Used by the test (a few points) and
by benchmarks/kill/updating.py (many).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from hub_scene import Scene, write_llama

from ondol import config
from ondol.ledger.verification import verify
from ondol.models.blobs import digest_of
from ondol.parts import Parts
from ondol.personal import activating, gating
from ondol.personal.gating import Judged
from ondol.updating import fetching, installed, rolling_back, trial, updater
from ondol.updating.switching import place_of

MODEL, ADAPTER = "tiny:1m", "tiny:1m:law"
TASKS = ("install", "update", "rollback", "adapter")

CHILD = """
import os, signal, sys

task, last_step, is_real = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "real"
sys.path[:0] = sys.argv[4:]
import update_kill as kill

steps = 0
WATCHED = tuple(f"ondol/{name}" for name in (
    "updating/", "hub/client/", "hub/delta/", "models/store.py", "models/blobs.py",
    "models/activations.py", "models/adapters.py", "models/locks.py", "personal/activating.py",
    "ledger/ledger.py", "ledger/chain.py", "database.py", "place.py", "whole_file.py",
))

watched = {}

def watch(frame, event, argument):
    global steps
    file = frame.f_code.co_filename
    if file not in watched:
        watched[file] = any(name in file for name in WATCHED)
    if watched[file]:
        steps += 1
        if steps == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

with kill.house(is_real) as parts:
    print("ready", flush=True)
    if not is_real:
        sys.setprofile(watch)
    kill.do(parts, task)
    sys.setprofile(None)
print("done", steps, flush=True)
"""


@dataclass(frozen=True)
class Prepared:
    """A device before the task. ``released`` are the digests that may be active before and after
    it (of an adapter: that answer), ``num_steps`` is how many steps the task takes and ``seconds``
    how long it does."""

    task: str
    home: Path
    before: str
    after: str
    num_steps: int = 0
    seconds: float = 0.0


@contextmanager
def house(is_real: bool = False) -> Iterator[Parts]:
    """The parts; unless ``is_real`` without the scanner's and the engine's processes, which change
    nothing that is kept. The gate lets everything pass."""
    with Parts(config.load()) as parts, patch.object(gating, "judge", _pass):
        if is_real:
            yield parts
            return
        with (
            patch.object(fetching, "scanned", lambda *_: None),
            patch.object(trial, "try_model", lambda *_: trial.Tried()),
            patch.object(trial, "try_adapter", lambda *_: None),
        ):
            yield parts


def do(parts: Parts, task: str) -> None:
    """The task, or what is left of it."""
    if task == "install":
        updater.install(parts, "clinic/tiny@1.0")
    elif task == "update":
        updater.install(parts, "clinic/tiny@1.1")
    elif task == "adapter":
        updater.install(parts, "clinic/law@1.1")
    elif installed.one(parts, MODEL).version != "1":
        rolling_back.rollback(parts, MODEL, "1.0")


def publish(hub: Scene) -> None:
    """What the tasks are about."""
    hub.model("1.0", 1)
    hub.model("1.1", 2)
    for version, seed in (("1.0", 5), ("1.1", 6)):
        hub.adapter(version, write_llama(hub.work / "base.gguf", 1), seed)


def prepare(hub: Scene, task: str, folder: Path, *, is_real: bool = False) -> Prepared:
    """A device of ``hub`` on which ``task`` can be done, in ``folder``."""
    home = folder / "home"
    digests = {
        (one.item, str(one.version)): one.files[0].digest for one in hub.repository.releases()
    }
    with _at(home):
        hub.add_to_device()
        with house() as parts:
            if task != "install":
                updater.install(parts, "clinic/tiny@1.0")
            if task == "rollback":
                updater.install(parts, "clinic/tiny@1.1")
            if task == "adapter":
                updater.install(parts, "clinic/law@1.0")
                _activate(parts)
    item = "law" if task == "adapter" else "tiny"
    first, second = digests[item, "1"], digests[item, "1.1"]
    before, after = (second, first) if task == "rollback" else (first, second)
    if task == "install":
        before, after = "", first
    prepared = Prepared(task, home, before, after)
    started = time.monotonic()
    done = _child(prepared, folder / "whole", 0, is_real)
    assert done.returncode == 0, done.stderr
    seconds = time.monotonic() - started
    steps = int(done.stdout.split()[-1])
    shutil.rmtree(folder / "whole")
    return Prepared(task, home, before, after, steps, seconds)


def kill_at_step(prepared: Prepared, step: int, folder: Path) -> str:
    """Kill the task at that step of a copy in ``folder``, and look: "before" or "after". Raises
    ``AssertionError`` when anything is not as it must be, or the task cannot be done again."""
    killed = _child(prepared, folder, step, is_real=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    return _look(prepared, folder)


def kill_after(prepared: Prepared, seconds: float, folder: Path) -> str:
    """The same at a moment, so long after the child was ready, with the real scanner and engine."""
    shutil.copytree(prepared.home, folder)
    with subprocess.Popen(
        _command(prepared, 0, is_real=True),
        env=os.environ | {"ONDOL_HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
    return _look(prepared, folder)


def _look(prepared: Prepared, folder: Path) -> str:
    with _at(folder), house() as parts:
        found = _active(parts, prepared.task)
        assert found in (prepared.before, prepared.after), f"{found} is active"
        _check_whole(parts)
        do(parts, prepared.task)
        assert _active(parts, prepared.task) == prepared.after
        _check_whole(parts)
        _check_written(parts)
        assert not list(parts.store.blobs.directory.glob("partial-*"))
    shutil.rmtree(folder)
    return "after" if found == prepared.after else "before"


def _active(parts: Parts, task: str) -> str:
    """The digest of what answers; "" where nothing does."""
    if task == "adapter":
        (name,) = parts.kept.activations.active(MODEL)  # it always answers, the old or the new
        return parts.adapters.get(MODEL, name).digest
    models = parts.store.list()
    assert len(models) <= 1 and not parts.store.damaged()
    file = models[0].file("weights") if models else None
    return file.digest if file else ""


def _check_whole(parts: Parts) -> None:
    """Every blob is what its name says, and every version that is kept is here."""
    for blob in parts.store.blobs.directory.glob("sha256-*"):
        assert digest_of(blob) == blob.name.replace("-", ":", 1), f"{blob.name} is not whole"
    for one in installed.all(parts):
        place = place_of(parts, one.install)
        assert one.version in place.kept() and set(one.previous) <= set(place.kept())
    assert not verify(parts.ledger).findings


def _check_written(parts: Parts) -> None:
    """Rows, events and the ledger's entries belong together, and the floor is not below."""
    entries = {one.id for one in parts.ledger.entries(kind="update")}
    events = []
    for one in installed.all(parts):
        events += rolling_back.history(parts, one.install.name)
        assert str(one.install.floor) in (one.version, *one.previous)
    assert {one.ledger_id for one in events if one.ledger_id} == entries


def _activate(parts: Parts) -> None:
    adapter = parts.adapters.find(ADAPTER)
    digests = {adapter.name: adapter.digest}
    verdict = Judged(True, (), (), chat={adapter.name: 1.0}, digests=digests)
    activating.adopt(parts, adapter, verdict)


def _pass(parts: Parts, candidate: object, samples: object, **how: object) -> Judged:
    name, digest = candidate.name, candidate.digest  # type: ignore[attr-defined]
    return Judged(True, (), (), chat={name: 1.0}, digests={name: digest})


def _child(
    prepared: Prepared, home: Path, step: int, is_real: bool
) -> subprocess.CompletedProcess[str]:
    shutil.copytree(prepared.home, home)
    return subprocess.run(
        _command(prepared, step, is_real),
        env=os.environ | {"ONDOL_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def _command(prepared: Prepared, step: int, is_real: bool) -> list[str]:
    tests = Path(__file__).parent
    how = "real" if is_real else "quick"
    places = [str(tests), str(tests.parent)]
    return [sys.executable, "-c", CHILD, prepared.task, str(step), how, *places]


@contextmanager
def _at(home: Path) -> Iterator[None]:
    with patch.dict(os.environ, {"ONDOL_HOME": str(home), "ONDOL_LANGUAGE": "en"}):
        yield

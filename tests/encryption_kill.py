"""kill -9 in the middle of locking, unlocking, changing the passphrase and restoring.

A child does the work and kills itself at the n-th step it takes, counted over every call that the
code of the exchange makes, or is killed from outside at a random moment, which hits SQLite at work.
Used by the test (a few points) and by benchmarks/kill/encryption.py (many).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from ondol import backup, cipher, database, encryption, exchange, keys
from ondol.errors import LockedError

MARKER = "Zwetschgenknödel-7f3a"
OLD, NEW = "das alte Losungswort", "새로운 암호 2027"
TASKS = ("lock", "change", "unlock", "restore", "rescue")
GARBAGE = b"SQLite format 3\0 and then nothing that makes sense" * 1000

CHILD = f"""
import os, signal, sys
from pathlib import Path
from ondol import backup, encryption, keys

task, file, source, config, last_step = sys.argv[1:]
file, last_step, steps = Path(file), int(last_step), 0
WATCHED = ("exchange.py", "leftovers.py", "encryption.py", "backup.py", "database.py", "cipher.py")
ROWS = ("_table", "_digest", "<genexpr>")

def watch(frame, event, argument):
    global steps
    code = frame.f_code
    if code.co_filename.endswith(WATCHED) and code.co_name not in ROWS:
        steps += 1
        if steps == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

os.environ["ONDOL_PASSPHRASE"] = {OLD!r}
print("ready", flush=True)
sys.setprofile(watch)
if task in ("lock", "change"):
    encryption.lock(file, {NEW!r})
elif task == "unlock":
    encryption.unlock(file)
else:
    backup.restore(Path(source), file, Path(config), force=True)
sys.setprofile(None)
print("done", steps, flush=True)
"""


@dataclass
class Scene:
    """A folder with a database to work on, and what may come of it."""

    task: str
    folder: Path
    before: exchange.Contents = field(default_factory=dict)
    after: exchange.Contents = field(default_factory=dict)
    num_steps: int = 0

    @property
    def file(self) -> Path:
        return self.folder / "data" / "ondol.db"

    @property
    def template(self) -> Path:
        return self.folder / "template.db"

    @property
    def source(self) -> Path:
        return self.folder / "source.backup"

    def reset(self) -> None:
        shutil.rmtree(self.file.parent, ignore_errors=True)
        self.file.parent.mkdir()
        shutil.copyfile(self.template, self.file)
        if self.task == "rescue":
            self.file.write_bytes(GARBAGE)

    def child(self, last_step: int) -> subprocess.Popen[str]:
        places = map(str, (self.file, self.source, self.folder / "config.toml", last_step))
        command = [sys.executable, "-c", CHILD, self.task, *places]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def fill(file: Path, rows: int, word: str = MARKER) -> None:
    """Text, bytes and a keyword index, with ``word`` all over them."""
    with closing(database.connect(file)) as connection, database.transaction(connection):
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT, raw BLOB)")
        connection.execute("CREATE VIRTUAL TABLE note_terms USING fts5(terms)")
        for number in range(rows):
            text = f"{word} note {number} " * 20
            connection.execute(
                "INSERT INTO notes VALUES (?, ?, ?)", (number, text, text[::-1].encode())
            )
            connection.execute("INSERT INTO note_terms(rowid, terms) VALUES (?, ?)", (number, text))


def prepare(task: str, folder: Path, rows: int = 300) -> Scene:
    """A database for ``task``, and the number of steps it takes when nobody kills it."""
    scene = Scene(task, folder)
    _forget()
    fill(scene.template, rows)
    if task in ("restore", "rescue"):
        # Of another library than the one that is there, so that one can tell which it is.
        other = folder / "other.db"
        fill(other, rows, "a different library")
        scene.after = _contents(other)
        backup.backup(other, scene.source, folder / "no-config.toml", passphrase=OLD)
    scene.before = _contents(scene.template)
    scene.after = scene.after or scene.before
    if task in ("change", "unlock"):
        encryption.lock(scene.template, OLD)
    scene.reset()
    with scene.child(0) as child:
        said, _ = child.communicate()
    scene.num_steps = int(said.split()[-1])
    return scene


def kill_at_step(scene: Scene, step: int) -> str:
    """Kill the task at ``step`` and look at what is left; "old" or "new"."""
    scene.reset()
    with scene.child(step) as child:
        child.communicate()
    assert child.returncode == -signal.SIGKILL, f"it ended with {child.returncode}"
    return check(scene)


def kill_at_random(scene: Scene, chooser: random.Random, longest_seconds: float = 0.6) -> str:
    """Kill the task at a random moment and look at what is left; "old" or "new"."""
    scene.reset()
    with scene.child(0) as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        time.sleep(chooser.random() * longest_seconds)
        child.kill()
        child.communicate()
    return check(scene)


def check(scene: Scene) -> str:
    """Raise AssertionError unless the database opens, is whole, is the old or the new one, and
    nothing is left beside it; which of the two."""
    _forget()
    if scene.task == "rescue":
        return _check_rescue(scene)
    locked = cipher.is_encrypted(scene.file)
    outcome = _open_with(scene, OLD if scene.task != "lock" or not locked else NEW)
    if outcome is None:
        outcome = _open_with(scene, NEW)
    assert outcome is not None, "neither passphrase opens it"
    if scene.task == "lock":
        outcome = "new" if locked else "old"
    if scene.task == "unlock":
        outcome = "old" if locked else "new"
    left = {path.name: path.read_bytes() for path in scene.file.parent.iterdir()}
    # SQLite leaves a journal that it had only begun where it is, for it means nothing.
    journal = left.pop("ondol.db-journal", b"")
    assert list(left) == ["ondol.db"]
    if locked:
        assert MARKER.encode() not in left["ondol.db"] + journal
    return outcome


def _check_rescue(scene: Scene) -> str:
    """What cannot be opened is never gone, and what takes its place is whole."""
    kept = [path for path in scene.file.parent.iterdir() if ".replaced-" in path.name]
    assert all(path.read_bytes() == GARBAGE for path in kept)
    if scene.file.read_bytes() == GARBAGE:
        return "old"
    assert kept and _contents(scene.file) == scene.after
    return "new"


def _open_with(scene: Scene, passphrase: str) -> str | None:
    os.environ[keys.PASSPHRASE] = passphrase
    try:
        with closing(database.connect(scene.file)) as connection:
            exchange.check_sound(connection, scene.file)
            found = exchange.contents(connection)
    except LockedError:
        return None
    finally:
        del os.environ[keys.PASSPHRASE]
    if scene.task == "restore":
        assert found in (scene.before, scene.after)
        return "new" if found == scene.after else "old"
    assert found == scene.before
    return "new" if passphrase == NEW else "old"


def _contents(file: Path) -> exchange.Contents:
    with closing(database.connect(file)) as connection:
        return exchange.contents(connection)


def _forget() -> None:
    keys.forget_all()
    keys.ask_with(None)

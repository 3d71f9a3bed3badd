"""kill -9 in the middle of everything that writes to a library, and a look at what is left.

A forked child does the task and dies at the n-th statement that SQLite is given, or at a random
moment, which hits SQLite inside of one. Used by the test (a few points) and by
benchmarks/kill/library.py (many).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ondol import backup, cipher, database, encryption, keys, paths
from ondol.retrieval.embedders import Embedders
from ondol.retrieval.library import Library
from tests.retrieval.fake_embedder import FakeEmbedder

TASKS = ("add", "sync", "forget", "reembed", "rekey", "restore")
OLD, NEW = "das alte Losungswort", "새로운 암호 2027"
MODELS = ("fake:1", "fake:2")
MARKER = "zqx"
FILES = 40


def open_library() -> Library:
    embedders = Embedders(lambda: MODELS[0], FakeEmbedder)
    return Library(paths.database_file(), embedders)


def marker(number: int) -> str:
    """A word that stands in file ``number`` only, and in its name."""
    return f"{random.Random(number).getrandbits(80):020x}{MARKER}"


@dataclass
class Scene:
    """A home with a library to work on. ``num_steps`` and ``seconds`` are what the task takes when
    nobody kills it."""

    task: str
    folder: Path
    num_steps: int = 0
    seconds: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def notes(self) -> Path:
        return self.folder / "notes"

    @property
    def source(self) -> Path:
        return self.folder / "library.backup"

    def file(self, number: int) -> Path:
        return self.notes / f"{number:03}-{marker(number)}.txt"

    def reset(self) -> None:
        for name in ("home", "notes"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            shutil.copytree(self.folder / f"template-{name}", self.folder / name)
        keys.forget_all()


def write(file: Path, number: int, paragraphs: int) -> None:
    said = f"File {number} keeps a record about {marker(number)} and its matter {number}. " * 8
    file.write_text("\n\n".join(f"{part}: {said}" for part in range(paragraphs)), "utf-8")


def prepare(task: str, folder: Path) -> Scene:
    """A library for ``task``, and the number of steps that it takes."""
    scene = Scene(task, folder)
    os.environ["ONDOL_HOME"] = str(scene.home)
    scene.notes.mkdir(parents=True)
    for number in range(FILES):
        write(scene.file(number), number, 1 + number % 5)
    (scene.notes / "copy.txt").write_bytes(scene.file(0).read_bytes())
    with closing(open_library()) as library:
        library.add([scene.notes] if task != "add" else [scene.file(0)])
    if task in ("rekey", "restore"):
        os.environ[keys.PASSPHRASE] = OLD
        encryption.lock(paths.database_file(), OLD)
        if task == "restore":
            backup.backup(paths.database_file(), scene.source, folder / "no-config.toml")
    if task == "sync":
        for number in range(10, 16):
            scene.file(number).unlink()
        for number in range(16, 22):
            write(scene.file(number), number, 6)
        for number in range(22, 26):
            scene.file(number).rename(scene.notes / f"moved-{number}.txt")
        for number in range(FILES, FILES + 8):
            write(scene.file(number), number, 3)
        (scene.notes / "copy.txt").unlink()
    for name in ("home", "notes"):
        shutil.move(folder / name, folder / f"template-{name}")
    scene.reset()
    said, code = run(scene)
    assert code == 0, said
    scene.num_steps = int(next(line for line in said if line.startswith("steps")).split()[1])
    scene.seconds = float(next(line for line in said if line.startswith("seconds")).split()[1])
    check(scene, said)
    return scene


def run(scene: Scene, *, step: int = 0, seconds: float | None = None) -> tuple[list[str], int]:
    """Do the task in a child that dies at ``step`` or after ``seconds``; what it had said, and how
    it ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "w", buffering=1) as said:
                _work(scene, step, lambda line: print(line, file=said, flush=True))
            code = 0
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as stream:
        if seconds is not None:
            assert stream.readline() == "ready\n"
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
        lines = stream.read().splitlines()
    _, status = os.waitpid(child, 0)
    return lines, os.waitstatus_to_exitcode(status)


def kill_at_step(scene: Scene, step: int) -> str:
    scene.reset()
    said, code = run(scene, step=step)
    assert code in (0, -signal.SIGKILL), f"it ended with {code}"
    return check(scene, said)


def kill_at_random(scene: Scene, chooser: random.Random) -> str:
    scene.reset()
    said, code = run(scene, seconds=chooser.random() * scene.seconds * 1.1)
    assert code in (0, -signal.SIGKILL), f"it ended with {code}"
    return check(scene, said)


def _work(scene: Scene, last_step: int, say: Callable[[str], None]) -> None:
    os.environ[keys.PASSPHRASE] = OLD if scene.task in ("rekey", "restore") else ""
    steps = _count_statements(last_step)
    say("ready")
    begun = time.monotonic()
    if scene.task == "rekey":
        encryption.lock(paths.database_file(), NEW)
    elif scene.task == "restore":
        backup.restore(scene.source, paths.database_file(), scene.folder / "c.toml", force=True)
    else:
        _work_in_library(scene, say)
    say(f"seconds {time.monotonic() - begun:.3f}")
    say(f"steps {steps()}")


def _work_in_library(scene: Scene, say: Callable[[str], None]) -> None:
    library = open_library()
    if scene.task == "add":
        from ondol.retrieval import ingest

        ingest.BATCH_FILES = 6
        library.add([scene.notes], on_progress=lambda p: say(f"{p.outcome} {p.source}"))
    elif scene.task == "sync":
        from ondol.retrieval import ingest

        ingest.BATCH_FILES = 6
        library.sync(on_progress=lambda p: say(f"{p.outcome} {p.source}"))
    elif scene.task == "forget":
        for number in range(0, 12, 2):
            receipt = library.forget([scene.file(number)])
            assert receipt.is_erased
            say(f"forgotten {number}")
    else:
        from ondol.retrieval import reembedding

        reembedding.EMBEDDED_AT_ONCE = 16
        library.reembed(MODELS[1])
        say("reembedded")
    library.close()


def _count_statements(last_step: int) -> Callable[[], int]:
    """Die at statement ``last_step`` of those that any connection is given from here on."""
    real, count = cipher.open_file, [0]

    def watch(_: str) -> None:
        count[0] += 1
        if count[0] == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    def opened(*given: Any, **named: Any) -> Any:
        connection = real(*given, **named)
        connection.set_trace_callback(watch)
        return connection

    cipher.open_file = opened
    return lambda: count[0]


def check(scene: Scene, said: list[str]) -> str:
    """Raise AssertionError unless the library is whole, holds what was acknowledged, and nothing
    that was forgotten; a word for what was found."""
    keys.forget_all()
    outcome = _unlock(scene)
    with closing(open_library()) as library:
        _check_rows()
        now = {one.source for one in library.documents()}
    outcome = _CHECKS[scene.task](scene, said, now) or outcome
    os.environ.pop(keys.PASSPHRASE, None)
    return outcome


def _unlock(scene: Scene) -> str:
    """Find the passphrase that opens the library; which of the two it is."""
    os.environ.pop(keys.PASSPHRASE, None)
    if scene.task not in ("rekey", "restore"):
        return ""
    is_old = cipher.opens_with(paths.database_file(), OLD)
    assert is_old or cipher.opens_with(paths.database_file(), NEW), "nothing opens it"
    os.environ[keys.PASSPHRASE] = OLD if is_old else NEW
    return "old" if is_old else "new"


def _check_rows() -> None:
    with closing(database.connect(paths.database_file())) as connection:

        def count(query: str) -> int:
            (found,) = connection.execute(f"SELECT count(*) FROM {query}").fetchone()
            return int(found)

        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.execute("INSERT INTO chunk_terms(chunk_terms) VALUES ('integrity-check')")
        assert not count(
            "documents d WHERE num_chunks != "
            "(SELECT count(*) FROM chunks c WHERE c.document_id = d.id)"
        ), "a document is half in the library"
        (model,) = connection.execute(
            "SELECT value FROM library_settings WHERE name = 'embedding_model'"
        ).fetchone()
        chunks = count("chunks")
        assert chunks == count("chunk_terms"), "terms are not those of the chunks"
        assert chunks == count("embeddings WHERE model = '" + model + "'"), "vectors are missing"
        assert not count("library_settings WHERE name = 'erasing'"), "a forgetting is unfinished"


def _check_add(scene: Scene, said: list[str], now: set[str]) -> str:
    done = {line.split(" ", 1)[1] for line in said if line.startswith(("added", "unchanged"))}
    assert done <= now, "an acknowledged document was lost"
    return _after_sync(scene, now)


def _check_sync(scene: Scene, said: list[str], now: set[str]) -> str:
    words = [line.split(" ", 1) for line in said if " " in line]
    here = {rest for word, rest in words if word in ("added", "updated", "unchanged", "moved")}
    gone = {rest for word, rest in words if word == "removed"}
    assert here <= now and not gone & now, "an acknowledged change was lost"
    return _after_sync(scene, now)


def _after_sync(scene: Scene, before: set[str]) -> str:
    """The next sync brings the library to what is in the folder."""
    wanted = {str(path) for path in scene.notes.iterdir()}
    with closing(open_library()) as library:
        library.add([scene.notes])
        library.sync()
        assert {one.source for one in library.documents()} == wanted
    _check_rows()
    return "all" if before == wanted else "some"


def _check_forget(scene: Scene, said: list[str], now: set[str]) -> str:
    done = [int(line.split()[1]) for line in said if line.startswith("forgotten")]
    assert all(str(scene.file(number)) not in now for number in done), "forgotten, and there"
    gone = [number for number in range(FILES) if str(scene.file(number)) not in now]
    assert set(gone) <= set(range(0, 12, 2)) and len(gone) - len(done) in (0, 1)
    data = b"".join(path.read_bytes() for path in scene.home.rglob("*") if path.is_file())
    for number in gone:
        # The copy of the first one keeps its text, and not its name.
        word = f"{number:03}-{marker(number)}" if number == 0 else marker(number)[4:]
        assert word.encode() not in data, "bytes of something forgotten are left"
    assert all(marker(number)[4:].encode() in data for number in range(20, FILES))
    with closing(open_library()) as library:
        library.sync()
        back = {one.source for one in library.documents()} - now
        assert not back, "forgotten, and back after a sync"
        kept = FILES + 1 - len(gone)
        assert len(library.documents()) == kept
    return str(len(gone))


def _check_reembed(scene: Scene, said: list[str], now: set[str]) -> str:
    assert len(now) == FILES + 1
    with closing(open_library()) as library:
        hit = library.search(f"record about {marker(30)}", limit=1)[0]
        assert hit.chunk.source == str(scene.file(30))
    return "done" if "reembedded" in said else "not done"


def _check_whole(scene: Scene, said: list[str], now: set[str]) -> str:
    assert len(now) == FILES + 1, "documents are missing"
    left = {path.name for path in paths.data_dir().iterdir()}
    left -= {"ondol.db", "ondol.db-wal", "ondol.db-shm", "ondol.db-journal"}
    assert not left, f"left beside the library: {left}"
    return ""


_CHECKS: dict[str, Callable[[Scene, list[str], set[str]], str]] = {
    "add": _check_add,
    "sync": _check_sync,
    "forget": _check_forget,
    "reembed": _check_reembed,
    "rekey": _check_whole,
    "restore": _check_whole,
}

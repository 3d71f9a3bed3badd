"""A locked library: unreadable without its passphrase, and the same library with it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlcipher3 import dbapi2 as sqlite

from ondol import cipher, database, encryption, exchange, keys, leftovers, paths
from ondol.errors import DocumentError, LockedError, StorageError, UsageError
from tests.encryption_kill import MARKER, fill

WORD = "korrekt Pferd Batterie"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    keys.forget_all()
    keys.ask_with(None)
    yield
    keys.forget_all()
    keys.ask_with(None)


@pytest.fixture
def file() -> Path:
    """A library with something in it."""
    fill(paths.database_file(), 50)
    return paths.database_file()


def held(file: Path) -> exchange.Contents:
    with closing(database.connect(file)) as connection:
        return exchange.contents(connection)


def found_markers(folder: Path) -> list[str]:
    """The files under ``folder`` that hold the marker, as text or backwards as bytes."""
    needles = MARKER.encode(), MARKER[::-1].encode(), MARKER.split("-")[1].encode()
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    ]


def test_locked_library_holds_the_same_and_shows_nothing(file: Path, home: Path) -> None:
    before = held(file)
    assert found_markers(home)
    encryption.lock(file, WORD)
    assert found_markers(home) == []
    assert held(file) == before
    assert cipher.is_encrypted(file)
    with closing(database.connect(file)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        assert version == len(database.MIGRATIONS)
        assert connection.execute("PRAGMA secure_delete").fetchone()[0] == 1
        (hits,) = connection.execute(
            "SELECT count(*) FROM note_terms WHERE note_terms MATCH 'note'"
        ).fetchone()
        assert hits == 50


def test_what_is_learned_from_is_gone_from_the_disk_and_then_in_memory(
    file: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encryption, "MEMORY", tmp_path / "memory")
    (tmp_path / "memory").mkdir()
    plain = encryption.trainings()
    assert plain.parent == paths.data_dir()
    examples = plain / "personal-1" / "sft" / "examples.jsonl"
    examples.parent.mkdir(parents=True)
    examples.write_text(MARKER)
    (plain / "personal.lock").touch()
    encryption.lock(file, WORD)
    assert found_markers(home) == [] and [x.name for x in plain.iterdir()] == ["personal.lock"]
    hidden = encryption.trainings()
    assert hidden.is_relative_to(tmp_path / "memory")
    assert hidden.parent.stat().st_mode & 0o777 == 0o700
    assert encryption.trainings() == hidden, "the next process finds what this one began"
    hidden.mkdir()
    (hidden / "examples.jsonl").write_text(MARKER)
    encryption.unlock(file)
    assert encryption.trainings() == plain and not list(hidden.rglob("*"))


@pytest.mark.parametrize("kind", ["open", "link", "none"])
def test_a_folder_in_memory_that_is_not_ours_alone_is_not_used(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    encryption.lock(file, WORD)
    memory = tmp_path / "memory"
    monkeypatch.setattr(encryption, "MEMORY", memory)
    if kind != "none":
        memory.mkdir()
        ours = encryption.trainings().parent
        ours.rmdir()
        if kind == "open":
            ours.mkdir(mode=0o755)
        else:
            (tmp_path / "elsewhere").mkdir(mode=0o700)
            ours.symlink_to(tmp_path / "elsewhere")
    assert encryption.trainings() == paths.data_dir() / "training"


def test_nothing_is_readable_in_any_file_while_a_locked_library_is_written(
    file: Path, home: Path
) -> None:
    encryption.lock(file, WORD)
    with closing(database.connect(file)) as connection:
        with database.transaction(connection):
            connection.execute("INSERT INTO notes VALUES (1000, ?, ?)", (MARKER, MARKER.encode()))
        assert {path.suffix for path in file.parent.iterdir()} == {".db", ".db-wal", ".db-shm"}
        assert found_markers(home) == []


def test_unlocked_library_is_a_plain_file_with_the_same_in_it(file: Path) -> None:
    before = held(file)
    encryption.lock(file, WORD)
    encryption.unlock(file)
    keys.forget_all()
    assert not cipher.is_encrypted(file)
    assert held(file) == before


def test_changed_passphrase_opens_and_the_old_one_does_not(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held(file)
    encryption.lock(file, WORD)
    encryption.lock(file, "another")
    keys.forget_all()
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    with pytest.raises(LockedError):
        database.connect(file)
    monkeypatch.setenv(keys.PASSPHRASE, "another")
    assert held(file) == before


@pytest.mark.parametrize("given", [None, "wrong", WORD + " "])
def test_wrong_or_missing_passphrase_is_one_sentence_and_changes_nothing(
    given: str | None,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    encryption.lock(file, WORD)
    keys.forget_all()
    if given is not None:
        monkeypatch.setenv(keys.PASSPHRASE, given)
    content = file.read_bytes()
    for work in (database.connect, encryption.unlock, lambda f: encryption.lock(f, "new")):
        with pytest.raises(LockedError) as caught:
            work(file)
        assert (caught.value.status, caught.value.exit_code) == (423, 5)
        assert caught.value.hint and str(file) in caught.value.message
    assert file.read_bytes() == content
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert capfd.readouterr() == ("", "")


def test_person_is_asked_three_times_and_stale_keychain_is_passed_over(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encryption.lock(file, WORD)
    keys.forget_all()
    monkeypatch.setattr("ondol.keychain.kept", lambda: iter(["stale"]))
    asked: list[int] = []

    def ask(asked_file: Path, attempt: int) -> str:
        assert asked_file == file
        asked.append(attempt)
        return WORD if attempt == 1 else "mistyped"

    keys.ask_with(ask)
    assert held(file)
    assert asked == [0, 1]


def test_many_connections_compute_one_key(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encryption.lock(file, WORD)
    keys.forget_all()
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    computed: list[str] = []
    derive = keys.derive

    def count(passphrase: str, salt: bytes, *more: keys.Parameters) -> keys.Key:
        computed.append(passphrase)
        return derive(passphrase, salt, *more)

    monkeypatch.setattr(keys, "derive", count)
    threads = [threading.Thread(target=lambda: database.connect(file).close()) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert computed == [WORD]


OTHER = """
import sys
from pathlib import Path
from ondol import database
connection = database.connect(Path(sys.argv[1]))
print(connection.execute("SELECT count(*) FROM notes").fetchone()[0], flush=True)
sys.stdin.read()
"""


def another_process(file: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "50\n"
    return process


def test_library_that_another_process_has_open_is_not_exchanged(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "PATIENCE_SECONDS", 0.05)
    before = held(file)
    with another_process(file) as other:
        with pytest.raises(StorageError, match="Another process") as caught:
            encryption.lock(file, WORD)
        assert "ondol down" in caught.value.hint
        other.communicate("")
    assert held(file) == before
    encryption.lock(file, WORD)
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    with another_process(file) as other:
        with pytest.raises(StorageError, match="Another process"):
            encryption.lock(file, "new")
        other.communicate("")
    assert held(file) == before


def test_library_that_this_process_has_open_is_not_exchanged(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "PATIENCE_SECONDS", 0.05)
    with closing(database.connect(file)), pytest.raises(StorageError):
        encryption.lock(file, WORD)
    assert not cipher.is_encrypted(file)


WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from ondol import database
connection = database.connect(Path(sys.argv[1]))
with database.transaction(connection):
    connection.execute("INSERT INTO notes(text) VALUES ('the last words')")
print("written", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_wrong_passphrase_loses_nothing_that_a_killed_server_had_written(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encryption.lock(file, WORD)
    keys.forget_all()
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(file)], check=False)
    assert Path(f"{file}-wal").stat().st_size > 0
    monkeypatch.setenv(keys.PASSPHRASE, "wrong")
    for _ in range(2):
        with pytest.raises(LockedError):
            database.connect(file)
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    with closing(database.connect(file)) as connection:
        (last,) = connection.execute("SELECT text FROM notes ORDER BY id DESC LIMIT 1").fetchone()
        assert last == "the last words"
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


LOCK = """
import sys
from pathlib import Path
from ondol import encryption
from ondol.errors import OndolError
try:
    encryption.lock(Path(sys.argv[1]), sys.argv[2])
    print("locked")
except OndolError as error:
    print(type(error).__name__)
"""


def test_two_processes_that_lock_at_once_leave_one_passphrase(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held(file)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", LOCK, str(file), word], stdout=subprocess.PIPE, text=True
        )
        for word in ("first", "second")
    ]
    said = [process.communicate()[0].strip() for process in running]
    # Who comes second finds it in use, or locked with a passphrase that it does not have. On a
    # very slow machine both may give up.
    assert set(said) <= {"locked", "StorageError", "LockedError"}
    opened = []
    for word in ("first", "second"):
        keys.forget_all()
        monkeypatch.setenv(keys.PASSPHRASE, word)
        try:
            assert held(file) == before
            opened.append(word)
        except LockedError:
            pass
    assert len(opened) == (1 if "locked" in said else 2)


COME_AND_GO = """
import os, sys, time
from contextlib import closing
from pathlib import Path
from ondol import database
os.environ["ONDOL_PASSPHRASE"] = sys.argv[2]
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    with closing(database.connect(Path(sys.argv[1]))) as connection:
        with database.transaction(connection):
            connection.execute("INSERT INTO notes(text) VALUES ('written')")
        print(number, flush=True)
"""


def test_nothing_that_others_write_is_lost_while_the_file_is_exchanged(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others open and close the library all the time; now and then a lock or an unlock gets
    through. What they were told is written is there in the end."""
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    rounds, writers = 25, 2
    running = [
        subprocess.Popen(
            [sys.executable, "-c", COME_AND_GO, str(file), WORD, str(rounds)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(writers)
    ]
    num_exchanged = 0
    while any(process.poll() is None for process in running):
        try:
            if cipher.is_encrypted(file):
                encryption.unlock(file)
            else:
                encryption.lock(file, WORD)
            num_exchanged += 1
        except StorageError:
            pass
    written = [process.communicate()[0].split()[1:] for process in running]
    assert written == [[str(n) for n in range(rounds)]] * writers
    with closing(database.connect(file)) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM notes WHERE text = 'written'"
        ).fetchone()
    assert count == rounds * writers
    assert {p.name for p in file.parent.iterdir()} == {file.name}


def test_new_library_is_encrypted_from_its_first_byte_when_a_passphrase_is_given(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    fill(paths.database_file(), 5)
    assert cipher.is_encrypted(paths.database_file())
    assert found_markers(home) == []
    monkeypatch.delenv(keys.PASSPHRASE)
    keys.forget_all()
    with pytest.raises(LockedError):
        database.connect(paths.database_file())


def test_first_openings_at_once_agree_on_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    file = paths.database_file()
    open_it = (
        "import sys; from pathlib import Path; from ondol import database; "
        "database.connect(Path(sys.argv[1])).close()"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", open_it, str(file)], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    ends = [(process.communicate()[1], process.returncode) for process in running]
    assert ends == [(b"", 0)] * 4
    assert held(file)["changes"][0] == 1


def test_empty_passphrase_is_refused(file: Path) -> None:
    with pytest.raises(UsageError):
        encryption.lock(file, "")
    assert not cipher.is_encrypted(file)


def test_damaged_page_of_a_locked_library_is_found(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encryption.lock(file, WORD)
    content = bytearray(file.read_bytes())
    content[5 * 4096 + 100] ^= 1
    file.write_bytes(content)
    with pytest.raises(DocumentError) as caught:
        encryption.unlock(file)
    assert not isinstance(caught.value, LockedError)
    # The first page says whether there is a WAL; all others are as they were.
    assert file.read_bytes()[4096:] == content[4096:]
    assert not leftovers.new(file).exists() and not leftovers.old(file).exists()


def test_copy_that_is_not_the_same_never_takes_the_place(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held(file)
    copy = exchange.copy

    def lose_a_row(connection: database.Connection, target: Path, key: keys.Key | None):
        found = copy(connection, target, key)
        with closing(exchange.open_copy(target)) as written:
            written.execute("DELETE FROM notes WHERE id = 7")
        return found

    monkeypatch.setattr(exchange, "copy", lose_a_row)
    with pytest.raises(DocumentError, match="not the same"):
        encryption.lock(file, WORD)
    assert not cipher.is_encrypted(file)
    assert held(file) == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_full_disk_is_a_sentence_and_the_library_stays(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held(file)

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(leftovers, "sync", full)
    with pytest.raises(StorageError, match="full"):
        encryption.lock(file, WORD)
    monkeypatch.undo()
    monkeypatch.setenv("ONDOL_HOME", str(file.parents[1]))
    assert held(file) == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_leftovers_of_a_kill_are_overwritten_and_removed(file: Path, tmp_path: Path) -> None:
    leftover = leftovers.old(file)
    leftover.write_text(MARKER * 100)
    watcher = os.open(leftover, os.O_RDONLY)
    database.connect(file).close()
    assert not leftover.exists()
    assert os.read(watcher, 1 << 20).strip(b"\0") == b""
    os.close(watcher)


@pytest.mark.parametrize("ending", ["old", "new", "bak", "orig", "copy", "1"])
def test_copy_that_the_owner_made_beside_the_library_stays(ending: str, file: Path) -> None:
    copy = file.with_name(f"{file.name}.{ending}")
    copy.write_bytes(file.read_bytes())
    encryption.lock(file, WORD)
    database.connect(file).close()
    assert MARKER.encode() in copy.read_bytes()


def test_second_name_of_the_library_itself_goes_without_its_bytes(file: Path) -> None:
    before = held(file)
    os.link(file, leftovers.old(file))
    assert held(file) == before
    assert not leftovers.old(file).exists()


def test_somebody_elses_name_of_the_old_file_keeps_its_bytes(file: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "snapshot.db"
    os.link(file, theirs)
    encryption.lock(file, WORD)
    assert MARKER.encode() in theirs.read_bytes()


@pytest.mark.parametrize("is_good", [True, False])
def test_copy_that_another_process_has_begun_since_is_left_alone(
    is_good: bool, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is slow at the end must not zero what the next one is about to put in place."""
    put, close = exchange.put, exchange.alone

    def begin_another() -> None:
        leftovers.new(file).write_bytes(b"somebody else's")
        leftovers.old(file).unlink(missing_ok=True)
        leftovers.old(file).write_bytes(b"theirs too")

    def put_slowly(target: Path, file: Path) -> None:
        if not is_good:
            raise OSError(28, "No space left on device")
        put(target, file)
        begin_another()

    class Slow:
        def __init__(self, connection: object) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> object:
            return getattr(self._connection, name)

        def close(self) -> None:
            self._connection.close()  # type: ignore[attr-defined]
            begin_another()

    @contextmanager
    def alone(file: Path) -> Iterator[object]:
        with close(file) as connection:
            yield connection if is_good else Slow(connection)

    monkeypatch.setattr(exchange, "put", put_slowly)
    monkeypatch.setattr(exchange, "alone", alone)
    with nullcontext() if is_good else pytest.raises(StorageError):
        encryption.lock(file, WORD)
    assert leftovers.new(file).read_bytes() == b"somebody else's"
    assert leftovers.old(file).read_bytes() == b"theirs too"


@pytest.mark.parametrize("size", [3, 16, 100, 4096, 5000])
def test_file_of_noise_is_not_opened_and_not_touched(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = paths.database_file()
    paths.ensure(file.parent)
    noise = bytes((i * 37 + 11) % 256 for i in range(size))
    file.write_bytes(noise)
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    with pytest.raises(DocumentError):
        database.connect(file)
    assert file.read_bytes() == noise


ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.text(st.characters(exclude_categories=["Cs"])),
        st.none() | st.binary(),
        # SQLite knows no negative zero.
        st.none() | st.floats(allow_nan=False).map(lambda number: number + 0.0),
    ),
    max_size=30,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS, word=st.text(min_size=1, max_size=40))
def test_any_rows_survive_any_passphrase(
    rows: list[tuple[object, ...]], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "any" / "ondol.db"
    file.unlink(missing_ok=True)
    with closing(database.connect(file)) as connection:
        connection.execute("CREATE TABLE anything (a, b, c, d)")
        connection.executemany("INSERT INTO anything VALUES (?, ?, ?, ?)", rows)
        expected = connection.execute("SELECT * FROM anything").fetchall()
    encryption.lock(file, word)
    encryption.unlock(file)
    with closing(database.connect(file)) as connection:
        assert connection.execute("SELECT * FROM anything").fetchall() == expected


@given(rows=ROWS, other=ROWS, chance=st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_contents_notice_any_changed_row_and_no_other_order(
    rows: list[tuple[object, ...]], other: list[tuple[object, ...]], chance: random.Random
) -> None:
    def contents(given: list[tuple[object, ...]]) -> tuple[int, str]:
        with closing(sqlite.connect(":memory:")) as connection:
            connection.execute("CREATE TABLE anything (a, b, c, d)")
            connection.executemany("INSERT INTO anything VALUES (?, ?, ?, ?)", given)
            return exchange.contents(connection)["anything"]

    shuffled = list(rows)
    chance.shuffle(shuffled)
    assert contents(rows) == contents(shuffled)
    is_same = sorted(map(repr, other)) == sorted(map(repr, rows))
    assert (contents(other) == contents(rows)) is is_same

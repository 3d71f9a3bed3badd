"""The files of saved states: a budget, a lock, and nothing left of what is erased."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ondol import encryption, keys, paths
from ondol.database import connect
from ondol.engine import rendezvous
from ondol.engine.states import folder, sealing
from ondol.engine.states.identity import NOBODY, Identity, Name, head_tag, name
from ondol.engine.states.keeping import Keeping
from ondol.engine.states.seats import Seats, shared

MODEL = Identity("sha256:m", "blob 1", "", "[]")
SECRET_WORDS = b"the walnuts are in the cellar"


def keep(head: str, content: bytes, *, owner: str = "", budget: int = 1000) -> bool:
    through = folder.exchange()
    assert through is not None
    key = sealing.secret()
    assert key is not None
    named = name(key, MODEL, head, [len(head)], owner)
    with folder.on_its_way(through) as written:
        written.write_bytes(content)
        return folder.keep(written, named, budget, folder.epoch())


def found(head: str) -> Path | None:
    key = sealing.secret()
    assert key is not None
    return folder.find(head_tag(key, MODEL, head))


def on_disk(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


@pytest.fixture
def locked(home: Path) -> Path:
    connect(paths.database_file()).close()
    encryption.lock(paths.database_file(), "a passphrase")
    yield home
    memory = encryption.in_memory()
    for path in (memory / encryption.STATES).glob("*") if memory else ():
        path.unlink()
    keys.forget_all()


def test_the_least_recently_used_leaves_first_and_pins_last() -> None:
    assert keep("pinned", b"p" * 400, owner="pin")
    assert keep("old", b"o" * 250)
    assert keep("new", b"n" * 250)
    for age, head in ((300, "pinned"), (200, "old"), (100, "new")):
        path = found(head)
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    assert keep("newest", b"x" * 300)
    assert folder.find("no such tag") is None
    assert [found(head) is not None for head in ("pinned", "old", "new", "newest")] == [
        *(True, False, True, True)
    ]
    assert not keep("too large", b"x" * 1001)
    assert folder.used_bytes() <= 1000


def test_another_state_that_begins_so_takes_its_place(home: Path) -> None:
    assert keep("head", SECRET_WORDS)
    assert keep("head", b"something else")
    assert SECRET_WORDS not in on_disk(home)
    # As does that of a pin whose document has changed.
    assert keep("before", SECRET_WORDS, owner="pin")
    assert keep("after", b"something else", owner="pin")
    assert found("before") is None
    assert SECRET_WORDS not in on_disk(home)


def test_what_is_not_kept_is_erased() -> None:
    keep("one", b"1", owner="one")
    keep("two", b"2", owner="two")
    keep("three", b"3")
    (folder.directory() / folder.passing()).write_bytes(b"of a process that was killed")
    assert folder.erase_all_but({"two"}) == 2
    assert [path.read_bytes() for path in folder.owned("two")] == [b"2"]
    assert not list(folder.directory().glob("passing-*"))
    assert folder.erase_of_model("sha256:another") == 0
    assert folder.erase_of_model("sha256:m") == 1


def test_what_is_forgotten_just_before_a_state_has_its_name_is_not_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgotten_meanwhile(budget_bytes: int) -> None:
        (folder.directory() / folder.FORGOTTEN).write_text("another epoch")

    monkeypatch.setattr(folder, "_make_room", forgotten_meanwhile)
    assert not keep("head", SECRET_WORDS)
    assert SECRET_WORDS not in on_disk(home)


def test_a_disk_that_takes_nothing_more_keeps_nobody_from_forgetting(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder.erase_unpinned()
    assert keep("head", SECRET_WORDS)
    before = folder.epoch()
    monkeypatch.setattr(Path, "write_text", full)
    assert folder.erase_unpinned() == 1
    assert SECRET_WORDS not in on_disk(home) and folder.epoch() != before


def test_who_wants_no_states_kept_has_none_left(home: Path) -> None:
    assert keep("head", SECRET_WORDS, owner="pin")
    assert folder.given(1) == str(folder.directory())
    assert found("head") is not None
    assert folder.given(0) == ""
    assert SECRET_WORDS not in on_disk(home)


def test_another_library_with_the_number_of_one_that_is_gone_is_looked_at(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(paths.database_file()).close()
    assert not sealing.is_locked()
    monkeypatch.setattr(sealing.cipher, "is_encrypted", lambda file: True)
    assert not sealing.is_locked()
    paths.database_file().chmod(0o640)  # the same number, changed at another time
    assert sealing.is_locked()


HOLDER = """
import sys, time
from ondol.engine import rendezvous
from ondol.engine.states import folder

with folder.on_its_way(folder.directory()) as path:
    path.write_bytes(b"the walnuts are in the cellar")
    print(path, rendezvous.make(), flush=True)
    time.sleep(60)
"""


def test_what_a_running_process_uses_stays_and_what_a_killed_one_left_goes_at_once(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.ensure(folder.directory())
    # As long ago as can be, and with the number of a process that runs: neither says anything.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            file, socket = map(Path, other.stdout.readline().decode().split())
            os.utime(file, (0, 0))
            Keeping(1)
            folder.erase_all_but(set())
            rendezvous.remove(rendezvous.make())
            assert file.read_bytes() == SECRET_WORDS and socket.parent.is_dir()
        finally:
            other.kill()
    Keeping(1)
    rendezvous.remove(rendezvous.make())
    assert SECRET_WORDS not in on_disk(home) and not file.exists()
    assert not socket.parent.exists()


def test_what_is_in_memory_is_not_swept_where_that_is_the_temporary_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(encryption, "MEMORY", tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    # An owner whose number is that of no process; another house of the same; and this one.
    others = [tmp_path / f"ondol-{dead.pid}-{house * 16}" for house in "ab"]
    mine = encryption.in_memory()
    assert mine is not None
    kept = [house / what / "x" for house in (*others, mine) for what in ("states", "training")]
    for file in kept:
        file.parent.mkdir(parents=True)
        file.write_bytes(SECRET_WORDS)
    for _ in range(2):
        rendezvous.remove(rendezvous.make())
        Keeping(1)
    assert all(file.read_bytes() == SECRET_WORDS for file in kept)


def test_a_state_is_not_overwritten_while_a_model_is_being_given_it() -> None:
    assert keep("head", SECRET_WORDS)
    state = found("head")
    assert state is not None
    with folder.lent(state, folder.directory()) as file:
        eraser = threading.Thread(target=folder.erase_unpinned)
        eraser.start()
        eraser.join(0.2)
        assert (folder.directory() / file).read_bytes() == SECRET_WORDS and eraser.is_alive()
    eraser.join(5)
    assert not state.exists() and not eraser.is_alive()
    with pytest.raises(FileNotFoundError), folder.lent(state, folder.directory()):
        pass


def test_a_locked_library_has_no_plain_state_on_disk(locked: Path) -> None:
    through = folder.exchange()
    assert through is None or not through.is_relative_to(locked)
    if through is None:
        pytest.skip("this system has no folder in memory")
    assert keep("head", SECRET_WORDS)
    state = found("head")
    assert SECRET_WORDS not in on_disk(locked)
    with folder.lent(state, through) as file:
        assert (through / file).read_bytes() == SECRET_WORDS
    assert list(through.iterdir()) == []
    damaged = state.read_bytes()
    state.write_bytes(damaged[:-1] + bytes([damaged[-1] ^ 1]))
    with pytest.raises(ValueError, match="not sealed"), folder.lent(state, through):
        pass


def test_locking_and_unlocking_empty_the_folder(home: Path) -> None:
    connect(paths.database_file()).close()
    assert keep("head", SECRET_WORDS)
    encryption.lock(paths.database_file(), "a passphrase")
    assert SECRET_WORDS not in on_disk(home)
    assert folder.used_bytes() == 0
    if folder.exchange():
        assert keep("head", SECRET_WORDS)
    encryption.unlock(paths.database_file())
    assert folder.used_bytes() == 0
    keys.forget_all()


def test_a_process_that_may_write_plain_is_not_asked_to_once_the_library_is_locked(
    locked: Path,
) -> None:
    written = paths.ensure(folder.directory()) / folder.passing()
    written.write_bytes(SECRET_WORDS)
    named = Name(*(["0" * 32] * 4), NOBODY)
    assert not folder.keep(written, named, 1000, folder.epoch())
    assert SECRET_WORDS not in on_disk(locked)


def test_a_library_whose_key_is_not_known_gives_and_takes_nothing(locked: Path) -> None:
    keys.forget_all()
    assert sealing.secret() is None
    assert folder.owned("anything") == []


def test_large_files_are_sealed_in_blocks(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sealing, "BLOCK_BYTES", 10)
    for size in (0, 9, 10, 11, 35):
        plain, sealed, again = (tmp_path / f"{size}{end}" for end in ("p", "s", "a"))
        plain.write_bytes(bytes(range(size)))
        sealing.seal(plain, sealed, b"k" * 32, "name")
        sealing.unseal(sealed, again, b"k" * 32, "name")
        assert again.read_bytes() == plain.read_bytes()
        with pytest.raises(ValueError, match="not sealed"):
            sealing.unseal(sealed, tmp_path / f"{size}x", b"k" * 32, "another")
    # A file that lost its last block is not a shorter one.
    sealed.write_bytes(sealed.read_bytes()[: 3 * (10 + 28)])
    with pytest.raises(ValueError, match="not sealed"):
        sealing.unseal(sealed, tmp_path / "cut", b"k" * 32, "name")


def test_a_name_is_read_as_it_is_written() -> None:
    named = name(b"", MODEL, "head", [1, 2], "pin")
    assert Name.read(str(named)) == named
    assert Name.read("passing-0123456789abcdef") is None
    assert str(name(b"key", MODEL, "head", [1, 2], "pin")) != str(named)


def test_every_request_has_a_seat_of_its_own() -> None:
    seats = Seats(2)
    one = seats.take("hello world, how are you?")
    two = seats.take("hello world, how are you?")
    assert one is not two and one is not None and two is not None
    assert seats.take("third") is None
    one.held, two.held = "hello world", "something else"
    seats.leave(one)
    seats.leave(two)
    assert seats.take("hello world, how are you?") is one
    seats.leave(one)
    # Nothing in common: the one that was used least recently.
    assert seats.take("12345678901") is two


def test_what_two_texts_share_is_counted() -> None:
    assert [shared(a, b) for a, b in (("", "x"), ("abc", "abd"), ("ab", "ab"), ("a", "b"))] == [
        *(0, 2, 2, 0)
    ]

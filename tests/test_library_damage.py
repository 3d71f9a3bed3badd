"""A library that is damaged, a disk that is full, a reader beside a writer."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ondol import cipher, database, encryption, keys, paths
from ondol.errors import DocumentError, LockedError, OndolError, StorageError, UsageError
from ondol.rebuild import is_sound, rebuild
from ondol.retrieval.library import Library
from tests.retrieval.fake_embedder import FakeEmbedder


def open_library() -> Library:
    return Library(paths.database_file(), FakeEmbedder())


@pytest.fixture
def notes(tmp_path: Path, home: Path) -> Iterator[Path]:
    """A folder of documents that are in the library, in a collection of its own."""
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(30):
        text = f"Note {number} is about matter{number} and more. " * (5 + number % 7 * 20)
        (folder / f"{number:02}.txt").write_text(text, "utf-8")
    with closing(open_library()) as library:
        library.add([folder], collection="work")
        library.forget([folder / "05.txt"])
    yield folder
    keys.forget_all()


def damage(kind: str) -> None:
    file = paths.database_file()
    raw = bytearray(file.read_bytes())
    if kind == "zeroed header":
        raw[:4096] = bytes(4096)
    elif kind == "truncated":
        del raw[len(raw) // 2 :]
    elif kind == "cut within a page":
        del raw[len(raw) - 1000 :]
    elif kind == "garbage":
        raw[:] = b"not a database at all" * 500
    else:
        for page in range(3, len(raw) // 4096):
            raw[page * 4096 : page * 4096 + 64] = bytes([255 - page % 7]) * 64
    file.write_bytes(raw)


KINDS = ("zeroed header", "truncated", "cut within a page", "garbage", "flipped bytes")


def use() -> None:
    """What somebody does with a library."""
    with closing(open_library()) as library:
        library.documents()
        library.search("matter3")
        library.sync(retry=True)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_found_and_there_is_a_way_out(kind: str, notes: Path) -> None:
    from ondol.cli.failures import explain

    damage(kind)
    damaged = paths.database_file().read_bytes()
    assert not is_sound(paths.database_file())
    with pytest.raises(Exception) as caught:
        use()
    sentence = explain(caught.value)
    assert isinstance(sentence, DocumentError) and not isinstance(sentence, LockedError)
    assert "ondol library rebuild" in sentence.hint and "ondol restore" in sentence.hint
    done = rebuild(paths.database_file())
    assert Path(done.kept[0]).read_bytes()[: 1 << 16] == damaged[: 1 << 16]
    with closing(open_library()) as library:
        if not done.places:
            library.add([notes], collection="work")
        report = library.sync()
        assert not report.failed
        listed = library.documents()
        assert len(listed) in (29, 30)
        if done.has_all:
            # What was forgotten stays so, and the order of things too.
            assert len(listed) == 29 and {one.collection for one in listed} == {"work"}
        assert library.search("matter3")
    assert is_sound(paths.database_file())


def test_a_sound_library_is_not_rebuilt_by_accident(notes: Path) -> None:
    with pytest.raises(UsageError):
        rebuild(paths.database_file())
    with closing(open_library()) as library:
        library.pins.add(path=notes / "03.txt", name="third")
    done = rebuild(paths.database_file(), force=True)
    assert done.has_all and done.places == 1
    with closing(open_library()) as library:
        assert library.sync().added == 29
        # What is pinned was told to the library alone.
        assert "matter3" in library.pins.documents(library.pins.get("third"))[0].text


def test_a_locked_library_stays_locked(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.PASSPHRASE, "a passphrase")
    encryption.lock(paths.database_file(), "a passphrase")
    file = paths.database_file()
    raw = bytearray(file.read_bytes())
    for page in range(len(raw) // 4096 // 2, len(raw) // 4096):
        raw[page * 4096] ^= 1
    file.write_bytes(raw)
    done = rebuild(file)
    assert done.is_locked and cipher.is_encrypted(file)
    keys.forget_all()
    monkeypatch.setenv(keys.PASSPHRASE, "another one")
    with pytest.raises(LockedError):
        rebuild(file, force=True)


@pytest.mark.parametrize("kind", ["zeroed header", "truncated", "cut within a page", "few bytes"])
def test_a_locked_library_without_its_key_is_never_followed_by_a_plain_one(
    kind: str, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = paths.database_file()
    encryption.lock(file, "a passphrase")
    keys.forget_all()
    if kind == "few bytes":
        file.write_bytes(file.read_bytes()[:1000])
    else:
        damage(kind)
    damaged = file.read_bytes()
    for force in (False, True):
        with pytest.raises(LockedError):
            rebuild(file, force=force)
    assert file.read_bytes() == damaged
    if kind == "cut within a page":
        monkeypatch.setenv(keys.PASSPHRASE, "a passphrase")
        assert rebuild(file).is_locked and cipher.is_encrypted(file)


@contextmanager
def no_room(more_bytes: int) -> Iterator[None]:
    """Files may grow by so much only, as on a disk that is nearly full."""
    files = [paths.database_file(), Path(f"{paths.database_file()}-wal")]
    size = max(file.stat().st_size for file in files if file.exists())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + more_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("more_bytes", [0, 10_000, 100_000])
def test_a_full_disk_is_a_sentence_and_loses_nothing(
    notes: Path, tmp_path: Path, more_bytes: int
) -> None:
    from ondol.cli.failures import explain

    more = tmp_path / "more"
    more.mkdir()
    for number in range(200):
        text = " ".join(f"word{number * 500 + i}" for i in range(900))
        (more / f"{number}.txt").write_text(text, "utf-8")
    with closing(open_library()) as library:
        with no_room(more_bytes), pytest.raises(Exception) as caught:
            library.add([more])
        assert isinstance(explain(caught.value), StorageError)
        assert len(library.documents()) >= 29 and library.search("matter3")
        done = {one.source for one in library.documents()}
    with closing(open_library()) as library:
        assert {one.source for one in library.documents()} == done
        library.add([more])
        assert len(library.documents()) == 229
    assert is_sound(paths.database_file())


def test_forgetting_on_a_full_disk_is_finished_later(notes: Path) -> None:
    with closing(open_library()) as library:
        file = notes / "03.txt"
        with no_room(0):
            try:
                assert not library.forget([file]).is_erased
            except OndolError as error:
                assert isinstance(error, StorageError)
        if str(file) in {one.source for one in library.documents()}:
            library.forget([file])
    open_library().close()
    raw = b"".join(p.read_bytes() for p in paths.data_dir().iterdir() if p.is_file())
    assert b"Note 3 is about matter3 " not in raw and b"Note 4 is about matter4 " in raw


def test_readers_see_whole_documents_while_others_write(notes: Path) -> None:
    wrong: list[object] = []
    stop = threading.Event()

    def read() -> None:
        with closing(open_library()) as library:
            while not stop.is_set():
                try:
                    assert library.search("matter7")[0].chunk.source.endswith("07.txt")
                    assert 19 <= len(library.documents()) <= 29
                except Exception as error:
                    wrong.append(error)
                    return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    with closing(open_library()) as library:
        for number in range(10, 20):
            (notes / f"{number}.txt").write_text(f"Written anew {number}. " * 30, "utf-8")
            library.sync()
            library.forget([notes / f"{number}.txt"])
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    with closing(database.connect(paths.database_file())) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"

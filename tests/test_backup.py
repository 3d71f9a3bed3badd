"""A backup is encrypted, true, and puts back what was there; a bad one changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ondol import backup, cipher, database, encryption, exchange, keys, paths
from ondol.errors import DocumentError, LockedError, StorageError, UsageError
from tests.encryption_kill import MARKER, fill

WORD = "korrekt Pferd Batterie"
SECRET = "server-key-91c2"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(exchange, "PATIENCE_SECONDS", 0.05)
    keys.forget_all()
    keys.ask_with(None)
    yield
    keys.forget_all()
    keys.ask_with(None)


@pytest.fixture
def file() -> Path:
    """A library with something in it, and settings."""
    fill(paths.database_file(), 50)
    paths.ensure(paths.config_file().parent)
    paths.config_file().write_text(f'[server]\napi_key = "{SECRET}"\n', "utf-8")
    return paths.database_file()


def make(file: Path, target: Path, *, force: bool = False) -> backup.Backup:
    return backup.backup(file, target, paths.config_file(), passphrase=WORD, force=force)


def restore(target: Path, file: Path, *, force: bool = False) -> backup.Restored:
    return backup.restore(target, file, paths.config_file(), force=force)


def held(file: Path) -> exchange.Contents:
    with closing(database.connect(file)) as connection:
        return exchange.contents(connection)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_backup_of_a_plain_library_is_encrypted_and_restores_it_plain(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, target = held(file), tmp_path / "my.backup"
    made = make(file, target)
    content = target.read_bytes()
    assert MARKER.encode() not in content and SECRET.encode() not in content
    assert target.stat().st_mode & 0o777 == 0o600
    assert (made.was_locked, made.has_config, made.size_bytes) == (False, True, len(content))
    assert names(file.parent) == {file.name} and ".part" not in str(names(tmp_path))

    monkeypatch.setenv("ONDOL_HOME", str(tmp_path / "new machine"))
    keys.forget_all()
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    new = paths.database_file()
    done = restore(target, new)
    assert (done.is_locked, done.config, done.kept) == (True, "restored", ())
    assert SECRET in paths.config_file().read_text("utf-8")
    assert paths.config_file().stat().st_mode & 0o777 == 0o600
    assert held(new) == before


def test_vectors_that_a_server_keeps_are_not_taken_for_those_of_a_restored_library(
    file: Path, tmp_path: Path
) -> None:
    """As many may be there as when the backup was made, and still be others."""
    with closing(database.connect(file)) as connection:
        connection.execute(
            "INSERT INTO library_settings VALUES ('vectors at http://localhost:1/notes', '{}')"
        )
    target = tmp_path / "my.backup"
    make(file, target)
    restore(target, file, force=True)
    with closing(database.connect(file)) as connection:
        left = connection.execute("SELECT name FROM library_settings").fetchall()
    assert not [name for (name,) in left if name.startswith("vectors at")]


def test_restored_library_is_plain_where_nothing_was_locked(file: Path, tmp_path: Path) -> None:
    before, target = held(file), tmp_path / "my.backup"
    make(file, target)
    file.unlink()
    done = restore(target, file)
    assert not done.is_locked and not cipher.is_encrypted(file)
    assert held(file) == before
    with closing(database.connect(file)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert backup.TABLE not in tables


def test_plain_backup_does_not_take_the_lock_off_a_locked_library(
    file: Path, tmp_path: Path
) -> None:
    target = tmp_path / "my.backup"
    make(file, target)
    encryption.lock(file, "the library's own")
    assert restore(target, file, force=True).is_locked
    assert MARKER.encode() not in file.read_bytes()


def test_backup_of_a_locked_library_has_its_passphrase(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, target = held(file), tmp_path / "my.backup"
    encryption.lock(file, WORD)
    made = backup.backup(file, target, paths.config_file())
    assert made.was_locked
    encryption.lock(file, "another since")
    keys.forget_all()
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    file.unlink()
    assert restore(target, file).is_locked
    assert held(file) == before


def test_library_with_something_in_it_is_replaced_only_by_force(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "my.backup"
    make(file, target)
    with closing(database.connect(file)) as connection:
        connection.execute("INSERT INTO notes(text) VALUES ('since then')")
    paths.config_file().write_text("offline = true\n", "utf-8")
    since = held(file)
    with pytest.raises(UsageError) as caught:
        restore(target, file)
    assert "--force" in caught.value.hint
    assert held(file) == since
    done = restore(target, file, force=True)
    assert done.config == "restored" and SECRET in paths.config_file().read_text("utf-8")
    assert held(file) != since


def test_settings_that_are_here_stay_without_force(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "my.backup"
    make(file, target)
    file.unlink()
    paths.config_file().write_text("offline = true\n", "utf-8")
    assert restore(target, file).config == "kept"
    assert paths.config_file().read_text("utf-8") == "offline = true\n"


def test_backup_without_settings_says_so(file: Path, tmp_path: Path) -> None:
    paths.config_file().unlink()
    target = tmp_path / "my.backup"
    assert not make(file, target).has_config
    assert restore(target, file, force=True).config == "none"


@pytest.mark.parametrize("given", [None, "wrong"])
def test_backup_without_its_passphrase_changes_nothing(
    given: str | None, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, target = held(file), tmp_path / "my.backup"
    make(file, target)
    content = target.read_bytes()
    keys.forget_all()
    if given:
        monkeypatch.setenv(keys.PASSPHRASE, given)
    with pytest.raises(LockedError, match=r"my\.backup"):
        restore(target, file, force=True)
    assert target.read_bytes() == content
    assert held(file) == before and names(file.parent) == {file.name}


def damage(content: bytes, how: str, where: float) -> bytes:
    place = int(where * (len(content) - 1))
    if how == "cut":
        return content[:place]
    if how == "cut at a page":
        return content[: place // 4096 * 4096]
    changed = bytearray(content)
    changed[place] ^= 0x10
    return bytes(changed)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(how=st.sampled_from(["cut", "cut at a page", "one bit"]), where=st.floats(0, 1))
def test_any_damage_to_a_backup_is_found_and_changes_nothing(
    how: str, where: float, file: Path, tmp_path: Path
) -> None:
    target, broken = tmp_path / "my.backup", tmp_path / "broken.backup"
    if not target.exists():
        make(file, target)
    before = held(file)
    content = damage(target.read_bytes(), how, where)
    broken.write_bytes(content)
    # A changed salt, or a first page that is damaged, cannot be told from a wrong passphrase.
    with pytest.raises(DocumentError) as caught:
        restore(broken, file, force=True)
    assert "broken.backup" in caught.value.message
    assert broken.read_bytes() == content
    assert held(file) == before and names(file.parent) == {file.name}


@pytest.mark.parametrize(
    "kind", ["a plain library", "a locked library", "text", "nothing", "folder"]
)
def test_other_file_is_no_backup(kind: str, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    if kind in ("a plain library", "a locked library"):
        fill(other, 3)
        if kind == "a locked library":
            encryption.lock(other, WORD)
    elif kind == "text":
        other.write_text("not a backup")
    elif kind == "folder":
        other.mkdir()
    with pytest.raises(DocumentError):
        restore(other, file, force=True)
    assert names(file.parent) == {file.name}


@pytest.mark.parametrize("kind", ["damaged", "lost passphrase"])
def test_library_that_does_not_open_is_moved_aside_by_force(
    kind: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, target = held(file), tmp_path / "my.backup"
    make(file, target)
    if kind == "damaged":
        file.write_bytes(b"SQLite format 3\0 but no more" * 500)
    else:
        encryption.lock(file, "lost")
    old = file.read_bytes()
    keys.forget_all()
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    with pytest.raises(DocumentError):
        restore(target, file)
    assert file.read_bytes() == old
    done = restore(target, file, force=True)
    (aside,) = map(Path, done.kept)
    assert aside.read_bytes() == old
    assert held(file) == before and names(file.parent) == {file.name, aside.name}


def test_library_in_use_is_not_restored_over(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "my.backup"
    make(file, target)
    with closing(database.connect(file)), pytest.raises(StorageError, match="Another process"):
        restore(target, file, force=True)


HOLD = """
import sys
from contextlib import closing
from pathlib import Path
from ondol import database
with closing(database.connect(Path(sys.argv[1]))) as connection:
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_locked_library_that_a_server_has_open_is_not_moved_aside(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "my.backup"
    make(file, target)
    encryption.lock(file, "the server's")
    command = [sys.executable, "-c", HOLD, str(file)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, keys.PASSPHRASE: "the server's"},
    ) as server:
        assert server.stdout is not None and server.stdout.readline() == b"ready\n"
        keys.forget_all()
        monkeypatch.setenv(keys.PASSPHRASE, WORD)
        with pytest.raises(StorageError, match="Another process"):
            restore(target, file, force=True)
        server.communicate(b"")
    monkeypatch.setenv(keys.PASSPHRASE, "the server's")
    assert held(file)


WRITE = """
import sys
from contextlib import closing
from pathlib import Path
from ondol import database
with closing(database.connect(Path(sys.argv[1]))) as connection:
    number = 0
    while True:
        # Always two rows of the same number, in two tables.
        with database.transaction(connection):
            connection.execute("INSERT INTO one VALUES (?)", (number,))
            connection.execute("INSERT INTO two VALUES (?)", (number,))
        number += 1
        print(number, flush=True)
"""


def test_backup_while_another_process_writes_is_of_one_moment(file: Path, tmp_path: Path) -> None:
    with closing(database.connect(file)) as connection:
        connection.execute("CREATE TABLE one (x)")
        connection.execute("CREATE TABLE two (x)")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(file)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for _ in range(20):
        writer.stdout.readline()
    targets = [tmp_path / f"{number}.backup" for number in range(3)]
    for target in targets:
        make(file, target)
    writer.kill()
    writer.communicate()
    for target in targets:
        restore(target, file, force=True)
        contents = held(file)
        assert contents["one"] == contents["two"] and contents["one"][0] >= 20


def test_existing_file_is_replaced_only_by_force(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "my.backup"
    target.write_text("something else")
    with pytest.raises(UsageError, match="already"):
        make(file, target)
    assert target.read_text() == "something else"
    make(file, target, force=True)
    assert restore(target, file, force=True)


def test_library_is_not_overwritten_by_its_own_backup(file: Path) -> None:
    before = held(file)
    with pytest.raises(UsageError):
        make(file, file, force=True)
    assert held(file) == before


def test_backup_into_a_folder_that_is_not_there_is_a_sentence(file: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        make(file, tmp_path / "nowhere" / "my.backup")


def test_backup_that_does_not_restore_is_thrown_away(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, expected: exchange.Contents) -> None:
        raise DocumentError("not the same")

    monkeypatch.setattr(exchange, "verify", fail)
    old = tmp_path / "my.backup"
    old.write_text("the last good one")
    with pytest.raises(DocumentError, match="not the same"):
        make(file, old, force=True)
    assert old.read_text() == "the last good one"
    assert names(file.parent) == {file.name}


def test_backup_of_a_newer_ondol_is_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "my.backup"
    with closing(database.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")
        before = exchange.contents(connection)
    monkeypatch.setattr(database, "MIGRATIONS", (None,) * 99)
    make(file, target)
    monkeypatch.undo()
    monkeypatch.setenv("ONDOL_HOME", str(file.parents[1]))
    with closing(exchange.open_copy(file)) as connection:
        connection.execute("PRAGMA user_version = 1")
    with pytest.raises(DocumentError, match="newer"):
        restore(target, file, force=True)
    with closing(exchange.open_copy(file)) as connection:
        assert exchange.contents(connection)["notes"] == before["notes"]


def test_what_a_killed_backup_left_is_swept(file: Path, tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = gone.pid
    left = [tmp_path / f".my.backup.{dead}.part", file.with_name(f"ondol.db.{dead}.trial")]
    mine = file.with_name(f"ondol.db.{os.getppid()}.trial")
    for path in (*left, mine):
        path.write_text("half")
    make(file, tmp_path / "my.backup")
    assert not any(path.exists() for path in left) and mine.exists()


def test_damage_that_sqlite_takes_for_a_lack_of_memory_is_damage(tmp_path: Path) -> None:
    class Connection:
        def execute(self, statement: str) -> None:
            raise MemoryError

    with pytest.raises(DocumentError):
        exchange.check_sound(Connection(), tmp_path / "a.backup")

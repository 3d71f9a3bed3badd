"""Whatever is done to the library, the ledger in it stays whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ledgers import KEPT, SENT, filled

from ondol import backup, cipher, database, encryption, exchange, keys, paths, rebuild
from ondol.ledger.checkpoints import INTERVAL
from ondol.ledger.ledger import Ledger
from ondol.ledger.verification import Verification, verify

WORD = "korrekt Pferd Batterie"
COUNT = INTERVAL + 6


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
    """The owner's library, whose ledger has some entries."""
    with Ledger.open() as ledger:
        for number in range(COUNT):
            ledger.record(SENT if number % 2 else KEPT)
    return paths.database_file()


def checked() -> Verification:
    with Ledger.open() as ledger:
        return verify(ledger)


def make_backup(file: Path, target: Path) -> None:
    backup.backup(file, target, paths.config_file(), passphrase=WORD)


def test_locking_and_unlocking_keep_every_entry(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = checked()
    encryption.lock(file, WORD)
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    assert cipher.is_encrypted(file)
    assert checked() == before and before.is_intact
    with Ledger.open() as ledger:
        ledger.record(SENT)
    encryption.unlock(file)
    assert checked().is_intact and checked().entries == COUNT + 1


def test_a_locked_library_locks_its_ledger_too(file: Path) -> None:
    encryption.lock(file, WORD)
    raw = file.read_bytes()
    assert b"attic.local" not in raw and b"evil.example" not in raw


def test_a_restore_does_not_take_back_what_was_written_since(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    make_backup(file, tmp_path / "a.backup")
    with Ledger.open() as ledger:
        # Over a checkpoint.
        for _ in range(INTERVAL):
            ledger.record(SENT)
        newest = ledger.head()
    backup.restore(tmp_path / "a.backup", file, paths.config_file(), force=True)
    found = checked()
    assert found.is_intact and not found.notes and found.entries == COUNT + INTERVAL
    assert newest is not None and found.hash == newest.hash


def test_a_restore_on_a_new_machine_goes_on_from_the_backup(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    make_backup(file, tmp_path / "a.backup")
    with Ledger.open() as ledger:
        key = ledger.public_key()
    monkeypatch.setenv("ONDOL_HOME", str(tmp_path / "new machine"))
    monkeypatch.delenv(keys.PASSPHRASE)
    # What the new machine has done by itself is no reason to refuse, and stays out.
    with Ledger.open() as ledger:
        ledger.record(KEPT)
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    backup.restore(tmp_path / "a.backup", paths.database_file(), paths.config_file())
    with Ledger.open() as ledger:
        ledger.acknowledge("restored")
        assert ledger.public_key() == key
        assert next(ledger.entries()).kind == "restored"
    assert checked().is_intact and checked().entries == COUNT + 1


def test_a_restore_over_a_broken_library_says_what_it_cost(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    make_backup(file, tmp_path / "a.backup")
    with Ledger.open() as ledger:
        for _ in range(3):
            ledger.record(SENT)
    file.write_bytes(b"SQLite format 3\0 and then nothing that makes sense" * 1000)
    backup.restore(tmp_path / "a.backup", file, paths.config_file(), force=True)
    with Ledger.open() as ledger:
        ledger.acknowledge("restored")
    found = checked()
    assert found.is_intact
    assert [(one.first, one.last) for one in found.notes] == [(COUNT + 1, COUNT + 3)]


def test_rebuilding_keeps_the_ledger_and_the_key_it_is_signed_with(file: Path) -> None:
    before = checked()
    with closing(database.connect(file)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DROP TABLE chunk_vocabulary")
    rebuild.rebuild(file, force=True)
    assert checked() == before
    with Ledger.open() as ledger:
        ledger.acknowledge("rebuilt")
    assert checked().is_intact and checked().entries == COUNT + 1


def test_two_devices_do_not_mix_their_ledgers(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled(tmp_path / "other.db", 5):
        pass
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    make_backup(tmp_path / "other.db", tmp_path / "other.backup")
    backup.restore(tmp_path / "other.backup", file, paths.config_file(), force=True)
    with Ledger.open() as ledger:
        ledger.acknowledge("restored")
        assert len(list(ledger.entries())) == 6
    assert checked().is_intact

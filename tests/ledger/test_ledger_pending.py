"""What leaves while the library is locked is written down as soon as somebody opens it."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledgers import KEPT, SENT

from ondol import database, encryption, keys, paths
from ondol.errors import StorageError
from ondol.ledger.entries import Entry
from ondol.ledger.ledger import Ledger
from ondol.ledger.verification import verify

WORD = "korrekt Pferd Batterie"


@pytest.fixture
def locked() -> Iterator[Path]:
    """A locked library of which this process has forgotten the passphrase."""
    with Ledger.open() as ledger:
        ledger.record(KEPT)
    encryption.lock(paths.database_file(), WORD)
    keys.forget_all()
    keys.ask_with(None)
    yield paths.database_file()
    keys.forget_all()
    keys.ask_with(None)


def test_nobody_is_asked_for_a_passphrase_and_nothing_is_lost(
    locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(file: Path, attempt: int) -> str | None:
        raise AssertionError("asked for a passphrase")

    keys.ask_with(ask)
    waiting = paths.state_dir() / "ledger.pending"
    with Ledger.open() as ledger:
        for _ in range(3):
            ledger.record(SENT)
    assert len(waiting.read_text().splitlines()) == 3
    assert waiting.stat().st_mode & 0o777 == 0o600

    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    with Ledger.open() as ledger:
        ledger.record(KEPT)
        found = list(ledger.entries())[::-1]
        assert verify(ledger).is_intact
    assert [e.kind for e in found] == ["refused", "egress", "egress", "egress", "refused"]
    assert all(e.happened <= e.time and e.bytes_out == 2310 for e in found[1:4])
    assert not waiting.exists()


def test_a_spoilt_line_stops_nothing(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger.open() as ledger:
        ledger.record(SENT)
    with (paths.state_dir() / "ledger.pending").open("a") as file:
        file.write('nonsense\n[]\n{"kind":["x"]}\n{"kind":"egress","purpose":"my own words"}\n')
    monkeypatch.setenv(keys.PASSPHRASE, WORD)
    with Ledger.open() as ledger:
        ledger.record(SENT)
        assert verify(ledger).is_intact
        assert [e.purpose for e in ledger.entries(kind="egress")] == ["home", "other", "home"]


def test_whoever_sends_while_it_writes_is_in_nobodys_way() -> None:
    found: list[str] = []
    with Ledger.open() as ledger, Ledger.open() as other:
        ledger.append(Entry("feedback"))
        writing = threading.Thread(target=lambda: found.append(other.append(Entry("feedback"))))
        connection = database.connect(paths.database_file())
        with database.transaction(connection):
            ledger.record(SENT)
            writing.start()
            writing.join(0.5)  # it waits for the database by now
            assert writing.is_alive()
            assert ledger.record(SENT) == ""
        writing.join(60)
        connection.close()
        ledger.append(Entry("feedback"))
        kinds = [entry.kind for entry in ledger.entries()][::-1]
        assert verify(ledger).is_intact
    assert len(found) == 1
    assert sorted(kinds) == ["egress", "egress", "feedback", "feedback", "feedback"]


def test_a_line_that_does_not_fit_spoils_no_other(locked: Path) -> None:
    waiting = paths.state_dir() / "ledger.pending"
    with Ledger.open() as ledger:
        ledger.record(SENT)
        before = waiting.read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))
        try:
            with pytest.raises(StorageError):
                ledger.record(KEPT)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert waiting.read_bytes() == before
        waiting.write_bytes(before + before[:30])  # as a power cut leaves it
        ledger.record(KEPT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(keys.PASSPHRASE, WORD)
        with Ledger.open() as ledger:
            ledger.record(SENT)
            kinds = [entry.kind for entry in ledger.entries()][::-1]
    assert kinds == ["refused", "egress", "refused", "egress"]

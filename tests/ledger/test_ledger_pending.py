"""What leaves while the library is locked is written down as soon as somebody opens it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ledgers import KEPT, SENT

from ondol import encryption, keys, paths
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

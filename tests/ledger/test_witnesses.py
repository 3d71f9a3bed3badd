"""A ledger that was cut back to one of its own signed heads looks whole; a home that saw more of it
can tell, and says so unasked."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from ledgers import KEPT, filled, tamper

from ondol.errors import StorageError
from ondol.i18n import use_language
from ondol.ledger import checkpoints, pending, witnesses
from ondol.ledger.checkpoints import INTERVAL
from ondol.ledger.entries import Entry
from ondol.ledger.ledger import Ledger
from ondol.ledger.verification import verify
from ondol.ledger.witnesses import compare, contradiction

HOME = "https://attic.local:11436"
OTHER = "https://barn.local:11436"
COUNT = INTERVAL + 20


def seen_of(ledger: Ledger) -> str:
    head = ledger.head()
    assert head is not None
    return f"{head.count}:{head.hash.hex()}"


def cut_back(ledger: Ledger) -> None:
    """Do what nothing here can find: go back to the head that stays, in the file too."""
    with closing(ledger.connection()) as connection:
        row = connection.execute("SELECT * FROM ledger_checkpoints").fetchone()
    head = checkpoints.of_row(row)
    tamper(
        ledger,
        ("DELETE FROM ledger WHERE number > ?", (head.count,)),
        (
            "UPDATE ledger_head SET count = ?, time = ?, hash = ?, public_key = ?, signature = ?",
            row,
        ),
    )
    assert ledger.head_file is not None
    checkpoints.write_file(ledger.head_file, head, force=True)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return filled(tmp_path / "a.db", COUNT)


def breaks(ledger: Ledger) -> list[tuple[str, str]]:
    found = verify(ledger).findings
    return [(one.code, one.where) for one in found]


def test_ledger_that_was_cut_back_is_found_out_by_what_a_home_has_seen(ledger: Ledger) -> None:
    seen = seen_of(ledger)
    assert compare(ledger, HOME, seen) == "" == contradiction(ledger, seen)
    cut_back(ledger)
    assert verify(ledger).is_intact, "if this is found by itself, the docs are wrong"
    id = compare(ledger, HOME, seen)
    assert ledger.get(id).destination == "attic.local:11436"
    assert breaks(ledger) == [("break", "home_ahead")]
    with use_language("en"):
        assert "a home has seen" in verify(ledger).findings[0].message
    # It stays, however long the ledger grows, and is not said again and again.
    for _ in range(COUNT):
        ledger.record(KEPT)
        compare(ledger, HOME, seen)
    assert breaks(ledger) == [("break", "home_ahead")]
    assert contradiction(ledger, seen) == "home_other"


def test_entries_that_were_written_anew_are_found_out(ledger: Ledger) -> None:
    seen = seen_of(ledger)
    cut_back(ledger)
    for _ in range(30):
        ledger.record(KEPT)
    assert verify(ledger).is_intact
    assert compare(ledger, HOME, seen)
    assert breaks(ledger) == [("break", "home_other")]


def test_gap_that_somebody_explained_is_no_contradiction(ledger: Ledger) -> None:
    seen = seen_of(ledger)
    tamper(ledger, f"DELETE FROM ledger WHERE number > {COUNT - 5}")
    ledger.acknowledge("restored")
    assert compare(ledger, HOME, seen) == ""


def test_home_that_makes_things_up_does_not_fill_the_ledger(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(20):
        compare(ledger, HOME, f"{10**17 + n}:{n:064x}")
    assert len(list(ledger.entries(kind="break"))) == 1
    # A second home is heard all the same, and the numbers go on one by one.
    compare(ledger, OTHER, f"{10**17}:{'a' * 64}")
    assert next(ledger.entries()).number == COUNT + 2
    monkeypatch.setattr(witnesses, "PAUSE", -witnesses.PAUSE)
    compare(ledger, HOME, f"{10**17}:{'b' * 64}")
    assert len(list(ledger.entries(kind="break"))) == 3


@pytest.mark.parametrize(
    "said",
    ["", "x", "5", "0:" + "a" * 64, "-1:" + "a" * 64, "5:" + "A" * 64, "9" * 19 + ":" + "a" * 64],
)
def test_what_a_home_says_otherwise_changes_nothing(ledger: Ledger, said: str) -> None:
    assert compare(ledger, HOME, said) == ""
    assert verify(ledger).is_intact


@pytest.mark.parametrize("number", [2**63 - 1, 2**62, 2**40])
def test_last_number_there_is_blocks_nothing(ledger: Ledger, number: int) -> None:
    time = "2026-11-21T00:00:00.000Z"
    row = f"INSERT INTO ledger VALUES (?, '{time}', 'answer', '', '{{}}', zeroblob(32))"
    tamper(ledger, (row, (number,)))
    for _ in range(3):
        ledger.record(KEPT)
    with closing(ledger.connection()) as connection:
        written = "SELECT count(*) FROM ledger WHERE number > ? AND number < ?"
        assert connection.execute(written, (COUNT, number)).fetchone() == (3,)
    found = verify(ledger)
    assert not found.is_intact
    assert any(one.last == number for one in found.findings)


def test_too_much_that_waits_is_refused_and_none_of_it_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pending"
    entry = Entry("egress", destination="attic.local:1", bytes_out=1)
    pending.keep(file, entry)
    size = file.stat().st_size
    monkeypatch.setattr(pending, "MOST_BYTES", 3 * size)
    pending.keep(file, replace(entry, bytes_out=2))
    pending.keep(file, replace(entry, bytes_out=3))
    with pytest.raises(StorageError, match="waits") as caught:
        pending.keep(file, entry)
    assert caught.value.hint
    with pending.taken(file) as found:
        assert [one.bytes_out for one in found] == [1, 2, 3]


def test_what_waits_is_read_to_the_end_however_much_it_is(tmp_path: Path) -> None:
    file = tmp_path / "pending"
    pending.keep(file, Entry("egress", bytes_out=1))
    line = file.read_bytes()
    with file.open("ab") as stream:
        stream.write(b" " * (pending.MOST_BYTES + 10) + b"\n" + line)
    with pending.taken(file) as found:
        assert len(found) == 2
    assert not file.exists()

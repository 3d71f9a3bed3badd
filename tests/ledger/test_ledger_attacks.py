"""Attempts to falsify the ledger, or to keep its owner from reading it: each one must fail."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ledgers import KEPT, filled, tamper

from ondol import paths
from ondol.errors import StorageError
from ondol.ledger.explanation import explain, passages_of
from ondol.ledger.ledger import Ledger
from ondol.ledger.verification import verify


def forge(*lines: str) -> Ledger:
    """A ledger whose state folder somebody else has written into; one more entry follows."""
    ledger = Ledger.open()
    ledger.record(KEPT)
    (paths.state_dir() / "ledger.pending").write_text("\n".join(lines) + "\n")
    ledger.record(KEPT)
    return ledger


@pytest.mark.parametrize(
    "kind", ["answer", "restored", "rebuilt", "break", "enrolment", "served", "feedback", "made_up"]
)
def test_only_what_left_can_have_waited(kind: str) -> None:
    """Nothing else is ever kept in that file, so nothing else is taken from it and signed."""
    with forge(json.dumps({"kind": kind, "route": "local", "reasons": ["sure"]})) as ledger:
        assert [entry.kind for entry in ledger.entries()] == ["refused", "refused"]


def test_what_waited_always_says_so() -> None:
    with forge('{"kind":"egress","destination":"good.example:443"}') as ledger:
        (waited,) = ledger.entries(kind="egress")
        assert waited.happened


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"kind":' * 50_000, '{"kind":"egress","count":1e400}']
)
def test_no_line_stops_the_ledger(line: str) -> None:
    with forge(line, '{"kind":"egress","happened":"2026-11-21T19:42:18.123Z"}') as ledger:
        assert len(list(ledger.entries(kind="refused"))) == 2
        assert verify(ledger).is_intact


@pytest.mark.parametrize("reasons", [5, {}, None, [["x"]], ["no such reason"], [""], "x", []])
def test_a_forged_break_hides_nothing(tmp_path: Path, reasons: object) -> None:
    """Who rewrites the chain without the key must be found, whatever the entries then say."""
    with filled(tmp_path / "ondol.db", 3) as ledger:
        before = bytes.fromhex(next(e.id for e in ledger.entries() if e.number == 2))
        said = {"kind": "break", "number": 3, "reasons": reasons, "time": "x"}
        entry = json.dumps(said, sort_keys=True, separators=(",", ":"))
        hash = hashlib.sha256(before + entry.encode()).digest()
        words = "UPDATE ledger SET entry = ?, hash = ?, kind = 'break', time = 'x', route = ''"
        tamper(ledger, (f"{words} WHERE number = 3", (entry, hash)))
        found = verify(ledger)
        assert {one.code for one in found.findings} >= {"rewritten"}
        assert found.json()["findings"]


def test_an_entry_nobody_can_parse_is_found(tmp_path: Path) -> None:
    with filled(tmp_path / "ondol.db", 3) as ledger:
        words = "UPDATE ledger SET entry = ? WHERE number = 2"
        tamper(ledger, (words, ("[" * 100_000,)))
        assert [one.code for one in verify(ledger).findings] == ["changed"]
        assert len(list(ledger.entries())) == 3


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_something_else_in_the_place_of_the_file_is_said_in_a_sentence(
    make: Callable[[Path], None],
) -> None:
    """An answer is not lost for what cannot be written down: that is known by its class."""
    with Ledger.open() as ledger:
        ledger.record(KEPT)
        make(paths.state_dir() / "ledger.pending")
        with pytest.raises(StorageError, match=r"ledger\.pending"):
            ledger.record(KEPT)


@pytest.mark.parametrize("time", ["x", "", "999999-01-01T00:00:00.000Z", "2026-13-45T99:99:99Z"])
def test_an_impossible_time_keeps_nobody_from_reading(tmp_path: Path, time: str) -> None:
    """Whoever can write to the database must not be able to hide the rest behind one entry."""
    with filled(tmp_path / "ondol.db", 3) as ledger:
        entry = json.dumps({"kind": "answer", "number": 1, "time": time})
        words = "UPDATE ledger SET entry = ?, time = ?, kind = 'answer' WHERE number = 1"
        tamper(ledger, (words, (entry, time)))
        forged = next(one for one in ledger.entries() if one.number == 1)
        assert forged.reasons == ("unreadable",)
        assert explain(forged, passages_of(ledger, forged))
        assert [one.code for one in verify(ledger).findings] == ["changed"]


def test_impossible_numbers_keep_nobody_from_reading(tmp_path: Path) -> None:
    with filled(tmp_path / "ondol.db", 3) as ledger:
        time = next(one.time for one in ledger.entries() if one.number == 1)
        for seconds in ("1e300", "-1e300", "NaN", "1e999"):
            entry = f'{{"kind":"answer","number":1,"time":"{time}","seconds":{seconds}}}'
            tamper(ledger, ("UPDATE ledger SET entry = ? WHERE number = 1", (entry,)))
            forged = next(one for one in ledger.entries() if one.number == 1)
            assert explain(forged, passages_of(ledger, forged))


def add_forged(ledger: Ledger, said: dict[str, object]) -> None:
    """Append an entry and a head without the device's key, as well as that can be done."""
    newest = next(ledger.entries(limit=1))
    number, before = newest.number + 1, bytes.fromhex(newest.id)
    given = {"number": number, "time": newest.time, "route": "local", **said}
    entry = json.dumps(given, sort_keys=True, separators=(",", ":"))
    hash = hashlib.sha256(before + entry.encode()).digest()
    tamper(
        ledger,
        (
            "INSERT INTO ledger VALUES (?, ?, ?, 'local', ?, ?)",
            (number, newest.time, said["kind"], entry, hash),
        ),
        ("UPDATE ledger_head SET count = ?, hash = ?", (number, hash)),
    )


def test_ondol_signs_nothing_that_somebody_else_added(tmp_path: Path) -> None:
    """The head beside the entries says that they are ours: its signature does, not its numbers."""
    with filled(tmp_path / "ondol.db", 3) as ledger:
        add_forged(ledger, {"kind": "answer", "reasons": ["sure"]})
        ledger.record(KEPT)
        found = verify(ledger)
        assert [(one.code, one.where) for one in found.findings] == [("break", "unsigned")]


@pytest.mark.parametrize("count", [0, 2, -5, 3])
def test_head_in_the_file_that_nobody_signed_is_none(tmp_path: Path, count: int) -> None:
    with filled(tmp_path / "ondol.db", 3) as ledger:
        assert ledger.head_file is not None
        known = {one.number: one.id for one in ledger.entries()}
        head = json.loads(ledger.head_file.read_text())
        head |= {"count": count, "hash": known.get(count, "00" * 32), "signature": "00" * 64}
        ledger.head_file.write_text(json.dumps(head))
        ledger.record(KEPT)
        found = verify(ledger)
        assert [(one.code, one.where) for one in found.findings] == [("break", "head_missing")]


@pytest.mark.parametrize("text", ['{"count": 1e999}', '{"count": NaN}', "[" * 511, "{}", "\x00"])
def test_no_head_in_the_file_stops_the_ledger(tmp_path: Path, text: str) -> None:
    with filled(tmp_path / "ondol.db", 3) as ledger:
        assert ledger.head_file is not None
        full = {"time": "", "hash": "00", "public_key": "00", "signature": "00"}
        ledger.head_file.write_text(text.replace("}", f", {json.dumps(full)[1:]}"))
        ledger.record(KEPT)
        assert [one.where for one in verify(ledger).findings] == ["head_missing"]


def test_no_forged_checkpoint_uses_the_numbers_up(tmp_path: Path) -> None:
    with filled(tmp_path / "ondol.db", 3) as ledger:
        assert ledger.head_file is not None
        ledger.head_file.unlink()
        row = (2**63 - 1, "", b"", b"", b"")
        tamper(ledger, ("INSERT INTO ledger_checkpoints VALUES (?, ?, ?, ?, ?)", row))
        ledger.record(KEPT)
        ledger.record(KEPT)
        assert [one.number for one in ledger.entries()] == [6, 5, 4, 3, 2, 1]
        assert {one.code for one in verify(ledger).findings} == {"break", "head_forged"}

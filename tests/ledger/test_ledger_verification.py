"""Whatever somebody does to the ledger is found, and where."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledgers import KEPT, SENT, SURE, an_answer, filled, tamper

from ondol.i18n import use_language
from ondol.ledger import checkpoints
from ondol.ledger.chain import link
from ondol.ledger.checkpoints import INTERVAL, Head
from ondol.ledger.entries import NO_HASH, Entry, canonical
from ondol.ledger.ledger import Ledger
from ondol.ledger.verification import MOST_FINDINGS, Verification, verify

COUNT = 2 * INTERVAL + 10
COLUMNS = {
    "ledger": ("number", "time", "kind", "route", "entry", "hash"),
    "ledger_checkpoints": ("count", "time", "hash", "public_key", "signature"),
    "ledger_head": ("count", "time", "hash", "public_key", "signature"),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger that nobody has touched; copy it."""
    file = tmp_path_factory.mktemp("ledger") / "a.db"
    with filled(file, COUNT) as ledger, closing(ledger.connection()) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


@pytest.fixture
def ledger(original: Path, tmp_path: Path) -> Ledger:
    return copy_of(original, tmp_path)


def copy_of(original: Path, folder: Path) -> Ledger:
    for name in ("a.db", "a.db.head"):
        copyfile(original.with_name(name), folder / name)
    for name in ("a.db-wal", "a.db-shm"):
        (folder / name).unlink(missing_ok=True)
    return Ledger.open(folder / "a.db")


def told(head: Head) -> str:
    """A head as a home keeps it."""
    return f"{head.count}:{head.hash.hex()}"


def codes(found: Verification) -> set[tuple[str, int, int]]:
    return {(one.code, one.first, one.last) for one in found.findings}


def test_what_nobody_touched_is_intact(ledger: Ledger) -> None:
    found = verify(ledger)
    assert found.is_intact and not found.notes
    assert (found.entries, found.last, found.heads) == (COUNT, COUNT, 4)


def test_an_empty_ledger_is_intact(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.db") as empty:
        assert verify(empty).json()["intact"] and not verify(empty).entries


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_flipped_bit_of_any_stored_value_is_found(
    original: Path, tmp_path: Path, data: st.DataObject
) -> None:
    with copy_of(original, tmp_path) as ledger:
        table = data.draw(st.sampled_from(list(COLUMNS)))
        column = data.draw(st.sampled_from(COLUMNS[table]))
        with closing(ledger.connection()) as connection:
            rows = connection.execute(
                f"SELECT rowid, CAST({column} AS BLOB), typeof({column}) FROM {table}"
            ).fetchall()
        row, value, kind = data.draw(st.sampled_from(rows))
        changed: Any
        if kind == "integer":
            changed = int(value) ^ (1 << data.draw(st.integers(0, 40)))
        else:
            spoilt = bytearray(value or b"\0")
            spoilt[data.draw(st.integers(0, len(spoilt) - 1))] ^= 1 << data.draw(st.integers(0, 7))
            changed = bytes(spoilt)
        # Only where it takes no other row's place; that is a deletion, which has its own test.
        cast = "?" if kind != "text" else "CAST(? AS TEXT)"
        sql = f"UPDATE OR IGNORE {table} SET {column} = {cast} WHERE rowid = ?"
        tamper(ledger, (sql, (changed, row)))
        with closing(ledger.connection()) as connection:
            where = f"rowid = ? AND CAST({column} AS BLOB) IS CAST(? AS BLOB)"
            same = connection.execute(
                f"SELECT count(*) FROM {table} WHERE {where}", (row, value)
            ).fetchone()[0]
        found = verify(ledger)
        assert found.is_intact == bool(same), (table, column)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_flipped_bit_of_the_head_beside_is_found(
    original: Path, tmp_path: Path, data: st.DataObject
) -> None:
    with copy_of(original, tmp_path) as ledger:
        assert ledger.head_file is not None
        raw = bytearray(ledger.head_file.read_bytes())
        used = len(bytes(raw).rstrip())
        raw[data.draw(st.integers(0, used - 1))] ^= 1 << data.draw(st.integers(0, 7))
        ledger.head_file.write_bytes(raw)
        said = checkpoints.parse(bytes(raw))
        # The case of a hexadecimal letter means nothing.
        is_same = said is not None and said == ledger.head()
        assert verify(ledger).is_intact == is_same


@pytest.mark.parametrize("number", [1, 2, 70, INTERVAL, COUNT - 1, COUNT])
def test_a_changed_entry_is_named(ledger: Ledger, number: int) -> None:
    sql = "UPDATE ledger SET entry = replace(entry, 'kind', 'king') WHERE number = ?"
    tamper(ledger, (sql, (number,)))
    found = verify(ledger)
    assert codes(found) == {("changed", number, number)} and found.num_findings == 1


def test_a_changed_hash_is_named_once(ledger: Ledger) -> None:
    tamper(ledger, "UPDATE ledger SET hash = zeroblob(32) WHERE number = 50")
    assert codes(verify(ledger)) == {("changed", 50, 50)}


@pytest.mark.parametrize("column", ["time", "kind", "route"])
def test_a_column_that_says_something_else_than_its_entry_is_found(
    ledger: Ledger, column: str
) -> None:
    tamper(ledger, f"UPDATE ledger SET {column} = 'x' WHERE number = 5")
    assert codes(verify(ledger)) == {("changed", 5, 5)}


def test_removed_entries_are_counted(ledger: Ledger) -> None:
    tamper(ledger, "DELETE FROM ledger WHERE number BETWEEN 30 AND 33")
    found = verify(ledger)
    assert codes(found) == {("missing", 30, 33)}
    assert "4" in found.findings[0].message and found.findings[0].hint


def test_the_first_entry_cannot_go_either(ledger: Ledger) -> None:
    tamper(ledger, "DELETE FROM ledger WHERE number = 1")
    assert codes(verify(ledger)) == {("missing", 1, 1)}


def test_two_entries_that_changed_places_are_found(ledger: Ledger) -> None:
    tamper(
        ledger,
        "UPDATE ledger SET number = 9999 WHERE number = 20",
        "UPDATE ledger SET number = 20 WHERE number = 40",
        "UPDATE ledger SET number = 40 WHERE number = 9999",
    )
    assert {("moved", 20, 20), ("moved", 40, 40)} <= codes(verify(ledger))


def test_a_tail_that_was_cut_off_is_found_by_every_signature(ledger: Ledger) -> None:
    tamper(ledger, f"DELETE FROM ledger WHERE number > {INTERVAL + 5}")
    found = verify(ledger)
    assert {one.where for one in found.findings if one.code == "cut_off"} >= {"database", "file"}
    assert ("cut_off", INTERVAL + 6, COUNT) in codes(found)


def test_a_tail_cut_back_to_a_signed_head_is_found_by_the_file_beside(ledger: Ledger) -> None:
    tamper(
        ledger,
        f"DELETE FROM ledger WHERE number > {INTERVAL}",
        f"DELETE FROM ledger_checkpoints WHERE count > {INTERVAL}",
        "DELETE FROM ledger_head",
        "INSERT INTO ledger_head SELECT 1, * FROM ledger_checkpoints",
    )
    found = verify(ledger)
    assert codes(found) == {("cut_off", INTERVAL + 1, COUNT)}
    assert [one.where for one in found.findings] == ["file"]


def test_with_the_file_gone_too_home_still_knows(ledger: Ledger) -> None:
    at_home = ledger.head()
    assert at_home is not None and ledger.head_file is not None
    tamper(
        ledger,
        f"DELETE FROM ledger WHERE number > {INTERVAL}",
        f"DELETE FROM ledger_checkpoints WHERE count > {INTERVAL}",
        "DELETE FROM ledger_head",
        "INSERT INTO ledger_head SELECT 1, * FROM ledger_checkpoints",
    )
    ledger.head_file.unlink()
    assert codes(verify(ledger)) == {("head_missing", INTERVAL, INTERVAL)}
    found = verify(ledger, {"attic": told(at_home)})
    assert ("cut_off", INTERVAL + 1, COUNT) in codes(found)


def test_an_older_head_at_home_is_fine_and_one_of_another_device_is_not(
    ledger: Ledger, tmp_path: Path
) -> None:
    at_home = ledger.head()
    assert at_home is not None
    ledger.record(SENT)
    assert verify(ledger, {"attic": told(at_home)}).is_intact
    with filled(tmp_path / "b.db", 3) as other:
        stranger = other.head()
    assert stranger is not None
    assert codes(verify(ledger, {"attic": "no head"})) == {("head_forged", COUNT + 1, COUNT + 1)}
    assert verify(ledger, {"attic": ""}).is_intact
    found = verify(ledger, {"attic": told(stranger)})
    assert [(one.code, one.where) for one in found.findings] == [("rewritten", "home attic")]


def test_a_whole_ledger_that_another_key_signed_is_found(ledger: Ledger, tmp_path: Path) -> None:
    tables = [*COLUMNS]
    with filled(tmp_path / "b.db", COUNT) as other, closing(other.connection()) as connection:
        rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
    copyfile(tmp_path / "b.db.head", tmp_path / "a.db.head")
    changes: list[str | tuple[str, tuple[Any, ...]]] = [f"DELETE FROM {name}" for name in tables]
    for name in tables:
        marks = ", ".join("?" * len(rows[name][0]))
        changes += [(f"INSERT INTO {name} VALUES ({marks})", row) for row in rows[name]]
    tamper(ledger, *changes)
    found = verify(ledger)
    assert {one.code for one in found.findings} == {"head_forged"}
    assert {one.where for one in found.findings} == {"checkpoint", "database", "file"}


def test_an_older_head_never_takes_the_place_of_a_newer_one_beside(
    ledger: Ledger, tmp_path: Path
) -> None:
    older = ledger.head()
    ledger.record(SENT)
    newer = ledger.head()
    assert older is not None and newer is not None
    # The other process was quicker to write than to be told that it was not the last.
    checkpoints.write_file(ledger.head_file, older)
    assert checkpoints.read_file(ledger.head_file) == newer
    checkpoints.write_file(ledger.head_file, older, force=True)
    assert checkpoints.read_file(ledger.head_file) == older


def test_entries_that_somebody_adds_are_not_signed(ledger: Ledger) -> None:
    head = ledger.head()
    assert head is not None
    number = head.count + 1
    said = canonical(Entry("answer", number, "2026-11-21T00:00:00.000Z", route="local").json())
    values = (number, "2026-11-21T00:00:00.000Z", "answer", "local", said,
              link(head.hash, said.encode()))  # fmt: skip
    tamper(ledger, ("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?)", values))
    assert codes(verify(ledger)) == {("unsigned", number, number)}
    ledger.record(SENT)
    found = verify(ledger)
    assert [(one.code, one.first, one.where) for one in found.findings] == [
        ("break", number + 1, "unsigned")
    ]


def test_a_history_that_was_written_anew_is_found_from_the_last_good_signature(
    ledger: Ledger,
) -> None:
    with closing(ledger.connection()) as connection:
        rows = connection.execute("SELECT number, entry FROM ledger ORDER BY number").fetchall()
    before, changes = NO_HASH, []
    for number, entry in rows:
        said = json.loads(entry)
        if number == INTERVAL + 20:
            said["bytes_out"] = 0
        text = canonical(said)
        before = link(before, text.encode())
        changes.append((text, before, number))
    tamper(
        ledger,
        *(("UPDATE ledger SET entry = ?, hash = ? WHERE number = ?", one) for one in changes),
    )
    assert codes(verify(ledger)) == {
        ("rewritten", INTERVAL + 1, 2 * INTERVAL),
        ("rewritten", INTERVAL + 1, COUNT),
    }


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("DELETE FROM ledger_checkpoints WHERE count = 64", "head_missing"),
        ("DELETE FROM ledger_head", "head_missing"),
        ("UPDATE ledger_checkpoints SET time = '2020-01-01T00:00:00.000Z'", "head_forged"),
        ("UPDATE ledger_checkpoints SET count = 65 WHERE count = 64", "head_forged"),
        ("UPDATE ledger_head SET signature = zeroblob(64)", "head_forged"),
        ("UPDATE ledger_head SET signature = x''", "head_forged"),
    ],
)
def test_an_edited_signature_is_found(ledger: Ledger, statement: str, code: str) -> None:
    tamper(ledger, statement)
    assert code in {one.code for one in verify(ledger).findings}


def test_going_on_after_a_cut_cannot_cover_it_up(ledger: Ledger) -> None:
    tamper(ledger, f"DELETE FROM ledger WHERE number > {COUNT - 5}")
    ledger.record(KEPT)
    found = verify(ledger)
    assert codes(found) == {("missing", COUNT - 4, COUNT), ("break", COUNT + 1, COUNT + 1)}
    assert [one.where for one in found.findings if one.code == "break"] == ["cut_off"]
    ledger.append_answer(an_answer(), SURE)
    assert codes(verify(ledger)) == codes(found)
    assert [e.number for e in ledger.entries(limit=3)] == [COUNT + 3, COUNT + 2, COUNT + 1]


@pytest.mark.parametrize("content", [None, b"", b"no head at all"])
def test_a_head_file_that_went_is_noticed_once_and_stays_noticed(
    ledger: Ledger, content: bytes | None
) -> None:
    assert ledger.head_file is not None
    ledger.head_file.unlink() if content is None else ledger.head_file.write_bytes(content)
    assert codes(verify(ledger)) == {("head_missing", COUNT, COUNT)}
    ledger.record(SENT)
    ledger.record(SENT)
    found = verify(ledger)
    assert codes(found) == {("break", COUNT + 1, COUNT + 1)}
    assert found.findings[0].where == "head_missing"


def test_a_library_put_back_by_hand_is_a_finding_and_by_restore_a_note(
    original: Path, tmp_path: Path
) -> None:
    with copy_of(original, tmp_path) as ledger:
        for _ in range(5):
            ledger.record(SENT)
        head = (tmp_path / "a.db.head").read_bytes()
    for does_note in (False, True):
        with copy_of(original, tmp_path) as ledger:
            (tmp_path / "a.db.head").write_bytes(head)
            if does_note:
                ledger.acknowledge("restored")
            ledger.record(SENT)
            found = verify(ledger)
        gap = ("missing", COUNT + 1, COUNT + 5)
        if does_note:
            assert found.is_intact and [(n.code, n.first, n.last) for n in found.notes] == [gap]
        else:
            assert codes(found) == {gap, ("break", COUNT + 6, COUNT + 6)}


def test_findings_are_counted_and_only_the_first_are_kept(ledger: Ledger) -> None:
    tamper(ledger, "UPDATE ledger SET entry = '{}'")
    found = verify(ledger)
    assert len(found.findings) == MOST_FINDINGS < found.num_findings
    assert not found.is_intact


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_finding_has_a_sentence_and_a_next_step(ledger: Ledger, language: str) -> None:
    assert ledger.head_file is not None
    tamper(
        ledger,
        "DELETE FROM ledger WHERE number = 10",
        "UPDATE ledger SET entry = '{}' WHERE number = 20",
        "UPDATE ledger_checkpoints SET signature = zeroblob(64)",
        "DELETE FROM ledger_head",
    )
    ledger.head_file.unlink()
    with use_language(language):
        said = verify(ledger).json()["findings"]
    assert {one["code"] for one in said} >= {"missing", "changed", "head_forged", "head_missing"}
    assert all(one["message"] and one["hint"] and "{" not in one["message"] for one in said)


def test_verifying_while_others_append_finds_nothing(ledger: Ledger) -> None:
    import threading

    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            ledger.record(SENT)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert all(verify(ledger).is_intact for _ in range(20))
    finally:
        stop.set()
        thread.join()

"""What is written down, by whom, and what never is."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import KEPT, MODEL, PRIVATE, SECRET, SENT, SURE, an_answer, filled, tamper

from ondol import paths
from ondol.errors import LedgerEntryNotFoundError, StorageError, UsageError
from ondol.ledger import entries
from ondol.ledger.checkpoints import INTERVAL
from ondol.ledger.entries import Entry
from ondol.ledger.ledger import Ledger
from ondol.ledger.verification import verify
from ondol.types import Decision, Route


def test_an_answer_is_written_down_without_a_word_of_it(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.db") as ledger:
        id = ledger.append_answer(an_answer(), SURE, PRIVATE, task="grounded")
        found = ledger.get(id)
    assert (found.kind, found.route, found.reasons) == ("answer", "local", ("sure",))
    assert (found.model, found.task, found.sensitivity) == (MODEL, "grounded", "private")
    assert (found.probability, found.threshold) == (0.91, 0.85)
    assert (found.prompt_tokens, found.completion_tokens, found.seconds) == (300, 40, 1.2)
    assert found.label_reasons == ("document",)
    for file in tmp_path.iterdir():
        assert SECRET.encode() not in file.read_bytes()


def test_what_left_and_what_was_kept_are_entries_of_two_kinds(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.db") as ledger:
        ledger.record(SENT)
        ledger.record(KEPT)
        kept, sent = ledger.entries()
    assert (sent.kind, sent.destination, sent.purpose) == ("egress", "attic.local:11443", "home")
    assert (sent.bytes_out, sent.bytes_in, sent.sensitivity) == (2310, 800, "trusted")
    assert (kept.kind, kept.reasons, kept.bytes_out) == ("refused", ("label",), 0)


@pytest.mark.parametrize(
    ("field", "said", "kept"),
    [
        ("destination", "https://me:word@Example.com:8443/private/path?q=me", "example.com:8443"),
        ("destination", "[::1]:80", "[::1]:80"),
        ("destination", "two words", "other"),
        ("model", "/home/mina/divorce.gguf", "divorce.gguf"),
        ("model", "hf.co/org/Qwen2.5-7B-GGUF:Q4_K_M", "hf.co/org/Qwen2.5-7B-GGUF:Q4_K_M"),
        ("purpose", "When does my warranty end?", "other"),
        ("verdict", "온돌", "other"),
        ("request", "=HYPERLINK(1)", "other"),
        ("reasons", ("sure", "my own words"), ("sure", "other")),
        ("probability", float("nan"), None),
        ("seconds", float("inf"), None),
    ],
)  # fmt: skip
def test_nothing_but_codes_and_numbers_is_kept(tmp_path: Path, field, said, kept) -> None:
    with Ledger.open(tmp_path / "a.db") as ledger:
        found = ledger.get(ledger.append(Entry("answer", **{field: said})))
    assert getattr(found, field) == kept


@given(st.text(), st.lists(st.text()))
def test_no_text_with_a_space_or_a_letter_beyond_ascii_is_kept(text: str, more: list[str]) -> None:
    entry = Entry("x", purpose=text, destination=text, model=text, reasons=tuple(more)).cleaned()
    said = entries.canonical(entry.json())
    assert said.isascii() and " " not in said and "\\" not in said


@given(st.floats(), st.floats(), st.integers(0, 2**53), st.text())
def test_an_entry_reads_back_as_it_was_written(a: float, b: float, count: int, text: str) -> None:
    entry = Entry("answer", 7, "2026-11-21T08:00:00.000Z", probability=a, seconds=b, count=count,
                  purpose=text).cleaned()  # fmt: skip
    text = entries.canonical(entry.json())
    assert entries.read(text) == entry
    assert entries.canonical(entries.read(text).json()) == text


def test_an_entry_of_a_newer_ondol_is_still_read() -> None:
    found = entries.read('{"kind":"answer","moon_phase":"full","number":3}', "ab")
    assert (found.kind, found.number, found.id) == ("answer", 3, "ab")


@pytest.mark.parametrize(
    "text", ["[]", "nothing", '"x"', "{}", '{"kind":["x"]}', '{"kind":"x","seconds":"long"}',
             '{"kind":"x","seconds":true}', '{"kind":"x","reasons":"sure"}'],
)  # fmt: skip
def test_what_is_no_entry_is_not_read(text: str) -> None:
    with pytest.raises(ValueError):
        entries.read(text)


def test_an_entry_that_somebody_spoilt_does_not_hide_the_others(tmp_path: Path) -> None:
    with filled(tmp_path / "a.db", 3) as ledger:
        tamper(ledger, "UPDATE ledger SET entry = '[' WHERE number = 2")
        shown = list(ledger.entries())
    assert [one.number for one in shown] == [3, 2, 1]
    assert shown[1].reasons == ("unreadable",)


def test_an_id_may_be_its_beginning_or_the_last_answer(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.db") as ledger:
        first = ledger.append_answer(an_answer())
        ledger.record(SENT)
        assert ledger.get("last").id == ledger.get(first[:8].upper()).id == first
        for bad in ("abc", "x" * 8, first + "0", ""):
            with pytest.raises(UsageError) as raised:
                ledger.get(bad)
            assert raised.value.param == "id"
        with pytest.raises(LedgerEntryNotFoundError):
            ledger.get(f"{int(first[:8], 16) ^ 1:08x}")


def test_the_last_answer_of_an_empty_ledger_is_not_found(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.db") as ledger, pytest.raises(LedgerEntryNotFoundError):
        ledger.get("last")


def test_an_ambiguous_beginning_is_refused(tmp_path: Path) -> None:
    with filled(tmp_path / "a.db", 2) as ledger:
        _, first = (entry.id for entry in ledger.entries())
        twin = first[:-1] + ("0" if first[-1] != "0" else "1")
        tamper(ledger, ("UPDATE ledger SET hash = ? WHERE number = 2", (bytes.fromhex(twin),)))
        with pytest.raises(UsageError):
            ledger.get(first[:8])
        assert ledger.get(first).number == 1


def test_entries_come_newest_first_and_only_those_that_pass(tmp_path: Path) -> None:
    with filled(tmp_path / "a.db", 30) as ledger:
        everything = list(ledger.entries())
        assert [e.number for e in everything] == list(range(30, 0, -1))
        assert {e.kind for e in ledger.entries(kind="refused")} == {"refused"}
        assert [e.number for e in ledger.entries(route="local", limit=3)] == [28, 25, 22]
        middle = everything[10]
        since = [e.number for e in ledger.entries(since=middle.time)]
        until = [e.number for e in ledger.entries(until=middle.time)]
        assert middle.number in since and middle.number not in until
        assert len(since) + len(until) == 30
        pages = [list(ledger.entries(before=31 - size, limit=10)) for size in (0, 10, 20)]
        assert [e for page in pages for e in page] == everything


def test_the_owners_ledger_is_in_the_library_and_its_head_in_the_state_folder() -> None:
    with Ledger.open() as ledger:
        assert not paths.database_file().exists()
        ledger.record(SENT)
        head = ledger.head()
    assert head is not None and head.count == 1 and head.is_signed
    assert (paths.state_dir() / "ledger.head").stat().st_mode & 0o777 == 0o600
    assert ledger.head_file == paths.state_dir() / "ledger.head"


def test_a_head_that_cannot_be_written_is_said_and_the_entry_stays(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ledger = Ledger(tmp_path / "a.db", tmp_path / "file" / "ledger.head")
    with ledger, pytest.raises(StorageError):
        ledger.record(SENT)
    with Ledger(tmp_path / "a.db", tmp_path / "elsewhere") as again:
        assert [e.kind for e in again.entries()] == ["egress"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET kind = 'x' WHERE number = 3",
        "DELETE FROM ledger WHERE number = 3",
        "REPLACE INTO ledger SELECT number, time, 'x', route, entry, hash FROM ledger LIMIT 1",
        "UPDATE ledger_checkpoints SET time = ''",
        "DELETE FROM ledger_checkpoints",
        "REPLACE INTO ledger_checkpoints SELECT count, '', hash, public_key, signature "
        "FROM ledger_checkpoints",
        "DELETE FROM ledger_head",
    ],
)  # fmt: skip
def test_the_database_itself_refuses_an_accident(tmp_path: Path, statement: str) -> None:
    from sqlcipher3 import dbapi2 as sqlite

    with filled(tmp_path / "a.db", INTERVAL) as ledger, closing(ledger.connection()) as connection:
        with pytest.raises(sqlite.IntegrityError, match="append-only"):
            connection.execute(statement)
        assert verify(ledger).is_intact


def test_threads_and_processes_append_at_once_to_one_chain(tmp_path: Path) -> None:
    file, each = tmp_path / "a.db", 40
    script = (
        "import sys; from pathlib import Path; from ondol.ledger.ledger import Ledger\n"
        "from ondol.ledger.entries import Entry\n"
        "with Ledger.open(Path(sys.argv[1])) as ledger:\n"
        f"    for number in range({each}): ledger.append(Entry('feedback', count=number))\n"
    )
    Ledger.open(file).close()
    processes = [subprocess.Popen([sys.executable, "-c", script, str(file)]) for _ in range(2)]
    with Ledger.open(file) as ledger:

        def work() -> None:
            for _ in range(each):
                ledger.record(SENT)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [process.wait() for process in processes] == [0, 0]
        found = verify(ledger)
        assert found.is_intact and found.entries == 4 * each
        assert [e.number for e in ledger.entries()] == list(range(4 * each, 0, -1))


def test_an_answer_that_fell_back_says_both_why(tmp_path: Path) -> None:
    decision = Decision(Route.LOCAL, ("unsure", "home_failed", "home_busy"), 0.85, 3.0)
    with Ledger.open(tmp_path / "a.db") as ledger:
        answer = an_answer(reasons=("unsure", "model_language"), confidence=None)
        found = ledger.get(ledger.append_answer(answer, decision))
    assert found.reasons == ("unsure", "model_language", "home_failed", "home_busy")
    assert (found.probability, found.gain, found.sensitivity) == (None, 3.0, "private")


def test_the_rows_are_there_for_the_owners_own_sqlite(tmp_path: Path) -> None:
    filled(tmp_path / "a.db", 9).close()
    with closing(sqlite3.connect(tmp_path / "a.db")) as plain:
        rows = plain.execute("SELECT kind, count(*) FROM ledger GROUP BY kind").fetchall()
    assert dict(rows) == {"answer": 3, "egress": 2, "refused": 1, "feedback": 3}

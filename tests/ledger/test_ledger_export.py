"""An export that others can check with the lines in the docs, and one for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ledgers import SENT, filled, tamper

from ondol.ledger import export
from ondol.ledger.checkpoints import INTERVAL
from ondol.ledger.ledger import Ledger

DOCS = Path(__file__).parents[2] / "docs" / "ledger.md"
COUNT = INTERVAL + 7


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return filled(tmp_path / "a.db", COUNT)


def script(tmp_path: Path) -> Path:
    (found,) = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    file = tmp_path / "check.py"
    file.write_text(found, "utf-8")
    return file


def check(tmp_path: Path, lines: list[str], key: bytes) -> subprocess.CompletedProcess[str]:
    """The documented script as somebody else would run it: without Ondol."""
    exported = tmp_path / "ledger.jsonl"
    exported.write_text("".join(lines), "utf-8")
    command = [sys.executable, "-I", str(script(tmp_path)), str(exported), key.hex()]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_documented_script_accepts_what_was_exported(ledger: Ledger, tmp_path: Path) -> None:
    done = check(tmp_path, list(export.jsonl(ledger)), ledger.public_key())
    assert done.returncode == 0, done.stderr
    assert f"{COUNT} entries" in done.stdout
    assert "ondol" not in script(tmp_path).read_text().replace("ondol ledger head", "")


@pytest.mark.parametrize(
    "spoil", ["entry", "order", "removed", "tail", "head", "stranger", "added"]
)
def test_the_documented_script_refuses_what_was_changed(
    ledger: Ledger, tmp_path: Path, spoil: str
) -> None:
    lines, key = list(export.jsonl(ledger)), ledger.public_key()
    if spoil == "entry":
        lines[4] = lines[4].replace('"bytes_out":', '"bytes_out":1')
    elif spoil == "order":
        lines[4], lines[5] = lines[5], lines[4]
    elif spoil == "removed":
        del lines[4]
    elif spoil == "tail":
        del lines[-4:-1]
    elif spoil == "head":
        lines[-1] = lines[-1].replace('"count":', '"count":1')
    elif spoil == "stranger":
        key = filled(tmp_path / "b.db", 1).public_key()
    else:
        ledger.record(SENT)
        lines.append([line for line in export.jsonl(ledger) if '"entry"' in line][-1])
    assert check(tmp_path, lines, key).returncode != 0


def test_each_line_holds_the_entry_or_a_signed_head(ledger: Ledger) -> None:
    said = [json.loads(line) for line in export.jsonl(ledger)]
    assert [one["entry"]["number"] for one in said if "entry" in one] == list(range(1, COUNT + 1))
    assert [one["head"]["count"] for one in said if "head" in one] == [INTERVAL, COUNT]


def test_csv_has_a_row_for_every_entry_and_no_formula(ledger: Ledger) -> None:
    rows = list(csv.DictReader(io.StringIO("".join(export.rows(ledger)))))
    assert len(rows) == COUNT and set(rows[0]) == set(export.COLUMNS)
    newest_first = list(ledger.entries())
    assert [row["id"] for row in rows] == [entry.id for entry in newest_first][::-1]
    assert rows[0]["reasons"] == "sure" and rows[0]["probability"] == "0.91"
    assert not any(cell[:1] in "=+-@\t" for row in rows for cell in row.values() if cell)


def test_a_spoilt_entry_is_exported_as_it_is_and_does_not_stop_the_rest(ledger: Ledger) -> None:
    tamper(ledger, "UPDATE ledger SET entry = CAST(x'ff0a5b' AS TEXT) WHERE number = 2")
    assert len(list(export.jsonl(ledger))) == COUNT + 2
    assert len(list(export.rows(ledger))) == COUNT + 1


def test_an_empty_ledger_is_exported_too(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "empty.db") as empty:
        assert list(export.jsonl(empty)) == []
        assert len(list(export.rows(empty))) == 1

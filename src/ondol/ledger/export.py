"""The ledger for other programs: JSON lines that anybody can check, and CSV for a spreadsheet.

A line of the first holds an entry and its hash, or a signed head. docs/ledger.md has two dozen
lines of Python that check such a file with nothing but the device's public key.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import closing, suppress
from io import StringIO
from typing import Any

from ondol.ledger import checkpoints, entries
from ondol.ledger.ledger import Ledger

COLUMNS = (
    "number",
    "time",
    "kind",
    "route",
    "reasons",
    "probability",
    "calibrator",
    "threshold",
    "model",
    "draft_model",
    "task",
    "sensitivity",
    "label_reasons",
    "prompt_tokens",
    "completion_tokens",
    "seconds",
    "destination",
    "purpose",
    "bytes_out",
    "bytes_in",
    "energy_joules",
    "energy_source",
    "energy_meter",
    "cost_krw",
    "cloud_usd",
    "cloud_model",
    "krw_per_usd",
    "about",
    "id",
)


def jsonl(ledger: Ledger) -> Iterator[str]:
    """Every entry, the oldest first, each head that stays after its entry, the newest one last."""
    with closing(ledger.connection()) as connection:
        connection.execute("BEGIN")
        newest = checkpoints.newest(connection)
        rows = connection.execute(
            "SELECT CAST(l.entry AS BLOB), l.hash, c.count, c.time, c.hash, c.public_key, "
            "c.signature FROM ledger l LEFT JOIN ledger_checkpoints c ON c.count = l.number "
            "ORDER BY l.number"
        )
        for entry, hash, *head in rows:
            # The text itself: it is what was hashed. What somebody made of it stays on its line.
            text = entry.decode(errors="replace").replace("\n", " ")
            yield f'{{"entry":{text},"hash":"{bytes(hash).hex()}"}}\n'
            if head[0] is not None:
                yield _head_line(checkpoints.of_row(head))
        if newest is not None:
            yield _head_line(newest)


def rows(ledger: Ledger) -> Iterator[str]:
    """The same as CSV (RFC 4180), without the heads: a spreadsheet cannot check them."""
    yield _line(COLUMNS)
    with closing(ledger.connection()) as connection:
        connection.execute("BEGIN")
        for entry, hash in connection.execute(
            "SELECT CAST(entry AS BLOB), hash FROM ledger ORDER BY number"
        ):
            said: dict[str, Any] = {"id": bytes(hash).hex()}
            with suppress(ValueError):
                said |= entries.read(entry).json()
            yield _line([_cell(said.get(name, "")) for name in COLUMNS])


def _head_line(head: checkpoints.Head) -> str:
    return json.dumps({"head": head.json()}, separators=(",", ":")) + "\n"


def _cell(value: Any) -> Any:
    return " ".join(value) if isinstance(value, list) else value


def _line(cells: Any) -> str:
    line = StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()

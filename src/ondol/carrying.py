"""What a restore must not take back: entries of the ledger that are newer than the backup.

Knows only tables. The chain goes on where the backup's ends; that of another device, or one that
went another way, stays out.
"""

from __future__ import annotations

from ondol import database
from ondol.cipher import Connection

TABLES = ("identity", "ledger", "ledger_checkpoints", "ledger_head")
"""What Ondol writes about itself and not about the owner's documents."""


def carry_ledger(source: Connection, target: Connection) -> int:
    """Add the entries of ``source`` that follow the last one of ``target``; how many they are."""
    if _key(source) is None or _key(source) != _key(target):
        return 0
    (last,) = target.execute("SELECT coalesce(max(number), 0) FROM ledger").fetchone()
    if _hash(source, last) != _hash(target, last):
        return 0
    with database.transaction(target):
        added = _copy(source, target, "ledger", "number", last)
        _copy(source, target, "ledger_checkpoints", "count", last)
        head = source.execute("SELECT * FROM ledger_head").fetchone()
        if added and head is not None:
            target.execute("INSERT OR REPLACE INTO ledger_head VALUES (?, ?, ?, ?, ?, ?)", head)
    return added


def _copy(source: Connection, target: Connection, table: str, order: str, last: int) -> int:
    count = 0
    for row in source.execute(f"SELECT * FROM {table} WHERE {order} > ? ORDER BY 1", (last,)):
        marks = ", ".join("?" * len(row))
        target.execute(f"INSERT INTO {table} VALUES ({marks})", row)
        count += 1
    return count


def _key(connection: Connection) -> bytes | None:
    row = connection.execute("SELECT private_key FROM identity").fetchone()
    return bytes(row[0]) if row else None


def _hash(connection: Connection, number: int) -> bytes | None:
    row = connection.execute("SELECT hash FROM ledger WHERE number = ?", (number,)).fetchone()
    return bytes(row[0]) if row else None

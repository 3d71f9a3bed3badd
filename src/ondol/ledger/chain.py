"""The chain in the database: where it ends, how entries are added, and whether it is as it was.

The hash of an entry is SHA-256 of the hash before it and of its canonical JSON. A number that was
once signed is never given again: what was cut off stays a gap that everybody sees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ondol.database import Connection
from ondol.ledger import checkpoints, entries
from ondol.ledger.checkpoints import Head
from ondol.ledger.entries import NO_HASH, Entry

if TYPE_CHECKING:
    from ondol.identity import Identity


MOST_UNSIGNED = 1 << 32
"""A row so far behind what was signed is none of ours, and there is no going on from it: its number
may be the last there is. ``verify`` finds it."""


class End(NamedTuple):
    """The number of the last entry, or the last that ever was, and the hash to go on from."""

    number: int
    hash: bytes


def link(before: bytes, entry: bytes) -> bytes:
    """The hash of an entry (its canonical JSON in UTF-8) that follows the hash ``before``."""
    return hashlib.sha256(before + entry).digest()


def add(
    connection: Connection, identity: Identity, end: End, new: Sequence[Entry]
) -> tuple[list[bytes], Head]:
    """Add ``new`` after ``end`` and sign where they end; their hashes and the new head."""
    hashes = []
    for entry in new:
        end = _insert(connection, end, entry)
        hashes.append(end.hash)
        if len(hashes) == len(new) or end.number % checkpoints.INTERVAL == 0:
            head = checkpoints.sign(identity, *end)
            checkpoints.keep(connection, head)
    return hashes, head


def find_end(
    connection: Connection, identity: Identity, beside: Head | None, *, has_file: bool
) -> tuple[End, Entry | None]:
    """Where to go on, and what is wrong with what is there: an entry "break", or ``None``.
    ``beside`` is the head in the file, where there is such a file at all."""
    kept = _ours(checkpoints.newest(connection), identity)
    # The same signature is not checked twice: an entry waits for this.
    beside = kept if beside == kept else _ours(beside, identity)
    end = _last(connection, max(head.count if head else 0 for head in (kept, beside)))
    if kept is None and beside is None and not end.number:
        return end, None
    reason = _broken(connection, end, kept, beside, has_file)
    if not reason:
        return end, None
    signed = (kept, beside, _last_that_stays(connection, identity))
    number = max([end.number, *(head.count for head in signed if head)])
    about = beside.hash.hex() if beside else ""
    broken = Entry("break", reasons=(reason,), about=about, count=end.number)
    return End(number, end.hash), broken


def why_broken(reasons: object) -> str:
    """Why, by the ``reasons`` of an entry "break", which anybody may have written."""
    known = isinstance(reasons, list) and reasons[:1] and reasons[0] in _WHYS
    return str(reasons[0]) if known else "unsigned"  # type: ignore[index]


_WHYS = ("head_missing", "cut_off", "rewritten", "unsigned", "home_ahead", "home_other")


def _broken(
    connection: Connection, end: End, kept: Head | None, beside: Head | None, has_file: bool
) -> str:
    if beside is None:
        if has_file:
            return "head_missing"
    elif beside.count > end.number:
        return "cut_off"
    elif beside.hash != _hash_at(connection, beside.count):
        return "rewritten"
    is_signed = kept is not None and (kept.count, kept.hash) == end
    return "" if is_signed else "unsigned"


def _insert(connection: Connection, end: End, entry: Entry) -> End:
    number, time = end.number + 1, entries.now()
    said = entries.canonical({**entry.json(), "number": number, "time": time})
    hash = link(end.hash, said.encode())
    connection.execute(
        "INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?)",
        (number, time, entry.kind, entry.route, said, hash),
    )
    return End(number, hash)


def _ours(head: Head | None, identity: Identity) -> Head | None:
    """``head`` if this device signed it: any other one says nothing of what was written."""
    is_ours = head and head.public_key == identity.public_key and head.is_signed
    return head if is_ours else None


def _last_that_stays(connection: Connection, identity: Identity) -> Head | None:
    rows = connection.execute(
        "SELECT count, time, hash, public_key, signature FROM ledger_checkpoints "
        "ORDER BY count DESC"
    )
    heads = (_ours(checkpoints.of_row(row), identity) for row in rows)
    return next((head for head in heads if head), None)


def _last(connection: Connection, signed: int) -> End:
    row = connection.execute(
        "SELECT number, hash FROM ledger WHERE number <= ? ORDER BY number DESC LIMIT 1",
        (signed + MOST_UNSIGNED,),
    ).fetchone()
    return End(row[0], bytes(row[1])) if row else End(0, NO_HASH)


def _hash_at(connection: Connection, number: int) -> bytes:
    row = connection.execute("SELECT hash FROM ledger WHERE number = ?", (number,)).fetchone()
    return bytes(row[0]) if row else NO_HASH

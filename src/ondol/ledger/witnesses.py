"""What a home has seen of this ledger, held against what is here now.

A home keeps the farthest head that the device has sent it. A ledger that was cut back to one of its
own signed heads looks whole from within; only somebody who saw more can tell. Whenever a device
hears of a home, it compares, and writes a "break" down where the two do not fit.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ondol.database import Connection
from ondol.ledger.entries import Entry, as_time, host_of

if TYPE_CHECKING:
    from ondol.ledger.ledger import Ledger

EXPLAINED = ("restored", "rebuilt", "break")
"""What an entry after a gap says of it."""

# A home that makes things up must not fill the ledger.
PAUSE = timedelta(hours=1)
_SEEN = re.compile(r"([1-9]\d{0,17}):([0-9a-f]{64})")


def compare(ledger: Ledger, destination: str, seen: str) -> str:
    """Note in ``ledger`` where it cannot be what the home at ``destination`` has seen
    ("count:hash"): the id of the entry "break" that says so, or "" where it fits or that was noted
    before. Raises what the ledger raises."""
    why = contradiction(ledger, seen)
    if not why:
        return ""
    count, _, hash = seen.partition(":")
    with ledger.reading() as connection:
        if _is_noted(connection, destination, hash):
            return ""
    broken = Entry("break", reasons=(why,), about=hash, count=int(count), destination=destination)
    return ledger.append(broken)


def contradiction(ledger: Ledger, seen: str) -> str:
    """Why ``ledger`` cannot be what a home has ``seen``: it is shorter ("home_ahead"), or has
    another entry there ("home_other"); "" where it can, or where that cannot be understood."""
    found = _SEEN.fullmatch(seen)
    if found is None:
        return ""
    with ledger.reading() as connection:
        return _contradiction(connection, int(found[1]), found[2])


def _contradiction(connection: Connection, count: int, hash: str) -> str:
    row = connection.execute(
        "SELECT number, kind, hash FROM ledger WHERE number >= ? ORDER BY number LIMIT 1", (count,)
    ).fetchone()
    if row is None:
        return "home_ahead"
    number, kind, here = row
    if number == count:
        return "" if bytes(here).hex() == hash else "home_other"
    return "" if kind in EXPLAINED else "home_other"


def _is_noted(connection: Connection, destination: str, hash: str) -> bool:
    since = as_time(datetime.now(UTC) - PAUSE)
    for time, text in connection.execute(
        "SELECT time, entry FROM ledger WHERE kind = 'break' ORDER BY number DESC"
    ):
        try:
            said = json.loads(text)
            is_here = said.get("destination") == host_of(destination)
            if is_here and (said.get("about") == hash or time > since):
                return True
        except (ValueError, AttributeError, RecursionError):
            continue  # somebody changed it: ``verify`` says so
    return False

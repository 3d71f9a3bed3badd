"""Checks the whole ledger in one pass and constant memory, and says which entry is not as signed.

Found are: any changed byte, an entry that was removed, added or moved, a tail that was cut off or
replaced, and a head that was edited; an accident and an attacker who lacks the device's key look
the same. ``verify`` never changes anything, and others may append meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from ondol.database import Connection
from ondol.i18n import t
from ondol.ledger import checkpoints
from ondol.ledger.chain import link, why_broken
from ondol.ledger.checkpoints import INTERVAL, Head
from ondol.ledger.entries import NO_HASH
from ondol.ledger.ledger import Ledger

MOST_FINDINGS = 100

ACKNOWLEDGED = ("restored", "rebuilt")
"""Entries with which the owner says why there is a gap before them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong (or, in a note, was) with the entries from ``first`` to ``last``. ``code`` is
    one of changed, moved, missing, rewritten, unsigned, cut_off, head_missing, head_forged, break;
    ``where`` says which head ("database", "file", "home …", "checkpoint") or why it broke."""

    code: str
    first: int
    last: int
    where: str = ""

    @property
    def message(self) -> str:
        """What happened, for people."""
        where = t(f"ledger.where_{self.where.partition(' ')[0] or 'database'}")
        count = self.last - self.first + 1
        key = f"ledger.finding_{self.code}"
        return t(key, first=self.first, last=self.last, count=count, where=where)

    @property
    def hint(self) -> str:
        """What to do about it."""
        return t(f"ledger.finding_{self.code}_hint")


@dataclass(slots=True)
class Verification:
    """What came of it. ``findings`` are the first ones of ``num_findings``, in the order of the
    entries; ``notes`` are gaps that the owner's own restoring explains."""

    public_key: bytes = b""
    entries: int = 0
    heads: int = 0
    last: int = 0
    hash: bytes = NO_HASH
    findings: list[Finding] = field(default_factory=list)
    num_findings: int = 0
    notes: list[Finding] = field(default_factory=list)

    @property
    def is_intact(self) -> bool:
        return not self.num_findings

    def json(self) -> dict[str, Any]:
        """For CLI and API."""
        return {
            "intact": self.is_intact,
            "public_key": self.public_key.hex(),
            "entries": self.entries,
            "signed_heads": self.heads,
            "head": self.hash.hex() if self.entries else None,
            "findings": [_json(one) for one in self.findings],
            "num_findings": self.num_findings,
            "notes": [_json(one) for one in self.notes],
        }

    def find(self, code: str, first: int, last: int = 0, where: str = "") -> None:
        """Add a finding."""
        self.num_findings += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(code, first, last or first, where))


def verify(ledger: Ledger, witnesses: Mapping[str, str] | None = None) -> Verification:
    """Read all of ``ledger``. ``witnesses`` are the heads that homes keep, by the home's name, as
    they keep them: "count:hash".

    Raises what opening the database raises."""
    key = ledger.public_key()
    # Before the rows: what is appended from here on must not look cut off.
    beside = checkpoints.read_file(ledger.head_file)
    with closing(ledger.connection()) as connection:
        connection.text_factory = bytes
        connection.execute("BEGIN")
        heads: dict[str, Head | None] = {"database": _newest(connection)}
        if ledger.head_file is not None:
            heads["file"] = beside
        seen = {f"home {name}": _seen(text) for name, text in (witnesses or {}).items() if text}
        return _Pass(key, heads, seen).over(connection)


class _Pass:
    """One reading of all rows."""

    def __init__(
        self,
        key: bytes,
        heads: Mapping[str, Head | None],
        seen: Mapping[str, tuple[int, bytes] | None],
    ) -> None:
        self.key, self.heads, self.seen = key, heads, seen
        self.result = Verification(key)
        self.wanted = {head.count for head in heads.values() if head}
        self.wanted |= {known[0] for known in seen.values() if known}
        self.hashes: dict[int, bytes] = {}
        self.attested = 0
        self.gaps: list[tuple[int, int]] = []
        self.computed: bytes | None = None

    def over(self, connection: Connection) -> Verification:
        signed = _checkpoints(connection)
        checkpoint = next(signed, None)
        for row in connection.execute(
            "SELECT number, time, kind, route, CAST(entry AS BLOB), hash FROM ledger "
            "ORDER BY number"
        ):
            while checkpoint is not None and checkpoint[0] < row[0]:
                self._stray(*checkpoint)
                checkpoint = next(signed, None)
            self._entry(*row)
            if checkpoint is not None and checkpoint[0] == row[0]:
                self._checkpoint(*checkpoint)
                checkpoint = next(signed, None)
            elif row[0] % INTERVAL == 0:
                self.result.find("head_missing", row[0], where="checkpoint")
        while checkpoint is not None:
            self._stray(*checkpoint)
            checkpoint = next(signed, None)
        for name, head in self.heads.items():
            self._head(name, head)
        for name, known in self.seen.items():
            if known is None:
                self.result.find("head_forged", self.result.last, where=name)
            else:
                self._compare(name, *known)
        return self.result

    def _entry(
        self, number: int, time: bytes, kind: bytes, route: bytes, entry: bytes, hash: Any
    ) -> None:
        result, stored = self.result, _bytes(hash)
        computed = link(result.hash, entry)
        follows = computed == stored
        # The hash before this one was changed, and has been found: its entry is what we follow.
        if not follows and self.computed is not None:
            follows = link(self.computed, entry) == stored
        said = _parse(entry)
        if number != result.last + 1:
            self._gap(result.last + 1, number - 1, said, follows)
        elif not follows:
            result.find("changed", number)
        if said is not None and said.get("number") != number:
            result.find("moved", number)
        elif follows and (time, kind, route) != _columns(said or {}):
            result.find("changed", number)
        if follows and said is not None and said.get("kind") == "break":
            result.find("break", number, where=why_broken(said.get("reasons")))
        self.computed = None if computed == stored else computed
        result.entries += 1
        result.last, result.hash = number, stored
        if number in self.wanted:
            self.hashes[number] = stored

    def _gap(self, first: int, last: int, said: dict[str, Any] | None, follows: bool) -> None:
        if follows and said is not None and said.get("kind") in ACKNOWLEDGED:
            if len(self.result.notes) < MOST_FINDINGS:
                self.result.notes.append(Finding("missing", first, last))
                self.gaps.append((first, last))
        else:
            self.result.find("missing", first, last)

    def _checkpoint(self, count: int, head: Head | None) -> None:
        if head is None or not self._is_ours(head):
            self.result.find("head_forged", count, where="checkpoint")
        elif head.hash != self.result.hash:
            self.result.find("rewritten", self.attested + 1, count, "checkpoint")
        else:
            self.result.heads += 1
            self.attested = count

    def _stray(self, count: int, head: Head | None) -> None:
        """A checkpoint of an entry that is not there."""
        if head is None or not self._is_ours(head):
            self.result.find("head_forged", count, where="checkpoint")
        elif count > self.result.last:
            # Inside, the gap itself is found.
            self.result.find("cut_off", self.result.last + 1, count, "checkpoint")

    def _head(self, name: str, head: Head | None) -> None:
        result = self.result
        if head is None:
            if result.entries:
                result.find("head_missing", result.last, where=name)
        elif not self._is_ours(head):
            result.find("head_forged", head.count, where=name)
        elif self._compare(name, head.count, head.hash):
            if name == "database" and head.count < result.last:
                result.find("unsigned", head.count + 1, result.last, name)
            else:
                result.heads += 1

    def _compare(self, name: str, count: int, hash: bytes) -> bool:
        """Whether the entry ``count`` is here and has this hash."""
        if count > self.result.last:
            self.result.find("cut_off", self.result.last + 1, count, name)
        elif any(first <= count <= last for first, last in self.gaps):
            return False
        elif self.hashes.get(count) != hash:
            self.result.find("rewritten", min(self.attested + 1, count), count, name)
        else:
            return True
        return False

    def _is_ours(self, head: Head) -> bool:
        return head.public_key == self.key and head.is_signed


def _seen(text: str) -> tuple[int, bytes] | None:
    """What a home has seen, from "count:hash"."""
    count, _, hash = text.partition(":")
    try:
        return int(count), bytes.fromhex(hash)
    except ValueError:
        return None


def _newest(connection: Connection) -> Head | None:
    row = connection.execute(
        "SELECT count, time, hash, public_key, signature FROM ledger_head"
    ).fetchone()
    return None if row is None else _read(row)


def _checkpoints(connection: Connection) -> Iterator[tuple[int, Head | None]]:
    rows = connection.execute(
        "SELECT count, time, hash, public_key, signature FROM ledger_checkpoints ORDER BY count"
    )
    for row in rows:
        yield row[0], _read(row)


def _read(row: Sequence[Any]) -> Head | None:
    """A head, whatever somebody has made of its row."""
    try:
        count, time, *binary = row
        return Head(count, time.decode(), *map(_bytes, binary))
    except (ValueError, AttributeError):
        return None


def _parse(entry: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(entry)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _columns(said: dict[str, Any]) -> tuple[bytes, ...]:
    """What the columns beside an entry repeat of it."""
    return tuple(str(said.get(name, "")).encode() for name in ("time", "kind", "route"))


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b""


def _json(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "first": finding.first,
        "last": finding.last,
        "where": finding.where,
        "message": finding.message,
        "hint": finding.hint,
    }

"""The ledger: append-only and hash-chained, in the one database.

The hash of an entry is SHA-256 of the hash before it and of its canonical JSON; each new head is
signed with the device's key (``ledger.checkpoints``). Several processes and threads may append at
once. Nothing is opened before it is needed. Raises what the database raises: ``LockedError``,
``StorageError``; ``LedgerEntryNotFoundError`` for an id that is none.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from ondol import database, paths
from ondol.database import Connection
from ondol.errors import LedgerEntryNotFoundError, UsageError
from ondol.i18n import t
from ondol.identity import Identity
from ondol.ledger import checkpoints, entries
from ondol.ledger.checkpoints import Head
from ondol.ledger.entries import NO_HASH, Entry
from ondol.types import Answer, Decision, Label, Sensitivity

if TYPE_CHECKING:
    from ondol.ledger.cost import Price
    from ondol.ledger.energy import Energy

HEAD_FILE = "ledger.head"
SHORTEST_PREFIX = 4
BATCH = 256

_Last = tuple[int, bytes]


class Passage(Protocol):
    """What left, or was kept from leaving, in plain values (``ondol.egress``)."""

    @property
    def purpose(self) -> str: ...
    @property
    def destination(self) -> str: ...
    @property
    def sensitivity(self) -> Sensitivity: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def allowed(self) -> bool: ...
    @property
    def reason(self) -> str: ...


class Ledger:
    """One device's ledger. Safe to use from several threads; ``close`` it in the end."""

    def __init__(self, connect: Callable[[], Connection], head_file: Path | None = None) -> None:
        self.head_file = head_file
        self._connect = connect
        self._lock = threading.RLock()
        self._opened: tuple[Connection, Identity] | None = None

    @classmethod
    def open(cls, file: Path | None = None, *, head_file: Path | None = None) -> Self:
        """The ledger in the database ``file``, by default the owner's own. The newest head is kept
        in ``head_file`` too: beside ``file``, or in the state folder for the owner's own."""
        own = paths.database_file()
        file = own if file is None else file
        if head_file is None and file != database.IN_MEMORY:
            beside = file.with_name(f"{file.name}.head")
            head_file = paths.state_dir() / HEAD_FILE if file == own else beside
        return cls(lambda: database.connect(file), head_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database; the next use opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened[0].close()
                self._opened = None

    def append(self, entry: Entry) -> str:
        """Write ``entry`` down; its id. Number and time are given here."""
        return self._append(entry.cleaned(), "break")

    def acknowledge(self, kind: str) -> str:
        """Note that the owner put another state of the library in place ("restored", "rebuilt"):
        what the ledger lost by that is no longer a finding. Returns the entry's id."""
        return self._append(None, kind)

    def append_answer(
        self,
        answer: Answer,
        decision: Decision | None = None,
        label: Label | None = None,
        *,
        task: str = "",
        energy: Energy | None = None,
        price: Price | None = None,
        request: str = "",
    ) -> str:
        """Write an answer down, without a word of it; its id."""
        sure, cost = answer.confidence, answer.cost
        why = decision.reasons if decision else ()
        return self.append(
            Entry(
                "answer",
                route=answer.route.value,
                reasons=tuple(dict.fromkeys((*answer.reasons, *why))),
                probability=sure.probability if sure else None,
                calibrator=sure.calibrator if sure else "",
                threshold=decision.threshold if decision else None,
                gain=decision.gain if decision else None,
                model=answer.model,
                draft_model=answer.draft.model if answer.draft else "",
                task=task,
                sensitivity=(label.sensitivity if label else answer.sensitivity).name.lower(),
                label_reasons=label.reasons if label else (),
                prompt_tokens=answer.usage.prompt_tokens,
                completion_tokens=answer.usage.completion_tokens,
                seconds=answer.seconds.total,
                first_token_seconds=answer.seconds.first_token,
                energy_joules=energy.joules if energy else None,
                energy_source=energy.source if energy else "",
                energy_meter=energy.meter if energy else "",
                cost_krw=cost.here_krw if cost else None,
                cloud_usd=price.usd if price else None,
                cloud_model=price.model if price else "",
                prices=price.date if price else "",
                krw_per_usd=price.krw_per_usd if price else None,
                request=request,
            )
        )

    def record(self, passage: Passage) -> None:
        """Write down what left, or was kept from leaving."""
        self.append(
            Entry(
                "egress" if passage.allowed else "refused",
                reasons=(passage.reason,) if passage.reason else (),
                sensitivity=passage.sensitivity.name.lower(),
                destination=passage.destination,
                purpose=passage.purpose,
                bytes_out=passage.bytes_out,
                bytes_in=passage.bytes_in,
            )
        )

    def head(self) -> Head | None:
        """The newest signed head; ``None`` while nothing has been written."""
        with self.reading() as connection:
            return checkpoints.newest(connection)

    def connection(self) -> Connection:
        """A connection of its own, for who reads for long; the caller closes it."""
        return self._connect()

    def public_key(self) -> bytes:
        """The key that this ledger is signed with."""
        with self._lock:
            return self._open()[1].public_key

    def get(self, id: str) -> Entry:
        """The entry whose id begins with ``id``, or the "last" answer."""
        with self.reading() as connection:
            if id == "last":
                where = "WHERE kind = 'answer' ORDER BY number DESC LIMIT 1"
                found = _entries(connection, where, ())
            else:
                where = "WHERE hash >= ? AND hash <= ? LIMIT 2"
                found = _entries(connection, where, _range(id))
        if not found:
            raise LedgerEntryNotFoundError(t("ledger.not_found", id=id), t("ledger.not_found_hint"))
        if len(found) > 1:
            raise UsageError(t("ledger.ambiguous", id=id), t("ledger.ambiguous_hint"), param="id")
        return found[0]

    def entries(
        self,
        *,
        since: str = "",
        until: str = "",
        kind: str = "",
        route: str = "",
        before: int | None = None,
        limit: int | None = None,
    ) -> Iterator[Entry]:
        """Entries that pass, the newest first. ``since`` and ``until`` are times as entries have
        them (``until`` is not included), ``before`` is the number of an entry: the next page."""
        given = {"time >= ?": since, "time < ?": until, "kind = ?": kind, "route = ?": route}
        where = {words: value for words, value in given.items() if value}
        left = limit
        while left is None or left > 0:
            bound = {"number < ?": before} if before is not None else {}
            size = BATCH if left is None else min(BATCH, left)
            words = " AND ".join((*where, *bound))
            sql = f"{'WHERE ' + words if words else ''} ORDER BY number DESC LIMIT {size}"
            # In pages, so that who reads slowly keeps nobody from writing.
            with self.reading() as connection:
                page = _entries(connection, sql, (*where.values(), *bound.values()))
            yield from page
            if len(page) < size:
                return
            before = page[-1].number
            left = None if left is None else left - size

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """The connection, for this thread alone."""
        from sqlcipher3 import dbapi2 as sqlite

        with self._lock:
            connection = self._open()[0]
            try:
                yield connection
            except sqlite.DatabaseError as error:
                raise database.damage(error) or error from error

    def _open(self) -> tuple[Connection, Identity]:
        if self._opened is None:
            connection = self._connect()
            try:
                self._opened = connection, Identity.open(connection)
            except BaseException:
                connection.close()
                raise
        return self._opened

    def _append(self, entry: Entry | None, on_break: str) -> str:
        with self._lock:
            connection, identity = self._open()
            with database.transaction(connection):
                last, broken = self._continue(connection, identity)
                noted = Entry(on_break) if entry is None else None
                if broken is not None:
                    noted = replace(broken, kind=on_break)
                for one in (noted, entry):
                    if one is None:
                        continue
                    last = _insert(connection, last, one)
                    if one is entry or entry is None or last[0] % checkpoints.INTERVAL == 0:
                        head = checkpoints.sign(identity, *last)
                        checkpoints.keep(connection, head)
            checkpoints.write_file(self.head_file, head, force=broken is not None)
        return head.hash.hex()

    def _continue(self, connection: Connection, identity: Identity) -> tuple[_Last, Entry | None]:
        """The number and hash to go on from, and what is wrong with what is there, if anything.

        A number that was once signed is never given again: what was cut off stays a gap."""
        number, hash = _last(connection)
        kept, beside = checkpoints.newest(connection), checkpoints.read_file(self.head_file)
        if kept is None and beside is None and not number:
            return (0, NO_HASH), None
        (stays,) = connection.execute(
            "SELECT coalesce(max(count), 0) FROM ledger_checkpoints"
        ).fetchone()
        if beside is None and self.head_file is not None:
            reason = "head_missing"
        elif beside is not None and beside.count <= number:
            reason = "" if beside.hash == _hash_at(connection, beside.count) else "rewritten"
        else:
            reason = "cut_off" if beside is not None else ""
        if kept is None or (kept.count, kept.hash) != (number, hash):
            reason = reason or "unsigned"
        if not reason:
            return (number, hash), None
        heads = [h for h in (kept, beside) if h and h.public_key == identity.public_key]
        known = [h.count for h in heads if h.is_signed]
        about = beside.hash.hex() if beside else ""
        lost = Entry("break", reasons=(reason,), about=about, count=number)
        return (max([number, stays, *known]), hash), lost


def link(before: bytes, entry: bytes) -> bytes:
    """The hash of an entry (its canonical JSON in UTF-8) that follows the hash ``before``."""
    return hashlib.sha256(before + entry).digest()


def _insert(connection: Connection, last: _Last, entry: Entry) -> _Last:
    number, time = last[0] + 1, entries.now()
    said = entries.canonical({**entry.json(), "number": number, "time": time})
    hash = link(last[1], said.encode())
    connection.execute(
        "INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?)",
        (number, time, entry.kind, entry.route, said, hash),
    )
    return number, hash


def _last(connection: Connection) -> _Last:
    row = connection.execute(
        "SELECT number, hash FROM ledger ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return (row[0], bytes(row[1])) if row else (0, NO_HASH)


def _hash_at(connection: Connection, number: int) -> bytes:
    row = connection.execute("SELECT hash FROM ledger WHERE number = ?", (number,)).fetchone()
    return bytes(row[0]) if row else NO_HASH


def _entries(connection: Connection, where: str, values: tuple[Any, ...]) -> list[Entry]:
    rows = connection.execute(
        f"SELECT CAST(entry AS BLOB), hash, number, time, kind FROM ledger {where}", values
    )
    return [_readable(*row) for row in rows]


def _readable(entry: bytes, hash: bytes, number: int, time: str, kind: str) -> Entry:
    try:
        return entries.read(entry, bytes(hash).hex())
    except (ValueError, TypeError):
        # Somebody changed it: ``verify`` says so, and a list goes on.
        return Entry(kind, number, time, reasons=("unreadable",), id=bytes(hash).hex())


def _range(prefix: str) -> tuple[bytes, bytes]:
    """The first and the last hash that begin with the hexadecimal ``prefix``."""
    digits = prefix.strip().lower()
    size = 2 * entries.HASH_BYTES
    if not SHORTEST_PREFIX <= len(digits) <= size or set(digits) - set("0123456789abcdef"):
        raise UsageError(t("ledger.bad_id", id=prefix[:80]), t("ledger.bad_id_hint"), param="id")
    return bytes.fromhex(digits.ljust(size, "0")), bytes.fromhex(digits.ljust(size, "f"))

"""The ledger: append-only, hash-chained and signed, in the one database.

Several processes and threads may append at once (``ledger.chain`` has the chain itself). Nothing is
opened before it is needed. Raises what the database raises, ``LockedError`` and ``StorageError``,
and ``LedgerEntryNotFoundError`` for an id that is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ondol import cipher, database, keychain, keys, paths
from ondol.database import Connection
from ondol.errors import LedgerEntryNotFoundError, UsageError
from ondol.i18n import t
from ondol.identity import Identity
from ondol.ledger import chain, checkpoints, entries, events, pending
from ondol.ledger.checkpoints import Head
from ondol.ledger.entries import Entry
from ondol.place import Place
from ondol.types import Along, Answer, Decision, Label

if TYPE_CHECKING:
    from ondol.ledger.cost import Price
    from ondol.ledger.energy import Energy

HEAD_FILE = "ledger.head"
PENDING_FILE = "ledger.pending"
NO_TIME = "1970-01-01T00:00:00.000Z"
SHORTEST_PREFIX = 4
BATCH = 256


class _Signed(Place):
    """A place, with the keys that are in it."""

    identity: Identity

    def prepare(self, connection: Connection) -> None:
        self.identity = Identity.open(connection)


class Ledger:
    """One device's ledger. Safe to use from several threads; ``close`` it in the end."""

    def __init__(
        self, file: Path, head_file: Path | None = None, pending_file: Path | None = None
    ) -> None:
        """``head_file`` has the newest head too, ``pending_file`` what had to wait; without the
        one nothing is found that only it could tell, without the other nothing waits."""
        self.head_file = head_file
        self._file, self._pending = file, pending_file
        self._place = _Signed.in_file(file)

    @classmethod
    def open(cls, file: Path | None = None) -> Self:
        """The ledger in the database ``file``, with its two files beside it; by default the owner's
        own, whose two files are in the state folder."""
        own = paths.database_file()
        if file is None or file == own:
            return cls(own, paths.state_dir() / HEAD_FILE, paths.state_dir() / PENDING_FILE)
        if file == database.IN_MEMORY:
            return cls(file)
        return cls(file, file.with_name(f"{file.name}.head"), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database; the next use opens it again."""
        self._place.close()

    def append(self, entry: Entry, along: Along | None = None) -> str:
        """Write ``entry`` down; its id. Number and time are given here. What ``along`` does, with
        the connection and the id, happens in the same transaction."""
        return self._append(entry.cleaned(), "break", along)

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
        along: Sequence[Along] = (),
    ) -> str:
        """Write an answer down, without a word of it; its id."""

        def write_all(connection: Connection, id: str) -> None:
            for write in along:
                write(connection, id)

        entry = events.of_answer(answer, decision, label, task, energy, price)
        return self.append(entry, write_all)

    def record(self, passage: events.Passage) -> str:
        """Write down what leaves, is kept from leaving, or came back; its id. Never asks for a
        passphrase: while the library is locked the entry waits (``ledger.pending``) and has no id
        yet. So does one from a thread that keeps the database to itself while it sends."""
        entry = events.of_passage(passage).cleaned()
        if self._pending is not None and (database.in_transaction() or not self._can_open()):
            pending.keep(self._pending, entry)
            return ""
        return self.append(entry)

    def head(self) -> Head | None:
        """The newest signed head; ``None`` while nothing has been written."""
        with self.reading() as connection:
            return checkpoints.newest(connection)

    def connection(self) -> Connection:
        """A connection of its own, for who reads for long; the caller closes it."""
        return database.connect(self._file)

    def public_key(self) -> bytes:
        """The key that this ledger is signed with."""
        with self._place.reading():
            return self._place.identity.public_key

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

        with self._place.reading() as connection:
            try:
                yield connection
            except sqlite.DatabaseError as error:
                raise database.damage(error) or error from error

    def _can_open(self) -> bool:
        """Whether nobody has to be asked for a passphrase."""
        if self._place.is_open:
            return True
        salt = cipher.salt_of(self._file) if self._file.exists() else None
        return salt is None or bool(keys.known(salt) or keys.given() or keychain.read())

    def _append(self, entry: Entry | None, on_break: str, along: Along | None = None) -> str:
        with self._place.reading() as connection:
            identity = self._place.identity
            # What waits goes only when it is written down. Its file is locked last, for ``record``
            # adds to it while its thread has the database to itself.
            with ExitStack() as when_written, database.transaction(connection):
                waiting = when_written.enter_context(pending.taken(self._pending))
                beside = checkpoints.read_file(self.head_file)
                has_file = self.head_file is not None
                end, broken = chain.find_end(connection, identity, beside, has_file=has_file)
                new = [*waiting, entry] if entry else waiting
                if broken is not None or entry is None:
                    new = [replace(broken or Entry(on_break), kind=on_break), *new]
                hashes, head = chain.add(connection, identity, end, new)
                if along is not None:
                    along(connection, hashes[-1].hex())
            checkpoints.write_file(self.head_file, head, force=broken is not None)
        return hashes[-1 if entry else 0].hex()


def _entries(connection: Connection, where: str, values: tuple[Any, ...]) -> list[Entry]:
    rows = connection.execute(
        f"SELECT CAST(entry AS BLOB), hash, number, time, kind FROM ledger {where}", values
    )
    return [_readable(*row) for row in rows]


def _readable(entry: bytes, hash: bytes, number: int, time: str, kind: str) -> Entry:
    try:
        found = entries.read(entry, bytes(hash).hex())
        if entries.is_time(found.time):
            return found
    except ValueError:
        pass
    # Somebody changed it: ``verify`` says so, and a list goes on.
    known = time if entries.is_time(time) else NO_TIME
    return Entry(kind, number, known, reasons=("unreadable",), id=bytes(hash).hex())


def _range(prefix: str) -> tuple[bytes, bytes]:
    """The first and the last hash that begin with the hexadecimal ``prefix``."""
    digits = prefix.strip().lower()
    size = 2 * entries.HASH_BYTES
    if not SHORTEST_PREFIX <= len(digits) <= size or set(digits) - set("0123456789abcdef"):
        raise UsageError(t("ledger.bad_id", id=prefix[:80]), t("ledger.bad_id_hint"), param="id")
    return bytes.fromhex(digits.ljust(size, "0")), bytes.fromhex(digits.ljust(size, "f"))

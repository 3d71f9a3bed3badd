"""Taint: what Ondol said keeps the label of what it was made from, in every later turn.

Kept are keyed hashes (HMAC-SHA-256, the key in the same database) of whole texts with their label,
and of private ones fingerprints of their passages, so that a quotation or a summary of them is
known again; never a text. Every passage of ``SURE_LETTERS`` folded letters in common is found,
none below ``LEAST_LETTERS`` (see ``winnowing``).
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from ondol import database
from ondol.database import Connection
from ondol.folding import letters
from ondol.types import Sensitivity
from ondol.winnowing import winnow

LEAST_LETTERS = 24
SURE_LETTERS = 32
# What is in memory of evidence that was read: some 30,000 sentences.
MOST_NOTICED = 1_000_000
# Answers that could not be written down.
MOST_HEARD = 1000


class Heard:
    """What was said and is not written down yet; ``drop`` is called once it is."""

    def __init__(
        self,
        hash: bytes,
        sensitivity: Sensitivity,
        marks: Iterable[int],
        drop: Callable[[Heard], None],
    ) -> None:
        self.hash, self.sensitivity, self.marks = hash, sensitivity, frozenset(marks)
        self._drop = drop

    def write(self, connection: Connection, id: str = "") -> None:
        """Write it down, in a transaction that is open."""
        connection.execute(
            "INSERT INTO spoken VALUES (?, ?) ON CONFLICT DO UPDATE "
            "SET sensitivity = min(sensitivity, excluded.sensitivity)",
            (self.hash, int(self.sensitivity)),
        )
        connection.executemany(
            "INSERT OR IGNORE INTO spoken_passages VALUES (?)", [(mark,) for mark in self.marks]
        )

    def done(self) -> None:
        """It is written down: whoever asks finds it there."""
        self._drop(self)

    def fail(self) -> None:
        """It cannot be: what is private stays known while the process lives, the rest is unknown,
        and so private."""
        if self.sensitivity is not Sensitivity.PRIVATE:
            self._drop(self)


class Spoken:
    """The answers, drafts and rewritten questions that were given, by hash. Safe to use from
    several threads when ``lock`` guards ``connection`` everywhere. Raises ``StorageError``."""

    def __init__(self, connection: Connection, lock: threading.RLock | None = None) -> None:
        self._connection = connection
        self._lock = lock or threading.RLock()
        self._noticed: set[int] = set()
        self._free: set[int] = set()
        self._heard: dict[Heard, None] = {}
        self._count = 0
        with self._lock:
            self._key = _key(connection)

    def remember(self, text: str, sensitivity: Sensitivity) -> None:
        """``text`` was said with this label; of several labels the strictest stays."""
        heard = self.hear(text, sensitivity)
        try:
            with self._lock, _transaction(self._connection) as connection:
                heard.write(connection)
        except BaseException:
            heard.fail()
            raise
        heard.done()

    def hear(self, text: str, sensitivity: Sensitivity) -> Heard:
        """The same, known at once, and written down by whoever gets this."""
        marks: list[int] = []
        if sensitivity is Sensitivity.PRIVATE:
            marks = [mark for mark in self._fingerprints(text) if mark not in self._free]
        heard = Heard(self._hash(text), sensitivity, marks, self._drop)
        with self._lock:
            while len(self._heard) >= MOST_HEARD:
                self._heard.pop(next(iter(self._heard)))
            self._heard[heard] = None
            self._count += 1
        return heard

    def stamp(self) -> tuple[int, int]:
        """Another one as soon as something was said, noticed or written to the database."""
        with self._lock:
            row = self._connection.execute("PRAGMA data_version").fetchone()
        return int(row[0]), self._count

    def sensitivity(self, text: str) -> Sensitivity | None:
        """The label that ``text`` was said with; ``None`` for what was never said."""
        hash = self._hash(text)
        with self._lock:
            known = [heard.sensitivity for heard in self._heard if heard.hash == hash]
            row = self._connection.execute(
                "SELECT sensitivity FROM spoken WHERE text_hash = ?", (hash,)
            ).fetchone()
        known += [] if row is None else [Sensitivity(row[0])]
        return min(known, default=None)

    def notice(self, private: Iterable[str]) -> None:
        """Know these private texts again while the process lives, however they are written."""
        for text in private:
            if len(self._noticed) > MOST_NOTICED:
                self._noticed.clear()
            marks = self._fingerprints(text)
            self._count += 1
            self._noticed.update(marks)
            self._free.difference_update(marks)  # it may have been freer before

    def notice_free(self, free: Iterable[str]) -> None:
        """These texts of documents may travel by their own label: a private answer that quotes
        them word for word does not make their passages private, nor does what their owner thought
        of them before."""
        for text in free:
            if len(self._free) > MOST_NOTICED:
                self._free.clear()
            marks = self._fingerprints(text)
            self._count += 1
            self._free.update(marks)
            self._noticed.difference_update(marks)

    def quotes(self, text: str) -> bool:
        """Whether ``text`` holds a passage of something private that was said or noticed."""
        marks = [mark for mark in self._fingerprints(text) if mark not in self._free]
        if not self._noticed.isdisjoint(marks):
            return True
        with self._lock:
            if any(not heard.marks.isdisjoint(marks) for heard in self._heard):
                return True
            row = self._connection.execute(
                "SELECT 1 FROM json_each(?) JOIN spoken_passages ON passage_hash = value LIMIT 1",
                (json.dumps(marks),),
            ).fetchone()
        return row is not None

    def forget(self) -> None:
        """Forget everything that was said: from here on it is unknown, and so private."""
        with self._lock, _transaction(self._connection) as connection:
            connection.execute("DELETE FROM spoken")
            connection.execute("DELETE FROM spoken_passages")
            self._heard.clear()
            self._count += 1
        self._noticed.clear()
        self._free.clear()

    def _drop(self, heard: Heard) -> None:
        with self._lock:
            self._heard.pop(heard, None)

    def _hash(self, text: str) -> bytes:
        # Signs alone ("👍", "?") are told apart as they are.
        said = letters(text) or text.strip()
        return hmac.digest(self._key, said.encode("utf-8", "surrogatepass"), "sha256")

    def _fingerprints(self, text: str) -> list[int]:
        marks, _ = winnow(letters(text), self._key, least=LEAST_LETTERS, sure=SURE_LETTERS)
        found: list[int] = marks.tolist()
        return found


@contextmanager
def _transaction(connection: Connection) -> Iterator[Connection]:
    """One of its own, or the one that is open."""
    if connection.in_transaction:
        yield connection
    else:
        with database.transaction(connection):
            yield connection


def _key(connection: Connection) -> bytes:
    """The key in this database, made now if there is none; two processes get the same one."""
    with _transaction(connection):
        connection.execute(
            "INSERT OR IGNORE INTO spoken_key VALUES (1, ?)", (secrets.token_bytes(32),)
        )
        (key,) = connection.execute("SELECT key FROM spoken_key").fetchone()
    return bytes(key)

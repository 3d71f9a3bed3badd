"""A place in a database: one connection that is opened when it is first used, and its lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from ondol import database, erasing, paths
from ondol.database import Connection


class Place:
    """A connection and the lock that guards it. Safe to use from several threads; ``close`` it.
    Raises what the database raises."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._lock = threading.RLock()
        self._opened: Connection | None = None
        self.on_erase: Callable[[], object] = lambda: None
        """Erases what was made of the rows elsewhere."""

    @classmethod
    def in_file(cls, file: Path | None = None) -> Self:
        """In the database ``file``, by default the owner's own."""
        return cls(lambda: database.connect(paths.database_file() if file is None else file))

    @property
    def is_open(self) -> bool:
        """Whether somebody used it since it was closed."""
        return self._opened is not None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """The connection, for this thread alone inside the block."""
        with self._lock:
            if self._opened is None:
                connection = self._connect()
                try:
                    self.prepare(connection)
                except BaseException:
                    connection.close()
                    raise
                self._opened = connection
            yield self._opened

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The same inside a transaction: all or nothing."""
        with self.reading() as connection, database.transaction(connection):
            yield connection

    def prepare(self, connection: Connection) -> None:
        """What a connection needs before its first use."""

    def erase(self) -> bool:
        """Overwrite what was deleted in a transaction that called ``erasing.begin``; whether no
        byte is left."""
        self.on_erase()
        with self.reading() as connection:
            return erasing.finish(connection)

    def close(self) -> None:
        """Let go of the database; the next use opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None


class Placed:
    """The base of who keeps rows in a place. Safe to use from several threads; ``close`` it."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @classmethod
    def open(cls, file: Path | None = None) -> Self:
        """What is in the database ``file``, by default the owner's own. Opened when first used."""
        return cls(Place.in_file(file))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database; the next use opens it again."""
        self.place.close()

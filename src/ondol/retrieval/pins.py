"""Pinned documents: what answers are given from as a whole, by a name that the owner gave it.

A pin holds the name of a document or of a collection, so that what it says is what the library
holds now. Who may read what is asked of the library, not of the pin. Raises
``DocumentNotFoundError``, ``UsageError``.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from ondol import database, erasing
from ondol.database import Connection
from ondol.errors import DocumentNotFoundError, OndolError, UsageError
from ondol.i18n import t
from ondol.retrieval import files, rows
from ondol.retrieval.filters import Filter
from ondol.retrieval.inventory import Inventory
from ondol.retrieval.viewing import View
from ondol.types import Sensitivity

MOST_NAME_LETTERS = 100
WHOLE = 1 << 31


class Views(Protocol):
    """Shows a document from a place on (``viewing.Viewer``)."""

    def view(self, source: str, start: int = 0, end: int = 0, *, context: int = 4000) -> View: ...


@dataclass(frozen=True, slots=True)
class Pin:
    """One document, the ``source``, or all of a ``collection``; the other is ""."""

    name: str
    source: str
    collection: str
    pinned_at: str

    @property
    def where(self) -> Filter:
        """What it holds, to be searched."""
        if self.collection:
            return Filter(collections=(self.collection,))
        return Filter(paths=(self.source,))


@dataclass(frozen=True, slots=True)
class PinnedDocument:
    """A document as a pin gives it: all of its text."""

    source: str
    title: str
    text: str
    sensitivity: Sensitivity


class Pins:
    """The pins of one library. Safe to use from several threads."""

    def __init__(
        self, connection: Connection, lock: threading.RLock, inventory: Inventory, viewer: Views
    ) -> None:
        self._connection = connection
        self._lock = lock
        self._inventory = inventory
        self._viewer = viewer

    def all(self) -> list[Pin]:
        """By name."""
        with self._lock:
            found = self._connection.execute(
                "SELECT name, source, collection, pinned_at FROM pins ORDER BY name"
            ).fetchall()
        return [Pin(*row) for row in found]

    def get(self, name: str) -> Pin:
        """The pin called ``name``, if who asks may read something of it."""
        known = {pin.name: pin for pin in self.all()}
        if name in known and self._sources(known[name]):
            return known[name]
        # A name tells what it is about: nobody hears one of what they may not read.
        near = difflib.get_close_matches(
            name, [n for n, p in known.items() if self._sources(p)], n=1
        )
        hint = t("pins.did_you_mean", name=near[0]) if near else t("pins.not_found_hint")
        raise DocumentNotFoundError(t("pins.not_found", name=name), hint)

    def add(self, *, path: Path | None = None, collection: str = "", name: str = "") -> Pin:
        """Pin the document at ``path``, or a collection; a pin of that name is replaced."""
        source = "" if path is None else self._source(path)
        name = (name or collection or PurePosixPath(source).stem).strip()
        if not name or len(name) > MOST_NAME_LETTERS or "/" in name:
            raise UsageError(t("pins.bad_name", most=MOST_NAME_LETTERS))
        pin = Pin(name, source, collection, rows.now())
        if not self._sources(pin):
            raise DocumentNotFoundError(
                t("pins.nothing_in", name=collection or path), t("pins.nothing_in_hint")
            )
        with self._lock, database.transaction(self._connection):
            self._connection.execute(
                "INSERT OR REPLACE INTO pins VALUES (?, ?, ?, ?)",
                (pin.name, pin.source, pin.collection, pin.pinned_at),
            )
        return pin

    def remove(self, name: str) -> None:
        """Take a pin off, and its name out of the library's files; also one of a document that the
        library does not have any more."""
        if name not in {pin.name for pin in self.all()}:
            self.get(name)
        with self._lock:
            with database.transaction(self._connection):
                self._connection.execute("DELETE FROM pins WHERE name = ?", (name,))
                erasing.begin(self._connection)
            erasing.finish(self._connection)

    def holding(self, sources: Collection[str], collections: Collection[str] = ()) -> list[Pin]:
        """The pins that hold any of these documents, or are of these collections."""
        gone = set(sources)
        return [
            pin
            for pin in self.all()
            if pin.source in gone
            or pin.collection in collections
            or (pin.collection and gone.intersection(self._sources(pin)))
        ]

    def forget(self, sources: Collection[str], collections: Collection[str] = ()) -> None:
        """Drop the pins of documents and collections that are about to be forgotten; whoever
        forgets them erases the bytes."""
        found = self.holding(sources, collections)
        gone = [pin for pin in found if pin.source or pin.collection in collections]
        with self._lock, database.transaction(self._connection):
            for pin in gone:
                self._connection.execute("DELETE FROM pins WHERE name = ?", (pin.name,))

    def documents(self, pin: Pin) -> list[PinnedDocument]:
        """Everything that ``pin`` holds and who asks may read, by source."""
        found = []
        for source in self._sources(pin):
            try:
                view = self._viewer.view(source, context=WHOLE)
            except DocumentNotFoundError:
                continue  # forgotten just now
            found.append(PinnedDocument(source, view.title, view.text, view.sensitivity))
        return found

    def _sources(self, pin: Pin) -> list[str]:
        try:
            found = self._inventory.documents(pin.where)
        except OndolError:
            return []  # its collection is gone, or not for who asks
        return [d.source for d in found if pin.collection or d.source == pin.source]

    def _source(self, path: Path) -> str:
        """The library's name of what is at ``path``, or is called so there."""
        wanted = (str(files.absolute(path)), str(path))
        found = {d.source for d in self._inventory.documents(Filter()) if d.source in wanted}
        if found:
            return next(source for source in wanted if source in found)
        raise DocumentNotFoundError(
            t("pins.not_in_library", path=path), t("pins.not_in_library_hint", path=path)
        )

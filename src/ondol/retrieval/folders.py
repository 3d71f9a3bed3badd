"""The files and folders that somebody added, which a sync looks at again: where they are, and the
collection and the limit of what is in them.

Of two that lie in each other the inner one decides on the collection, the stricter on the limit.
Functions that write run inside the caller's transaction; nothing here reads a document.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ondol.database import Connection
from ondol.errors import DocumentNotFoundError
from ondol.i18n import t
from ondol.retrieval import rows
from ondol.types import Sensitivity

DEFAULT_COLLECTION = "default"


@dataclass(frozen=True, slots=True)
class Folder:
    """A remembered file or folder. ``sensitivity`` is the limit of what is in it, beside that of
    its collection; ``mount`` the place its disk was mounted at when it was last seen."""

    path: str
    collection: str = DEFAULT_COLLECTION
    sensitivity: Sensitivity = Sensitivity.PUBLIC
    watch: bool = False
    mount: str = ""


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file, or a part of one, that is not in the library, and why."""

    source: str
    collection: str
    reason: str
    size_bytes: int
    failed_at: str


class Labels:
    """What the remembered folders, and the ``limits`` beside them, say about a path."""

    def __init__(self, folders: Iterable[Folder], limits: Mapping[str, int] | None = None) -> None:
        self._places = {folder.path: folder for folder in folders}
        self._limits = dict(limits or {})
        self._known: dict[str, Folder | None] = {}

    @classmethod
    def read(cls, connection: Connection) -> Labels:
        """Those of a library."""
        limits = connection.execute("SELECT path, sensitivity FROM limits").fetchall()
        return cls(all_folders(connection), dict(limits))

    def of(self, path: str) -> Folder | None:
        """The innermost folder that ``path`` lies in, or is, with the strictest limit of all."""
        if path in self._known:
            return self._known[path]
        above = os.path.dirname(path)
        around = self.of(above) if above != path else None
        # Files are many and their folders few; only the latter are worth remembering.
        self._known.setdefault(above, around)
        place = self._places.get(path, around)
        if place is None:
            return None
        levels = [place.sensitivity, self._limits.get(path, Sensitivity.PUBLIC)]
        if around is not None:
            levels.append(around.sensitivity)
        strictest = Sensitivity(min(levels))
        return place if strictest == place.sensitivity else replace(place, sensitivity=strictest)


def all_folders(connection: Connection) -> list[Folder]:
    """Everything that is remembered, by path."""
    found = connection.execute(
        "SELECT path, collection, sensitivity, watch, mount FROM folders ORDER BY path"
    ).fetchall()
    return [Folder(p, c, Sensitivity(s), bool(w), m) for p, c, s, w, m in found]


def chosen(connection: Connection, paths: Sequence[str]) -> list[Folder]:
    """The remembered folders that hold one of ``paths`` or lie in one; all without any. Raises
    ``DocumentNotFoundError`` for a path that has none."""
    known = all_folders(connection)
    if not paths:
        return known
    found: list[Folder] = []
    for path in paths:
        near = [f for f in known if path in steps(f.path) or f.path in steps(path)]
        if not near:
            message = t("library.not_remembered", path=path)
            raise DocumentNotFoundError(message, t("library.not_remembered_hint", path=path))
        found += near
    return sorted(set(found), key=lambda folder: folder.path)


def failures(connection: Connection) -> list[FailedFile]:
    """Everything that failed, by source."""
    found = connection.execute(
        "SELECT source, collection, reason, size_bytes, failed_at FROM failures ORDER BY source"
    ).fetchall()
    return [FailedFile(*row) for row in found]


def remember(
    connection: Connection,
    paths: Sequence[str],
    *,
    collection: str | None = None,
    sensitivity: Sensitivity | None = None,
    watch: bool | None = None,
) -> None:
    """Remember ``paths``. What is not said stays as it was, or is as in the folder around; folders
    inside that were labelled alike go along."""
    labels = Labels(all_folders(connection))
    for path in paths:
        old = labels.of(path) or Folder(path)
        new = replace(
            old,
            path=path,
            collection=old.collection if collection is None else collection,
            sensitivity=old.sensitivity if sensitivity is None else sensitivity,
            watch=(old.watch and old.path == path) if watch is None else watch,
            mount=mount_of(path),
        )
        rows.ensure_collection(connection, new.collection)
        _write(connection, new)
        if old.path == path:
            connection.execute(
                "UPDATE folders SET collection = ?, sensitivity = ? WHERE path > ? AND path < ? "
                "AND collection = ? AND sensitivity = ?",
                (
                    new.collection,
                    int(new.sensitivity),
                    *rows.inside(path),
                    old.collection,
                    int(old.sensitivity),
                ),
            )


def _write(connection: Connection, folder: Folder) -> None:
    connection.execute(
        "INSERT INTO folders (path, collection, sensitivity, watch, mount, added_at) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET collection = "
        "excluded.collection, sensitivity = excluded.sensitivity, watch = excluded.watch, "
        "mount = excluded.mount",
        (
            folder.path,
            folder.collection,
            int(folder.sensitivity),
            int(folder.watch),
            folder.mount,
            rows.now(),
        ),
    )


def forget(connection: Connection, path: str, *, container: str = "") -> None:
    """Remember ``path`` and what is in it no longer. Where a folder around it is still remembered,
    a sync passes over it from now on. ``container`` is the file that ``path`` is a part of."""
    connection.execute(
        "DELETE FROM folders WHERE path = ? OR (path > ? AND path < ?)", (path, *rows.inside(path))
    )
    rows.delete_failures(connection, path)
    if Labels(all_folders(connection)).of(path) is not None:
        hashed = _hasher(connection)
        connection.execute(
            "INSERT OR IGNORE INTO forgotten VALUES (?, ?)", (hashed(path), hashed(container))
        )


def let_go(connection: Connection, path: str) -> None:
    """Follow ``path``, a file, by itself no longer. A folder around it goes on knowing of it."""
    connection.execute("DELETE FROM folders WHERE path = ?", (path,))
    if Labels(all_folders(connection)).of(path) is None:
        rows.delete_failures(connection, path)


def leave(connection: Connection, path: str) -> None:
    """Remember the folder ``path`` no longer, but keep what came of it: the limit that it set stays
    on the place, and what failed in it is tried again only by who adds it again."""
    row = connection.execute("SELECT sensitivity FROM folders WHERE path = ?", (path,)).fetchone()
    connection.execute("DELETE FROM folders WHERE path = ?", (path,))
    if row is not None and row[0] < Sensitivity.PUBLIC:
        connection.execute(
            "INSERT INTO limits VALUES (?, ?) ON CONFLICT (path) DO UPDATE SET sensitivity = "
            "min(sensitivity, excluded.sensitivity)",
            (path, row[0]),
        )
    if Labels(all_folders(connection)).of(path) is None:
        rows.delete_failures(connection, path)


def welcome(connection: Connection, paths: Iterable[str]) -> None:
    """``paths`` have been added again: they, and what they lie in, are forgotten no longer."""
    if connection.execute("SELECT EXISTS (SELECT 1 FROM forgotten)").fetchone()[0]:
        hashed = _hasher(connection)
        connection.executemany(
            "DELETE FROM forgotten WHERE path_hash = ?1 OR container_hash = ?1",
            [(hashed(step),) for step in {step for path in paths for step in steps(path)}],
        )


def is_known(connection: Connection, path: str) -> bool:
    """Whether anything at ``path`` or in it is remembered, or failed."""
    inside = (path, *rows.inside(path))
    return any(
        connection.execute(
            f"SELECT 1 FROM {table} WHERE {column} = ? OR ({column} > ? AND {column} < ?) LIMIT 1",
            inside,
        ).fetchone()
        for table, column in (("folders", "path"), ("failures", "source"))
    )


def without_forgotten(connection: Connection, paths: Sequence[str]) -> set[str]:
    """Those of ``paths`` that were neither forgotten nor lie in what was."""
    found = connection.execute("SELECT path_hash FROM forgotten").fetchall()
    if not found:
        return set(paths)
    hashes, hashed = {bytes(row[0]) for row in found}, _hasher(connection)
    return {path for path in paths if not any(hashed(s) in hashes for s in steps(path))}


def is_missing(folder: Folder) -> bool:
    """Whether a folder is not there as a whole: it is gone, or its disk is not mounted, so that
    nothing can be said about what is in it."""
    try:
        if not os.path.isdir(folder.path):
            os.stat(folder.path)
            return False
        with os.scandir(folder.path) as entries:
            is_empty = next(entries, None) is None
    except OSError:
        return True
    return is_empty and folder.mount != "" and mount_of(folder.path) != folder.mount


def mount_of(path: str) -> str:
    """The place at which the disk of ``path`` is mounted."""
    current = os.path.realpath(path)
    while not os.path.ismount(current):
        current = os.path.dirname(current)
    return current


def steps(path: str) -> list[str]:
    """``path`` and every folder that it lies in, innermost first."""
    found = [path]
    while (above := os.path.dirname(found[-1])) != found[-1]:
        found.append(above)
    return found


def _hasher(connection: Connection) -> Callable[[str], bytes]:
    """Hashes paths with a key that only this library has, so that nobody who knows a path can look
    for it in somebody else's table. There is one from the first forgetting on."""
    row = connection.execute(
        "SELECT value FROM library_settings WHERE name = 'forgotten_key'"
    ).fetchone()
    if row is None:
        row = (secrets.token_hex(32),)
        connection.execute("INSERT INTO library_settings VALUES ('forgotten_key', ?)", row)
    key = bytes.fromhex(row[0])
    return lambda path: hashlib.blake2b(os.fsencode(path), key=key, digest_size=32).digest()

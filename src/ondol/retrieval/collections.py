"""Collections of documents, and how far what is in them may travel.

A document's label is the strictest of: its collection's sensitivity, the limits on its file and on
the folders above it, and the labels of all other documents with the same content. So a copy, an
attachment or a file that is written anew is never freer than the strictest place the text is in;
the view ``labels`` says so for every reader. Knows rows, not who may be sent what.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ondol import callers, database
from ondol.database import Connection
from ondol.errors import CollectionNotFoundError, DocumentNotFoundError, UsageError
from ondol.i18n import t
from ondol.retrieval import files
from ondol.retrieval.loaders.loader import source_of
from ondol.retrieval.rows import bump, now
from ondol.retrieval.sight import is_out_of_sight
from ondol.types import Sensitivity

DEFAULT = "default"
MAX_NAME_LETTERS = 100


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection with how much is in it; ``limited`` of its documents are stricter than it."""

    name: str
    sensitivity: Sensitivity
    documents: int
    chunks: int
    size_bytes: int
    limited: int
    created_at: str


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that the documents in ``path``, a file or a folder, may travel."""

    path: str
    sensitivity: Sensitivity


@dataclass(frozen=True, slots=True)
class Relabelling:
    """How many of the library's documents may travel further than before, and less far."""

    loosened: int = 0
    tightened: int = 0


class Collections:
    """The collections and limits of one library; ``lock`` guards its connection."""

    def __init__(self, connection: Connection, lock: AbstractContextManager[object]) -> None:
        self._connection = connection
        self._lock = lock

    def all(self) -> list[Collection]:
        """Every collection that the caller may read, by name."""
        with self._lock:
            rows = self._connection.execute(
                """SELECT l.name, l.sensitivity, count(d.id), coalesce(sum(d.num_chunks), 0),
                       coalesce(sum(d.size_bytes) FILTER (WHERE d.container IS NULL), 0),
                       coalesce(sum((SELECT sensitivity FROM labels WHERE document_id = d.id)
                                    < l.sensitivity), 0),
                       l.created_at
                   FROM collections l LEFT JOIN documents d ON d.collection = l.name
                   GROUP BY l.name ORDER BY l.name"""
            ).fetchall()
        may_read = callers.current().may_read
        seen = (row for row in rows if may_read(row[0]) and not is_out_of_sight(row[0]))
        return [Collection(row[0], Sensitivity(row[1]), *row[2:]) for row in seen]

    def get(self, name: str) -> Collection:
        """The collection of that name; ``CollectionNotFoundError`` when there is none."""
        with self._lock:
            self._refuse_unknown(name)
            wanted = _normal(name)
            return next(one for one in self.all() if one.name == wanted)

    def check(self, names: Iterable[str]) -> None:
        """Raises ``CollectionNotFoundError`` for the first of ``names``, those of a filter, that is
        none, or none that the caller may read: that is the same to who asks."""
        for name in names:
            self._refuse_unknown(name, t("filters.no_collection_hint"), is_filter=True)

    def create(self, name: str, sensitivity: Sensitivity = Sensitivity.PRIVATE) -> Collection:
        """Make an empty collection. ``UsageError`` when there is one of that name."""
        name = valid_name(name)
        with self._lock:
            with database.transaction(self._connection) as connection:
                self._refuse_taken(name)
                connection.execute(
                    "INSERT INTO collections (name, sensitivity, created_at) VALUES (?, ?, ?)",
                    (name, int(sensitivity), now()),
                )
            return self.get(name)

    def set_sensitivity(self, name: str, sensitivity: Sensitivity) -> Relabelling:
        """Label a whole collection. A document's own limit stays as it is."""
        name = _normal(name)

        def change(connection: Connection) -> None:
            self._refuse_unknown(name)
            connection.execute(
                "UPDATE collections SET sensitivity = ? WHERE name = ?", (int(sensitivity), name)
            )

        return self._relabel(change)

    def rename(self, name: str, new_name: str) -> Collection:
        """Call a collection otherwise, with everything in it. ``UsageError`` when the new name is
        taken: two labels are never merged by accident."""
        name, new_name = _normal(name), valid_name(new_name)
        with self._lock:
            with database.transaction(self._connection) as connection:
                self._refuse_default(name)
                self._refuse_unknown(name)
                if new_name != name:
                    self._refuse_taken(new_name)
                # The folders follow by their foreign key.
                connection.execute(
                    "UPDATE collections SET name = ? WHERE name = ?", (new_name, name)
                )
                for table in ("documents", "failures", "pins"):
                    connection.execute(
                        f"UPDATE {table} SET collection = ? WHERE collection = ?", (new_name, name)
                    )
                bump(connection)
            return self.get(new_name)

    def remove(self, *names: str) -> None:
        """Remove collections that have nothing in them and no folder that is followed into them;
        none of them when one is another."""
        with self._lock, database.transaction(self._connection) as connection:
            for name in dict.fromkeys(map(_normal, names)):
                self._refuse_default(name)
                self._refuse_unknown(name)
                (used,) = connection.execute(
                    "SELECT (SELECT count(*) FROM documents WHERE collection = ?1) + "
                    "(SELECT count(*) FROM folders WHERE collection = ?1)",
                    (name,),
                ).fetchone()
                if used:
                    raise UsageError(
                        t("filters.not_empty", name=name), t("filters.not_empty_hint"), param="name"
                    )
                connection.execute("DELETE FROM failures WHERE collection = ?", (name,))
                connection.execute("DELETE FROM collections WHERE name = ?", (name,))

    def limits(self) -> list[Limit]:
        """Every limit, by path."""
        with self._lock:
            rows = self._connection.execute("SELECT path, sensitivity FROM limits ORDER BY path")
            return [Limit(path, Sensitivity(level)) for path, level in rows.fetchall()]

    def set_limit(self, path: Path, sensitivity: Sensitivity) -> Relabelling:
        """Limit how far a file, or everything in a folder, may travel, now and when it is added
        later; ``PUBLIC`` takes the limit away. Limits further down stay. A limit on a link is one
        on what it leads to, too: documents may be known by either name.

        Raises ``DocumentNotFoundError`` when the path is neither on disk nor in the library, and
        ``DocumentError`` when it is no text.
        """
        sources = names_of(path)
        with self._lock:
            known = any(
                self._connection.execute(
                    f"SELECT 1 FROM documents d WHERE {_UNDER} LIMIT 1", {"path": source}
                ).fetchone()
                for source in sources
            )
        if not known and not os.path.exists(sources[0]):
            raise DocumentNotFoundError(
                t("library.not_in_library", path=path), t("library.not_in_library_hint")
            )

        def change(connection: Connection) -> None:
            for source in sources:
                connection.execute("DELETE FROM limits WHERE path = ?", (source,))
                if sensitivity < Sensitivity.PUBLIC:
                    row = (source, int(sensitivity))
                    connection.execute("INSERT INTO limits VALUES (?, ?)", row)
                connection.execute(
                    f"UPDATE documents AS d SET sensitivity = {_LIMIT} WHERE {_UNDER}",
                    {"path": source},
                )

        return self._relabel(change)

    def _relabel(self, change: Callable[[Connection], None]) -> Relabelling:
        with self._lock, database.transaction(self._connection) as connection:
            before = _labels(connection)
            change(connection)
            after = _labels(connection)
            bump(connection)
        return Relabelling(
            loosened=sum(after[document] > label for document, label in before.items()),
            tightened=sum(after[document] < label for document, label in before.items()),
        )

    def _refuse_unknown(self, name: str, hint: str = "", *, is_filter: bool = False) -> None:
        known = "SELECT 1 FROM collections WHERE name = ?"
        with self._lock:
            found = self._connection.execute(known, (_normal(name),)).fetchone()
        is_seen = is_filter or not is_out_of_sight(_normal(name))
        if not (found and is_seen and callers.current().may_read(_normal(name))):
            raise CollectionNotFoundError(
                t("filters.no_collection", name=name), hint or t("filters.collections_hint")
            )

    def _refuse_taken(self, name: str) -> None:
        taken = self._connection.execute("SELECT 1 FROM collections WHERE name = ?", (name,))
        if taken.fetchone():
            raise UsageError(
                t("filters.name_taken", name=name), t("filters.name_taken_hint"), param="name"
            )

    def _refuse_default(self, name: str) -> None:
        if name == DEFAULT:
            raise UsageError(
                t("filters.default_stays", name=name), t("filters.default_stays_hint"), param="name"
            )


# Whether document d is :path or inside it, and the strictest limit over it. A file that is followed
# by itself stands among the folders.
_INSIDE = "({0} = {1} OR rtrim({1}, '/') || '/' = substr({0}, 1, length(rtrim({1}, '/')) + 1))"
_UNDER = _INSIDE.format("d.source", ":path")
_OVER = _INSIDE.format("d.source", "o.path")
_LIMIT = (
    "coalesce((SELECT min(o.sensitivity) FROM (SELECT path, sensitivity FROM limits UNION ALL "
    f"SELECT path, sensitivity FROM folders) o WHERE {_OVER}), {int(Sensitivity.PUBLIC)})"
)


def names_of(path: Path) -> list[str]:
    """The sources under which the library may know ``path``: as it is named, and where its links
    lead. ``DocumentError`` when one is no text."""
    named = files.absolute(path)
    return list(dict.fromkeys((source_of(named), source_of(Path(os.path.realpath(named))))))


def valid_name(name: str) -> str:
    """The one spelling of a collection's name; ``UsageError`` when it cannot be one."""
    plain = _normal(name)
    is_plain = plain.isprintable() and not set(plain) & set('"“”\\')
    if not plain or len(plain) > MAX_NAME_LETTERS or not is_plain or is_out_of_sight(plain):
        shown = plain[:MAX_NAME_LETTERS]
        raise UsageError(
            t("filters.bad_name", name=shown),
            t("filters.bad_name_hint", limit=MAX_NAME_LETTERS),
            param="collection",
        )
    return plain


def forget_limits(connection: Connection, source: str) -> None:
    """Drop the limits of ``source`` and of everything in it: its name is forgotten too."""
    connection.execute(
        "DELETE FROM limits WHERE path = ? OR substr(path, 1, ?) = ?",
        (source, len(source.rstrip("/")) + 1, source.rstrip("/") + "/"),
    )


def forget_aliases(connection: Connection, sources: Iterable[str]) -> None:
    """Drop the limits that say the same of ``sources`` by another name, of a link or of what it
    leads to; not those that hold for a document which stays."""
    limited = [path for (path,) in connection.execute("SELECT path FROM limits").fetchall()]
    if not limited:
        return
    # A text that is no file has a name that leads nowhere.
    paths = [source for source in sources if os.path.isabs(source)]
    names = {name for path in paths for name in (path, os.path.realpath(path))}
    for path in limited:
        real = os.path.realpath(path)
        is_one = path in names or real in names or any(str(p) in names for p in Path(real).parents)
        stays = connection.execute(
            f"SELECT 1 FROM documents d WHERE {_UNDER} LIMIT 1", {"path": path}
        )
        if is_one and not stays.fetchone():
            connection.execute("DELETE FROM limits WHERE path = ?", (path,))


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip())


def _labels(connection: Connection) -> dict[int, int]:
    return dict(connection.execute("SELECT document_id, sensitivity FROM labels").fetchall())

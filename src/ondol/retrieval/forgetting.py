"""Forgetting: documents leave with their chunks, terms, vectors, failures, limits and names.

What they shared with others stays with these. Where a folder around a document is still followed,
a keyed hash of its path is kept, so that the next sync does not bring it back.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ondol import database, erasing
from ondol.database import Connection
from ondol.errors import DocumentNotFoundError
from ondol.i18n import t
from ondol.retrieval import files, folders, matching, rows
from ondol.retrieval.collections import DEFAULT, forget_aliases, forget_limits
from ondol.retrieval.filters import Filter
from ondol.retrieval.packed import unpack_spans


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a forgetting is about: document ids with their sources, and the paths and collections
    that are forgotten as a whole."""

    documents: dict[int, str]
    paths: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()

    @property
    def sources(self) -> list[str]:
        """By name."""
        return sorted(self.documents.values())


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was forgotten; never what it said.

    ``text_bytes`` and ``vector_bytes`` are those of the chunks that are gone, of all ``models``;
    ``places`` are followed files and folders. ``remaining`` are documents with the same content
    that were not named. ``is_erased`` says that no byte is left in the library's own files; else
    that is done when it is opened next; ``is_place_reached``, that vectors kept elsewhere went too.
    """

    documents: int
    chunks: int
    text_bytes: int = 0
    vector_bytes: int = 0
    models: tuple[str, ...] = ()
    failures: int = 0
    places: int = 0
    collections: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()
    is_erased: bool = True
    is_place_reached: bool = True
    at: str = ""


def choose(connection: Connection, paths: Sequence[Path], where: Filter, words: str = "") -> Chosen:
    """The documents in ``paths`` (in the whole library without any) that pass ``where`` and hold
    ``words`` (see ``matching``), with all that is in them. Raises ``DocumentNotFoundError`` for a
    path of which nothing is known."""
    absolute = [str(files.absolute(path)) for path in paths]
    condition, values = where.where()
    found: dict[int, str] = dict(
        connection.execute(
            f"SELECT d.id, d.source FROM documents d WHERE {condition}", values
        ).fetchall()
    )
    if absolute:
        _refuse_unknown(connection, paths, absolute)
        found = {i: source for i, source in found.items() if _lies_in(source, absolute)}
    if words:
        found = matching.holding(connection, found, words)
    asked = replace(where, hides=False)
    has_conditions = bool(words or asked)
    only_collections = not (words or paths) and asked == Filter(collections=asked.collections)
    members = _select(
        connection, "id, source FROM documents WHERE container IN", list(found.values())
    )
    return Chosen(
        {**found, **dict(members)},
        () if has_conditions else tuple(absolute),
        where.collections if only_collections else (),
    )


def forget(connection: Connection, lock: threading.RLock, chosen: Chosen) -> Receipt:
    """Take ``chosen`` out of the library, for good, and say what went."""
    with lock:
        with database.transaction(connection):
            receipt = _forget(connection, chosen)
            erasing.begin(connection)
            rows.bump(connection)
        is_erased = erasing.finish(connection)
    return replace(receipt, is_erased=is_erased, at=rows.now())


def sentences(connection: Connection, chosen: Chosen) -> set[str]:
    """What the documents say, sentence by sentence, on one line each."""
    return {
        " ".join(text[begin:end].split())
        for text, spans in _select(
            connection,
            "c.text, c.spans FROM documents d "
            "JOIN chunks c ON c.document_id = coalesce(d.duplicate_of, d.id) WHERE d.id IN",
            list(chosen.documents),
        )
        for begin, end in unpack_spans(spans, 0)
    }


def _forget(connection: Connection, chosen: Chosen) -> Receipt:
    ids = list(chosen.documents)
    before = _chunks(connection, ids)
    models = _select(
        connection, "DISTINCT model FROM embeddings WHERE chunk_id IN", [c for c, _, _ in before]
    )
    hashes = _select(
        connection,
        "DISTINCT content_hash FROM documents WHERE content_hash <> '' AND "
        "(num_chunks > 0 OR duplicate_of IS NOT NULL) AND id IN",
        ids,
    )
    containers = dict(
        _select(
            connection, "id, container FROM documents WHERE container IS NOT NULL AND id IN", ids
        )
    )
    counts = _counts(connection)
    rows.delete_documents(connection, ids)
    for path in chosen.paths:
        forget_limits(connection, path)
        folders.forget(connection, path)
    for name in chosen.collections:
        connection.execute("DELETE FROM folders WHERE collection = ?", (name,))
        connection.execute("DELETE FROM failures WHERE collection = ?", (name,))
        if name != DEFAULT:
            connection.execute("DELETE FROM collections WHERE name = ?", (name,))
    for document_id, source in chosen.documents.items():
        if not _lies_in(source, chosen.paths):
            forget_limits(connection, source)
            folders.forget(connection, source, container=containers.get(document_id, ""))
    forget_aliases(connection, [*chosen.paths, *chosen.documents.values()])
    kept = dict(_select(connection, "id, 1 FROM chunks WHERE id IN", [c for c, _, _ in before]))
    gone = [sizes for chunk, *sizes in before if chunk not in kept]
    failures, places = (a - b for a, b in zip(counts, _counts(connection), strict=True))
    same = _select(
        connection, "source FROM documents WHERE content_hash IN", [h for (h,) in hashes]
    )
    return Receipt(
        documents=len(ids),
        chunks=len(gone),
        text_bytes=sum(text for text, _ in gone),
        vector_bytes=sum(vectors for _, vectors in gone),
        models=tuple(sorted(model for (model,) in models)) if gone else (),
        failures=failures,
        places=places,
        collections=chosen.collections,
        remaining=tuple(sorted(source for (source,) in same)),
    )


def _refuse_unknown(connection: Connection, paths: Sequence[Path], absolute: Sequence[str]) -> None:
    for given, path in zip(paths, absolute, strict=True):
        known = connection.execute(
            "SELECT 1 FROM documents WHERE source = ? OR (source > ? AND source < ?) LIMIT 1",
            (path, *rows.inside(path)),
        ).fetchone()
        if not known and not folders.is_known(connection, path):
            raise DocumentNotFoundError(
                t("library.not_in_library", path=given), t("library.not_in_library_hint")
            )


def _chunks(connection: Connection, ids: Sequence[int]) -> list[Any]:
    """The id, the bytes of text and of vectors of every chunk that the documents hold."""
    return _select(
        connection,
        "c.id, length(CAST(c.heading || c.text AS BLOB)), coalesce((SELECT "
        "sum(length(passage) + length(sentences)) FROM embeddings WHERE chunk_id = c.id), 0) "
        "FROM chunks c WHERE c.document_id IN",
        ids,
    )


def _counts(connection: Connection) -> tuple[int, int]:
    """How many failures and followed places there are."""
    failures, places = connection.execute(
        "SELECT (SELECT count(*) FROM failures), (SELECT count(*) FROM folders)"
    ).fetchone()
    return failures, places


def _select(connection: Connection, query: str, values: Sequence[object]) -> list[Any]:
    """The rows of a query that ends with ``IN``, for any number of values."""
    rows: list[Any] = connection.execute(
        f"SELECT {query} (SELECT value FROM json_each(?))", (json.dumps(values),)
    ).fetchall()
    return rows


def _lies_in(source: str, paths: Iterable[str]) -> bool:
    return any(source == path or source.startswith(f"{path.rstrip('/')}/") for path in paths)

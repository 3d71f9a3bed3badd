"""Fingerprints of the chunks, kept beside them: 32 keyed bits of some passages (see ``winnowing``).

A document's chunks are one text here, for a passage may go on from one to the next. The key is in
the same database; neither says anything of a text. Chunks that have none, for they are older than
the table, get theirs when somebody follows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING

from ondol import database
from ondol.database import Connection
from ondol.errors import OndolError
from ondol.folding import letters
from ondol.winnowing import winnow

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Marks = npt.NDArray[np.uint32]

# This many folded letters in a row are a passage: some six English words, or sixteen syllables.
PASSAGE_LETTERS = 32
LEAST_LETTERS = 16
# What is hashed at once fits a processor's cache.
_PIECE_LETTERS = 1 << 15
_BATCH_CHARACTERS = 1 << 20

Row = tuple[int, bytes]


def key(connection: Connection) -> bytes:
    """The key of this library's fingerprints, made with the table."""
    (found,) = connection.execute("SELECT key FROM chunk_marks_key").fetchone()
    return bytes(found)


def of(folded: str, secret: bytes) -> tuple[Marks, npt.NDArray[np.intp]]:
    """The fingerprints of ``folded`` (see ``folding.letters``) and where each begins, both of shape
    (n,)."""
    import numpy as np

    marks, places = winnow(folded, secret, least=LEAST_LETTERS, sure=PASSAGE_LETTERS)
    return (marks >> np.uint64(31)).astype(np.uint32), places


def pack(texts: Sequence[str], secret: bytes) -> list[bytes]:
    """The fingerprints of each of a document's chunks, which follow each other: uint32, little
    endian, in order of size. Each is of the chunk that it begins in."""
    import numpy as np

    folded = [letters(text) for text in texts]
    packed: list[bytes] = []
    over = np.empty(0, dtype=np.uint32), np.empty(0, dtype=np.intp)
    while len(packed) < len(folded):
        begin, size = len(packed), 0
        end = begin
        while end < len(folded) and size < _PIECE_LETTERS:
            size += len(folded[end])
            end += 1
        found = of("".join(folded[begin:end]) + _beginning(folded, end), secret)
        marks = np.concatenate([over[0], found[0]])
        places = np.concatenate([over[1], found[1]])
        ends = list(accumulate(len(text) for text in folded[begin:end]))
        beyond = places >= size
        over = marks[beyond], places[beyond] - size
        owners = np.searchsorted(ends, places, side="right")
        for number in range(end - begin):
            packed.append(np.unique(marks[owners == number]).astype("<u4").tobytes())
    return packed


def _beginning(folded: Sequence[str], at: int) -> str:
    """As much of what comes next as a passage may need."""
    found = ""
    while at < len(folded) and len(found) < PASSAGE_LETTERS:
        found += folded[at][:PASSAGE_LETTERS]
        at += 1
    return found[: PASSAGE_LETTERS - 1]


def fill(connection: Connection, after: int, last: int, secret: bytes) -> list[Row]:
    """The ids and fingerprints of the chunks with ids in ``(after, last]`` that had none. They are
    written, a little at a time, as long as nobody else is writing; else again next time."""
    found: list[Row] = []
    batch: list[Row] = []
    size, can_write = 0, True
    documents = connection.execute(
        "SELECT DISTINCT document_id FROM chunks c WHERE id > ? AND id <= ? AND NOT EXISTS "
        "(SELECT 1 FROM chunk_marks m WHERE m.chunk_id = c.id)",
        (after, last),
    ).fetchall()
    for document in documents:
        rows = connection.execute(
            "SELECT id, text FROM chunks WHERE document_id = ? ORDER BY start", document
        ).fetchall()
        marks = pack([text for _, text in rows], secret)
        batch += [(chunk_id, one) for (chunk_id, _), one in zip(rows, marks, strict=True)]
        size += sum(len(text) for _, text in rows)
        if size >= _BATCH_CHARACTERS:
            can_write = can_write and _write(connection, batch)
            found += batch
            batch, size = [], 0
    if batch and can_write:
        _write(connection, batch)
    return [row for row in found + batch if after < row[0] <= last]


def _write(connection: Connection, batch: Sequence[Row]) -> bool:
    """Whether it could be written. What was forgotten meanwhile stays so."""
    try:
        with _impatient(connection), database.transaction(connection):
            connection.executemany(
                "INSERT OR IGNORE INTO chunk_marks SELECT id, ? FROM chunks WHERE id = ?",
                [(marks, chunk_id) for chunk_id, marks in batch],
            )
    except OndolError:
        return False
    return True


@contextmanager
def _impatient(connection: Connection) -> Iterator[None]:
    """No question waits for a writer."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {database.BUSY_SECONDS * 1000}")

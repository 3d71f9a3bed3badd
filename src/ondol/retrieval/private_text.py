"""Whether a text holds a passage of a PRIVATE document, letter for letter.

Fingerprints of all chunks, in memory only, say where to look; then the letters are compared with
the text in the database, under the label that it has at that moment. Case, spaces, signs and script
tricks do not matter (``folding.letters``). Stores nothing.

The keyword index would need no memory, but a query for every clause of a 4 kB text takes 40 ms and
more, and it cannot find a text whose words were pulled apart.
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING

from ondol.database import Connection
from ondol.folding import letters
from ondol.types import Sensitivity
from ondol.winnowing import winnow

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Marks = npt.NDArray[np.uint64]

# This many folded letters in a row are a passage: some six English words, or sixteen syllables.
PASSAGE_LETTERS = 32
_LEAST_LETTERS = 16
# A fingerprint keeps 40 bits; below them is the number of its chunk.
_CHUNK_BITS = 24
_BATCH_CHARACTERS = 1 << 20
# Pieces of the index beyond this many are made one.
_MOST_PIECES = 8


class PrivateText:
    """Looks for private passages in one library; ``lock`` guards its ``connection``."""

    def __init__(self, connection: Connection, lock: threading.RLock) -> None:
        self._connection = connection
        self._lock = lock
        self._key = secrets.token_bytes(32)
        self._pieces: list[Marks] = []
        self._last_id = 0

    def find(self, text: str) -> bool:
        """Whether ``text`` has ``PASSAGE_LETTERS`` in a row in common with a PRIVATE document. The
        first call reads the whole library; later ones what was added since."""
        folded = letters(text)
        if len(folded) < PASSAGE_LETTERS:
            return False
        with self._lock:
            self._follow()
            marks, places = winnow(folded, self._key, least=_LEAST_LETTERS, sure=PASSAGE_LETTERS)
            return any(
                shares_passage(folded, self._around(chunk_id), places.tolist())
                for chunk_id in self._private(self._candidates(marks))
            )

    def _follow(self) -> None:
        """Take in the chunks that were added since; those that are gone are not found any more."""
        rows = self._connection.execute(
            "SELECT id, text FROM chunks WHERE id > ? ORDER BY id", (self._last_id,)
        )
        batch: list[tuple[int, str]] = []
        size = 0
        for chunk_id, text in rows:
            batch.append((chunk_id, letters(text)))
            size += len(text)
            if size >= _BATCH_CHARACTERS:
                self._add(batch)
                batch, size = [], 0
        if batch:
            self._add(batch)

    def _add(self, batch: list[tuple[int, str]]) -> None:
        import numpy as np

        # One text: a passage may go on from one chunk to the next.
        folded = "".join(text for _, text in batch)
        marks, places = winnow(folded, self._key, least=_LEAST_LETTERS, sure=PASSAGE_LETTERS)
        ends = np.cumsum([len(text) for _, text in batch])
        ids = np.array([chunk_id for chunk_id, _ in batch], dtype=np.uint64)
        chunks = ids[np.searchsorted(ends, places, side="right")]
        low = np.uint64((1 << _CHUNK_BITS) - 1)
        self._pieces.append(np.sort((marks & ~low) | (chunks & low)))
        self._last_id = batch[-1][0]
        if len(self._pieces) > _MOST_PIECES:
            self._pieces = [np.sort(np.concatenate(self._pieces))]

    def _candidates(self, marks: Marks) -> set[int]:
        """The numbers of the chunks with a fingerprint among ``marks``: the low bits of their
        ids."""
        import numpy as np

        low = np.uint64((1 << _CHUNK_BITS) - 1)
        firsts = np.unique(marks & ~low)
        found: set[int] = set()
        for piece in self._pieces:
            begins = np.searchsorted(piece, firsts, side="left")
            ends = np.searchsorted(piece, firsts | low, side="right")
            for begin, end in zip(begins[ends > begins], ends[ends > begins], strict=True):
                found.update((piece[begin:end] & low).tolist())
        return found

    def _private(self, numbers: set[int]) -> list[int]:
        """The ids of those chunks that are in a PRIVATE document now."""
        # Ids beyond 2^24 share their numbers with earlier ones.
        spans = range(0, self._last_id + 1, 1 << _CHUNK_BITS)
        ids = [number + span for span in spans for number in sorted(numbers)]
        found = []
        for at in range(0, len(ids), 500):
            some = ids[at : at + 500]
            rows = self._connection.execute(
                f"""SELECT c.id FROM chunks c WHERE c.id IN ({",".join("?" * len(some))}) AND
                    (SELECT sensitivity FROM labels WHERE document_id = c.document_id) = ?""",
                (*some, int(Sensitivity.PRIVATE)),
            )
            found += [chunk_id for (chunk_id,) in rows]
        return found

    def _around(self, chunk_id: int) -> str:
        """The letters of a chunk, and those of its neighbours where they touch it."""
        row = self._connection.execute(
            """SELECT coalesce((SELECT substr(b.text, -300) FROM chunks b WHERE b.document_id =
                    c.document_id AND b.start < c.start ORDER BY b.start DESC LIMIT 1), ''),
                c.text,
                coalesce((SELECT substr(a.text, 1, 300) FROM chunks a WHERE a.document_id =
                    c.document_id AND a.start > c.start ORDER BY a.start LIMIT 1), '')
            FROM chunks c WHERE c.id = ?""",
            (chunk_id,),
        ).fetchone()
        return letters("\n".join(row))


def shares_passage(folded: str, own: str, places: list[int]) -> bool:
    """Whether ``own`` has the ``PASSAGE_LETTERS`` around one of ``places`` in ``folded``."""
    for place in places:
        block = folded[place : place + _LEAST_LETTERS]
        at = own.find(block)
        while at >= 0:
            if _common(folded, place, own, at) >= PASSAGE_LETTERS:
                return True
            at = own.find(block, at + 1)
    return False


def _common(one: str, i: int, other: str, j: int) -> int:
    """How long the run around ``one[i] == other[j]`` is that both have in common."""
    before = 0
    while i > before and j > before and one[i - before - 1] == other[j - before - 1]:
        before += 1
    after = 0
    while i + after < len(one) and j + after < len(other) and one[i + after] == other[j + after]:
        after += 1
    return before + after

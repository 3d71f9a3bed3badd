"""Whether a text holds a passage of a PRIVATE document, letter for letter.

Fingerprints of all chunks (``marks``) say where to look; then the letters are compared with the
text in the database, under the label that it has at that moment. Case, spaces, signs and script
tricks do not matter (``folding.letters``).

The fingerprints are read once and scanned; a process that is asked often sorts them. A table with
a row for each of them could be searched at once, but storing a chunk would write a page for each.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ondol.database import Connection
from ondol.folding import letters
from ondol.retrieval import marks
from ondol.retrieval.marks import LEAST_LETTERS, PASSAGE_LETTERS
from ondol.types import Sensitivity

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ondol.retrieval.marks import Marks

# What of a text decides whether a passage stands around a place: so many letters on each side.
_REACH = PASSAGE_LETTERS + LEAST_LETTERS
# What is scanned at once fits a processor's cache.
_BLOCK = 1 << 16
# Who has been asked so often is a server, and is going to be asked again.
_SCANS = 16
_ASKED_AT_ONCE = 200


class PrivateText:
    """Looks for private passages in one library; ``lock`` guards its ``connection``."""

    def __init__(self, connection: Connection, lock: threading.RLock) -> None:
        self._connection = connection
        self._lock = lock
        self._key = b""
        self._known = _Fingerprints()
        self._last_id = 0
        self._counter = -1

    def find(self, text: str) -> bool:
        """Whether ``text`` has ``PASSAGE_LETTERS`` in a row in common with a PRIVATE document. The
        first call reads the fingerprints of the library; later ones what was added since."""
        folded = letters(text)
        if len(folded) < PASSAGE_LETTERS:
            return False
        with self._lock:
            self._follow()
            asked, places = marks.of(folded, self._key)
            found = self._known.holding(asked)
            if not found:
                return False
            contexts = _contexts(folded, asked, places, set().union(*found.values()))
            return any(
                self._shares(chunk_id, own, [c for mark in found[chunk_id] for c in contexts[mark]])
                for chunk_id, own in self._private(sorted(found))
            )

    def _follow(self) -> None:
        """Take in the chunks that were added since, and let go of those that are gone."""
        execute = self._connection.execute
        (counter,) = execute("SELECT counter FROM changes").fetchone()
        if counter != self._counter and self._last_id:
            gone = execute(
                "SELECT DISTINCT first_id, last_id FROM removals "
                "WHERE counter > ? AND first_id <= ?",
                (self._counter, self._last_id),
            )
            self._known.remove(gone.fetchall())
        self._counter = counter
        after, last = self._last_id, execute("SELECT max(id) FROM chunks").fetchone()[0] or 0
        if last <= after:
            return
        self._key = self._key or marks.key(self._connection)
        rows = execute(
            "SELECT chunk_id, marks FROM chunk_marks WHERE chunk_id > ? AND chunk_id <= ?",
            (after, last),
        ).fetchall()
        # Without a condition only an index is counted, and not the pages with the texts.
        count = execute("SELECT count(*) FROM chunks" + (f" WHERE id > {after}" if after else ""))
        if count.fetchone()[0] != len(rows):
            rows += marks.fill(self._connection, after, last, self._key)
        self._known.add(rows)
        self._last_id = last

    def _private(self, ids: Sequence[int]) -> Iterator[tuple[int, str]]:
        """Those of the chunks that are in a PRIVATE document now, with their text."""
        for at in range(0, len(ids), _ASKED_AT_ONCE):
            some = ids[at : at + _ASKED_AT_ONCE]
            rows = self._connection.execute(
                f"""SELECT c.id, c.text FROM chunks c WHERE c.id IN ({",".join("?" * len(some))})
                    AND (SELECT sensitivity FROM labels WHERE document_id = c.document_id) = ?""",
                (*some, int(Sensitivity.PRIVATE)),
            )
            yield from rows.fetchall()

    def _shares(self, chunk_id: int, text: str, contexts: Sequence[tuple[str, int]]) -> bool:
        """Whether a chunk, or the end of one beside it, has the passage around a place."""
        own = letters(text)
        longest = [_longest(*context, own) for context in contexts]
        if any(length >= PASSAGE_LETTERS for length, _ in longest):
            return True
        if not any(is_open for _, is_open in longest):
            return False
        before, after = self._beside(chunk_id, "<", "DESC"), self._beside(chunk_id, ">", "ASC")
        own = before + own + after
        return any(_longest(*context, own)[0] >= PASSAGE_LETTERS for context in contexts)

    def _beside(self, chunk_id: int, side: str, order: str) -> str:
        """The letters next to a chunk on one side, as many as a passage may need."""
        rows = self._connection.execute(
            f"""SELECT b.text FROM chunks c JOIN chunks b ON b.document_id = c.document_id
                AND b.start {side} c.start WHERE c.id = ? ORDER BY b.start {order}""",
            (chunk_id,),
        )
        found = ""
        for (text,) in rows:
            found = letters(text) + found if side == "<" else found + letters(text)
            if len(found) >= _REACH:
                break
        return found[-_REACH:] if side == "<" else found[:_REACH]


class _Fingerprints:
    """Those of chunks, one after the other, and which chunk each is of."""

    def __init__(self) -> None:
        self._marks: Marks | None = None
        self._ids: npt.NDArray[np.int64]
        self._sizes: npt.NDArray[np.int64]
        self._scans = 0
        self._sorted: _Sorted | None = None

    def add(self, rows: Sequence[marks.Row]) -> None:
        import numpy as np

        new = np.frombuffer(b"".join(blob for _, blob in rows), dtype="<u4")
        ids = np.array([chunk_id for chunk_id, _ in rows], dtype=np.int64)
        sizes = np.array([len(blob) // 4 for _, blob in rows], dtype=np.int64)
        if self._marks is not None:
            new = np.concatenate([self._marks, new])
            ids = np.concatenate([self._ids, ids])
            sizes = np.concatenate([self._sizes, sizes])
        self._set(new, ids, sizes)

    def remove(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Those of the chunks with ids from ``first`` to ``last``."""
        import numpy as np

        if self._marks is None or not ranges:
            return
        stays = np.ones(len(self._ids), dtype=bool)
        for first, last in ranges:
            stays &= (self._ids < first) | (self._ids > last)
        every = self._marks[np.repeat(stays, self._sizes)]
        self._set(every, self._ids[stays], self._sizes[stays])

    def holding(self, asked: Marks) -> dict[int, set[int]]:
        """The ids of the chunks with any of ``asked``, and with which."""
        import numpy as np

        if self._marks is None or not len(self._marks) or not len(asked):
            return {}
        wanted = np.unique(asked)
        if self._sorted is None and self._scans >= _SCANS:
            self._sorted = _Sorted(self._marks)
        self._scans += 1
        at = self._sorted.places(wanted) if self._sorted else _scan(self._marks, wanted)
        owners = self._ids[np.searchsorted(np.cumsum(self._sizes), at, side="right")]
        found: dict[int, set[int]] = {}
        for chunk_id, mark in zip(owners.tolist(), self._marks[at].tolist(), strict=True):
            found.setdefault(chunk_id, set()).add(mark)
        return found

    def _set(self, every: Marks, ids: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> None:
        self._marks, self._ids, self._sizes = every, ids, sizes
        self._scans, self._sorted = 0, None


def _scan(every: Marks, wanted: Marks) -> npt.NDArray[np.intp]:
    """Where any of ``wanted``, sorted, stands among ``every``."""
    import numpy as np

    begins = np.zeros(1 << 16, dtype=bool)
    begins[wanted >> np.uint32(16)] = True
    high = every.view("<u2")[1::2]
    hits = [
        at + np.flatnonzero(begins[high[at : at + _BLOCK]]) for at in range(0, len(high), _BLOCK)
    ]
    at = np.concatenate(hits)
    near = np.minimum(np.searchsorted(wanted, every[at]), len(wanted) - 1)
    found: npt.NDArray[np.intp] = at[wanted[near] == every[at]]
    return found


class _Sorted:
    """Fingerprints sorted by their upper halves."""

    def __init__(self, every: Marks) -> None:
        import numpy as np

        high = (every >> np.uint32(16)).astype(np.uint16)
        self._order = np.argsort(high, kind="stable").astype(np.uint32)
        self._marks = every[self._order]
        self._begins = np.zeros((1 << 16) + 1, dtype=np.int64)
        np.cumsum(np.bincount(high, minlength=1 << 16), out=self._begins[1:])

    def places(self, wanted: Marks) -> npt.NDArray[np.intp]:
        """Where any of ``wanted`` stood."""
        import numpy as np

        high = (wanted >> np.uint32(16)).astype(np.intp)
        counts = self._begins[high + 1] - self._begins[high]
        ends = np.cumsum(counts)
        near = np.arange(ends[-1]) + np.repeat(self._begins[high + 1] - ends, counts)
        near = near[self._marks[near] == np.repeat(wanted, counts)]
        found: npt.NDArray[np.intp] = self._order[near].astype(np.intp)
        return found


def _contexts(
    folded: str, asked: Marks, places: npt.NDArray[np.intp], wanted: set[int]
) -> dict[int, list[tuple[str, int]]]:
    """What stands around the places of each fingerprint in ``wanted``, each text once, and where in
    it they are."""
    import numpy as np

    found: dict[int, dict[tuple[str, int], None]] = {mark: {} for mark in wanted}
    at = np.isin(asked, list(wanted))
    for mark, place in zip(asked[at].tolist(), places[at].tolist(), strict=True):
        begin = max(0, place - PASSAGE_LETTERS)
        found[mark][folded[begin : place + _REACH], place - begin] = None
    return {mark: list(contexts) for mark, contexts in found.items()}


def _longest(folded: str, place: int, own: str) -> tuple[int, bool]:
    """How long the longest run of letters around ``folded[place]`` is that ``own`` has too, up to
    ``PASSAGE_LETTERS``, and whether it may go on beyond an end of ``own``."""
    block = folded[place : place + LEAST_LETTERS]
    at = own.find(block)
    if at < 0:
        # It is no more than that they have some bits in common, unless it begins at the end.
        return 0, any(own.endswith(block[:length]) for length in range(1, LEAST_LETTERS))
    longest, is_open = 0, False
    while at >= 0 and longest < PASSAGE_LETTERS:
        before = _common(folded[:place][::-1], own[max(0, at - PASSAGE_LETTERS) : at][::-1])
        after = _common(folded[place:], own[at : at + _REACH])
        longest = max(longest, before + after)
        is_open = is_open or before == at or at + after == len(own)
        at = own.find(block, at + 1)
    return longest, is_open


def _common(one: str, other: str) -> int:
    """How many letters both begin with."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count

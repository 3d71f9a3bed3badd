"""The terms of a library made anew, with the analyser that is installed; nothing is embedded.

Terms are made outside of transactions and written in small ones, so that a run may be killed
anywhere and goes on where it was. Each chunk has its old terms or its new ones; both hold the
bigrams, which questions keep to until all is done and the record is switched. Going back to bigrams
alone, the record is switched first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ondol import database
from ondol.database import Connection
from ondol.retrieval import analysers, korean, rows
from ondol.retrieval.analysers import UnderWay

REINDEXED_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Reindexed:
    """The analyser of the library's terms now, the one before ("" is bigrams alone), and of how
    many chunks the terms were made."""

    analyser: str
    previous: str
    chunks: int


class Reindexing:
    """Brings the terms in ``connection``, which ``lock`` guards, to the installed analyser."""

    def __init__(
        self,
        connection: Connection,
        lock: threading.RLock,
        on_progress: Callable[[int, int], None] = lambda completed, total: None,
    ) -> None:
        self._connection = connection
        self._lock = lock
        self._on_progress = on_progress
        self._target = korean.analyser()

    def run(self) -> Reindexed:
        """Make the terms of every chunk, unless they are of this analyser already."""
        completed = 0
        with self._lock, database.transaction(self._connection) as connection:
            previous = analysers.recorded(connection)
            state = self._begin(connection, previous)
        while state is not None:
            state, done = self._step(state)
            completed += done
        with self._lock:
            now = analysers.recorded(self._connection)
        return Reindexed(now, previous, completed)

    def _begin(self, connection: Connection, previous: str) -> UnderWay | None:
        state = analysers.under_way(connection)
        if state is None and previous == self._target:
            return None
        if state is None or state.analyser != self._target:
            if not self._target:
                analysers.record(connection, "")
            state = UnderWay(self._target, 0)
            analysers.mark(connection, state)
        return state

    def _step(self, state: UnderWay) -> tuple[UnderWay | None, int]:
        """What is to be done after the next chunks, and how many those were."""
        with self._lock:
            some = self._connection.execute(
                "SELECT c.id, d.source, c.heading, c.text FROM chunks c "
                "JOIN documents d ON d.id = c.document_id WHERE c.id > ? ORDER BY c.id LIMIT ?",
                (state.done_to, REINDEXED_AT_ONCE),
            ).fetchall()
            (total,) = self._connection.execute("SELECT count(*) FROM chunks").fetchone()
            (before,) = self._connection.execute(
                "SELECT count(*) FROM chunks WHERE id <= ?", (state.done_to,)
            ).fetchone()
        made = [
            (i, source, rows.chunk_terms(source, heading, text, morphemes=bool(self._target)))
            for i, source, heading, text in some
        ]
        with self._lock, database.transaction(self._connection) as connection:
            now = analysers.under_way(connection)
            if now is None or now.analyser != self._target:
                # Another process has finished it, or goes elsewhere.
                return None, 0
            for chunk_id, source, terms in made:
                self._replace(connection, chunk_id, source, terms)
            if not some:
                # Nobody can add between this look and the switch.
                last = connection.execute(
                    "SELECT 1 FROM chunks WHERE id > ? LIMIT 1", (state.done_to,)
                ).fetchone()
                if last is None:
                    analysers.record(connection, self._target)
                    return None, 0
                return state, 0
            state = UnderWay(self._target, some[-1][0])
            analysers.mark(connection, UnderWay(self._target, max(now.done_to, state.done_to)))
        self._on_progress(before + len(some), total)
        return state, len(some)

    def _replace(self, connection: Connection, chunk_id: int, source: str, terms: str) -> None:
        known = connection.execute(
            "SELECT 1 FROM chunks c JOIN documents d ON d.id = c.document_id "
            "WHERE c.id = ? AND d.source = ?",
            (chunk_id, source),
        ).fetchone()
        # Forgotten meanwhile, or moved, which made the new terms.
        if known:
            connection.execute("DELETE FROM chunk_terms WHERE rowid = ?", (chunk_id,))
            connection.execute(
                "INSERT INTO chunk_terms (rowid, terms) VALUES (?, ?)", (chunk_id, terms)
            )

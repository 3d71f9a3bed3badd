"""What the owner says of answers: thumbs, kept with the signals of the answer they are about.

A calibrator learns from signals, so those of each answer are kept until a thumb may come: numbers
only, never a question or an answer, and of answers without a thumb only the last ``UNJUDGED``.
Raises what the database raises, and ``UsageError`` for an answer that is not known (any more).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from ondol import database, paths
from ondol.confidence.calibration import Labelled
from ondol.confidence.calibrators import QUOTED
from ondol.database import Connection
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.types import Answer, Decision, Label
from ondol.types.protocols import Recorder, Recording, Task

UNJUDGED = 1000
SHORTEST_PREFIX = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer as it is remembered here. ``right`` is None until there is a thumb."""

    ledger_id: str
    time: str
    model: str
    digest: str
    task: str
    probability: float | None
    right: bool | None


class Outcomes:
    """Thumbs and signals in the one database. Safe to use from several threads; ``close`` it."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._lock = threading.RLock()
        self._opened: Connection | None = None

    @classmethod
    def open(cls, file: Path | None = None) -> Self:
        """Those in the database ``file``, by default the owner's own. Opened when first used."""
        return cls(lambda: database.connect(paths.database_file() if file is None else file))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database; the next use opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def note(self, answer: Answer, digest: str, task: str) -> None:
        """Remember the signals of an answer that stands in the ledger; without any, nothing."""
        if answer.ledger_id is None or answer.confidence is None or not answer.confidence.signals:
            return
        confidence = answer.confidence
        row = (
            answer.ledger_id,
            _now(),
            answer.model,
            digest,
            task,
            json.dumps({k: round(v, 6) for k, v in confidence.signals.items()}),
            confidence.probability,
        )
        with self._lock, database.transaction(self._connection()) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO outcomes"
                " (ledger_id, time, model, digest, task, signals, probability)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            connection.execute(
                "DELETE FROM outcomes WHERE right IS NULL AND number <= ("
                " SELECT number FROM outcomes WHERE right IS NULL"
                " ORDER BY number DESC LIMIT 1 OFFSET ?)",
                [UNJUDGED],
            )

    def thumb(self, ledger_id: str | None, right: bool | None) -> Outcome:
        """Say of an answer that it is right, or wrong, or (None) take back what was said. An id may
        be shortened as long as it is one answer's; None is the latest answer."""
        with self._lock, database.transaction(self._connection()) as connection:
            known = self._find(connection, ledger_id)
            judged_at = None if right is None else _now()
            connection.execute(
                "UPDATE outcomes SET right = ?, judged_at = ? WHERE ledger_id = ?",
                [None if right is None else int(right), judged_at, known],
            )
            return _outcome(
                connection.execute(f"{_SELECT} WHERE ledger_id = ?", [known]).fetchone()
            )

    def counts(self) -> list[tuple[str, str, str, int, int]]:
        """(model, digest, task, right, wrong) for everything with a thumb, most thumbs first."""
        with self._lock:
            found: list[tuple[str, str, str, int, int]] = (
                self._connection()
                .execute(
                    "SELECT max(model), digest, task, sum(right), sum(1 - right) FROM outcomes"
                    " WHERE right IS NOT NULL GROUP BY digest, task ORDER BY count(*) DESC"
                )
                .fetchall()
            )
        return found

    def labelled(self, digest: str, task: str) -> list[Labelled]:
        """The judged answers of one model at one task, oldest first."""
        with self._lock:
            rows = (
                self._connection()
                .execute(
                    "SELECT signals, right FROM outcomes"
                    " WHERE digest = ? AND task = ? AND right IS NOT NULL ORDER BY number",
                    [digest, task],
                )
                .fetchall()
            )
        return [Labelled(json.loads(signals), bool(right)) for signals, right in rows]

    def _connection(self) -> Connection:
        if self._opened is None:
            self._opened = self._connect()
        return self._opened

    def _find(self, connection: Connection, ledger_id: str | None) -> str:
        if ledger_id is None:
            rows = connection.execute(
                "SELECT ledger_id FROM outcomes ORDER BY number DESC LIMIT 1"
            ).fetchall()
        elif len(ledger_id) < SHORTEST_PREFIX:
            rows = []
        else:
            rows = connection.execute(
                "SELECT ledger_id FROM outcomes WHERE substr(ledger_id, 1, ?) = ? LIMIT 2",
                [len(ledger_id), ledger_id],
            ).fetchall()
        if len(rows) != 1:
            key = "no_answers" if ledger_id is None else "ambiguous" if rows else "unknown_answer"
            told = {
                "no_answers": t("confidence.no_answers"),
                "ambiguous": t("confidence.ambiguous", id=ledger_id),
                "unknown_answer": t("confidence.unknown_answer", id=ledger_id, count=UNJUDGED),
            }
            raise UsageError(told[key], t("confidence.which_answer_hint"), param="id")
        return str(rows[0][0])


@dataclass(frozen=True, slots=True)
class NotingRecorder:
    """A ``types.Recorder`` that also keeps the signals of every answer that ``recorder`` writes
    down; ``identify`` gives the digest of the model that an answer names."""

    recorder: Recorder
    outcomes: Outcomes
    identify: Callable[[str], str]

    def start(self, task: Task) -> Recording:
        return _NotingRecording(self, self.recorder.start(task), task)


@dataclass(frozen=True, slots=True)
class _NotingRecording:
    noting: NotingRecorder
    recording: Recording
    task: Task

    def finish(self, answer: Answer, decision: Decision, label: Label) -> Answer:
        answer = self.recording.finish(answer, decision, label)
        # Home's answer was judged by nobody here; a thumb on it is about home.
        if answer.draft is None:
            task = self.task if answer.model else QUOTED
            self.noting.outcomes.note(answer, self.noting.identify(answer.model), task)
        return answer


_SELECT = "SELECT ledger_id, time, model, digest, task, probability, right FROM outcomes"


def _outcome(row: Sequence[Any]) -> Outcome:
    ledger_id, time, model, digest, task, probability, right = row
    known = None if right is None else bool(right)
    return Outcome(ledger_id, time, model, digest, task, probability, known)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

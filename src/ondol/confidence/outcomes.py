"""What the owner says of answers: thumbs, kept with the signals of the answer they are about.

A calibrator learns from signals, so those of each answer are kept until a thumb may come: numbers
only, never a question or an answer, and of answers without a thumb only the last ``UNJUDGED``.
Raises what the database raises, and ``UsageError`` for an answer that is not known (any more).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ondol.confidence.calibration import Labelled
from ondol.confidence.calibrators import QUOTED
from ondol.database import Connection
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.place import Placed
from ondol.types import Along, Answer, Decision, Label
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


class Outcomes(Placed):
    """Thumbs and signals in the one database. Safe to use from several threads; ``close`` it."""

    def note(self, answer: Answer, digest: str, task: str) -> None:
        """Remember the signals of an answer that stands in the ledger; without any, nothing."""
        if answer.ledger_id is not None and (write := noting(answer, digest, task)) is not None:
            with self.place.writing() as connection:
                write(connection, answer.ledger_id)

    def thumb(self, ledger_id: str | None, right: bool | None) -> Outcome:
        """Say of an answer that it is right, or wrong, or (None) take back what was said. An id may
        be shortened as long as it is one answer's; None is the latest answer."""
        with self.place.writing() as connection:
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
        with self.place.reading() as connection:
            found: list[tuple[str, str, str, int, int]] = connection.execute(
                "SELECT max(model), digest, task, sum(right), sum(1 - right) FROM outcomes"
                " WHERE right IS NOT NULL GROUP BY digest, task ORDER BY count(*) DESC"
            ).fetchall()
        return found

    def labelled(self, digest: str, task: str) -> list[Labelled]:
        """The judged answers of one model at one task, oldest first."""
        with self.place.reading() as connection:
            rows = connection.execute(
                "SELECT signals, right FROM outcomes"
                " WHERE digest = ? AND task = ? AND right IS NOT NULL ORDER BY number",
                [digest, task],
            ).fetchall()
        return [Labelled(json.loads(signals), bool(right)) for signals, right in rows]

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


def noting(answer: Answer, digest: str, task: str) -> Along | None:
    """What writes the signals of ``answer`` down; None where it has none."""
    confidence = answer.confidence
    if confidence is None or not confidence.signals:
        return None
    signals = json.dumps({k: round(v, 6) for k, v in confidence.signals.items()})
    row = (_now(), answer.model, digest, task, signals, confidence.probability)

    def write(connection: Connection, id: str) -> None:
        connection.execute(
            "INSERT OR REPLACE INTO outcomes"
            " (ledger_id, time, model, digest, task, signals, probability)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (id, *row),
        )
        connection.execute(
            "DELETE FROM outcomes WHERE right IS NULL AND number <= ("
            " SELECT number FROM outcomes WHERE right IS NULL"
            " ORDER BY number DESC LIMIT 1 OFFSET ?)",
            [UNJUDGED],
        )

    return write


@dataclass(frozen=True, slots=True)
class NotingRecorder:
    """A ``types.Recorder`` that also keeps the signals of every answer that ``recorder`` writes
    down, with its entry; ``identify`` gives the digest of the model that an answer names."""

    recorder: Recorder
    identify: Callable[[str], str]

    def start(self, task: Task) -> Recording:
        return _NotingRecording(self, self.recorder.start(task), task)


@dataclass(frozen=True, slots=True)
class _NotingRecording:
    noting: NotingRecorder
    recording: Recording
    task: Task

    def finish(
        self, answer: Answer, decision: Decision, label: Label, along: Sequence[Along] = ()
    ) -> Answer:
        # Home's answer was judged by nobody here; a thumb on it is about home.
        if answer.draft is None:
            task = self.task if answer.model else QUOTED
            write = noting(answer, self.noting.identify(answer.model), task)
            along = (*along, write) if write else along
        return self.recording.finish(answer, decision, label, along)


_SELECT = "SELECT ledger_id, time, model, digest, task, probability, right FROM outcomes"


def _outcome(row: Sequence[Any]) -> Outcome:
    ledger_id, time, model, digest, task, probability, right = row
    known = None if right is None else bool(right)
    return Outcome(ledger_id, time, model, digest, task, probability, known)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

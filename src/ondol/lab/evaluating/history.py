"""The history of evaluations in the one database: scores, never texts; the golden questions' rows
go with the answers that they are about.

Raises ``EvaluationNotFoundError`` and what the database raises.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ondol.errors import EvaluationNotFoundError, UsageError
from ondol.i18n import t
from ondol.lab.evaluating.results import GOLDEN, Evaluation, Score, Subject
from ondol.place import Placed

if TYPE_CHECKING:
    from ondol.database import Connection

MOST = 1000
"""Evaluations that are kept; the oldest go."""

_COLUMNS = "id, model, digest, format, chat, documents, adapters, purpose, ondol, seconds, at"


class History(Placed):
    """All evaluations. Safe to use from several threads and processes; ``close`` it. Where an id
    is asked for, the one that begins so will do, and the name of a model means its latest."""

    def add(self, one: Evaluation) -> None:
        """Keep ``one``."""
        subject = one.subject
        row = [
            one.id,
            subject.model,
            subject.digest,
            subject.format,
            subject.chat,
            subject.documents,
            json.dumps(dict(subject.adapters)),
            one.purpose,
            one.ondol,
            one.seconds,
            one.at,
        ]
        with self.place.writing() as connection:
            connection.execute(f"INSERT INTO evaluations ({_COLUMNS}) VALUES ({_marks(row)})", row)
            for number, score in enumerate(one.scores):
                _insert(connection, one.id, number, score)
            connection.execute(
                "DELETE FROM evaluations WHERE id NOT IN "
                "(SELECT id FROM evaluations ORDER BY at DESC, rowid DESC LIMIT ?)",
                (MOST,),
            )

    def all(self, model: str = "", most: int = MOST) -> list[Evaluation]:
        """The latest first; those of ``model`` where one is named."""
        where, values = ("WHERE model = ?", [model]) if model else ("", [])
        with self.place.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM evaluations {where} ORDER BY at DESC, rowid DESC LIMIT ?",
                [*values, most],
            ).fetchall()
            return [_evaluation(connection, row) for row in rows]

    def get(self, name: str) -> Evaluation:
        """The evaluation whose id begins with ``name``, or the latest of the model of that name."""
        found = self.all(name, 1) if name else []
        if found:
            return found[0]
        with self.place.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM evaluations WHERE substr(id, 1, ?) = ? LIMIT 2",
                (len(name), name),
            ).fetchall()
            if len(rows) == 1:
                return _evaluation(connection, rows[0])
        if rows and name:
            raise UsageError(t("evaluating.ambiguous", id=name), param="id")
        raise EvaluationNotFoundError(
            t("evaluating.not_found", name=name[:80]), t("evaluating.not_found_hint")
        )

    def remove(self, id: str) -> Evaluation:
        """Forget one."""
        found = self.get(id)
        with self.place.writing() as connection:
            connection.execute("DELETE FROM evaluations WHERE id = ?", (found.id,))
        return found


def _insert(connection: Connection, id: str, number: int, score: Score) -> None:
    is_golden = score.suite == GOLDEN
    told = {} if is_golden else {"right": score.right, "groups": score.groups}
    connection.execute(
        "INSERT INTO evaluation_scores VALUES (?, ?, ?, ?, ?)",
        (id, number, score.suite, json.dumps(_plain(told)), score.median_seconds),
    )
    if is_golden:
        # What was forgotten while it was asked has no row.
        connection.executemany(
            "INSERT INTO evaluation_golden SELECT ?, id, ?, ? FROM messages WHERE id = ?",
            [(id, score.group(one), int(right), one) for one, right in score.right.items()],
        )


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {key: dict(value) for key, value in told.items()}
    if "right" in found:
        found["right"] = {id: int(right) for id, right in found["right"].items()}
    return found


def _evaluation(connection: Connection, row: Any) -> Evaluation:
    id, model, digest, format, chat, documents, adapters, purpose, ondol, seconds, at = row
    subject = Subject(model, digest, format, chat, documents, json.loads(adapters))
    found = connection.execute(
        "SELECT suite, outcomes, median_seconds FROM evaluation_scores WHERE evaluation = ? "
        "ORDER BY number",
        (id,),
    ).fetchall()
    scores = tuple(_score(connection, id, *one) for one in found)
    return Evaluation(id, subject, scores, purpose, ondol, seconds, at)


def _score(connection: Connection, id: str, suite: str, outcomes: str, seconds: float) -> Score:
    if suite != GOLDEN:
        told = json.loads(outcomes)
        right = {one: bool(value) for one, value in told.get("right", {}).items()}
        return Score(suite, right, told.get("groups", {}), seconds)
    rows = connection.execute(
        "SELECT message, conversation, is_right FROM evaluation_golden WHERE evaluation = ?", (id,)
    ).fetchall()
    right = {message: bool(value) for message, _, value in rows}
    return Score(suite, right, {message: group for message, group, _ in rows}, seconds)


def _marks(row: list[Any]) -> str:
    return ", ".join("?" * len(row))

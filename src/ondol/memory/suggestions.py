"""What Ondol would remember, if its owner says yes. Until then no prompt gets it.

Found by rules in what the owner said (``saying``), or proposed by a model (``proposing``). One that
was accepted or declined is not suggested again. Raises ``SuggestionNotFoundError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ondol.database import Connection
from ondol.errors import SuggestionNotFoundError
from ondol.i18n import t
from ondol.memory import claims, records
from ondol.memory.records import CHAT, OWNER, Learned, Suggestion, valid_text
from ondol.memory.saying import Said
from ondol.place import Place
from ondol.types import Sensitivity

if TYPE_CHECKING:
    from ondol.memory.memories import Memories

# More wait for nobody: the oldest make room.
MOST_WAITING = 100
_SELECT = (
    "SELECT id, kind, text, sensitivity, conversation, message, replaces, created_at"
    " FROM memory_suggestions"
)


class Suggestions:
    """Those that wait for a yes."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def all(self) -> list[Suggestion]:
        """The latest first."""
        with self._place.reading() as connection:
            rows = connection.execute(
                f"{_SELECT} WHERE settled_at IS NULL ORDER BY created_at DESC, rowid DESC"
            ).fetchall()
        return [_suggestion(row) for row in rows]

    def get(self, id: str) -> Suggestion:
        """The one with this id, or with the one id that begins so."""
        with self._place.reading() as connection:
            return _find(connection, id)

    def note(
        self, found: Sequence[Said], conversation: str | None = None, message: str | None = None
    ) -> list[Suggestion]:
        """Suggest what was ``found`` in a message, but for what is remembered already, waits, or
        is settled; those that are new."""
        made: list[Suggestion] = []
        if not found:
            return made
        with self._place.writing() as connection:
            memories = connection.execute("SELECT id, text FROM memories").fetchall()
            known = [str(text) for _, text in memories]
            known += [
                str(text)
                for (text,) in connection.execute("SELECT text FROM memory_suggestions").fetchall()
            ]
            for said in found:
                text = valid_text(said.text)
                if any(one == text or claims.says_the_same(one, text) for one in known):
                    continue
                against = (id for id, one in memories if claims.contradicts(one, text))
                made.append(
                    Suggestion(
                        records.new_id(),
                        said.kind,
                        text,
                        Sensitivity.PRIVATE,
                        conversation,
                        message,
                        next(against, None),
                        records.now(),
                    )
                )
                known.append(text)
            connection.executemany(
                "INSERT INTO memory_suggestions (id, kind, text, sensitivity, conversation,"
                " message, replaces, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [_row(one) for one in made],
            )
            connection.execute(
                "DELETE FROM memory_suggestions WHERE settled_at IS NULL AND id NOT IN (SELECT id"
                " FROM memory_suggestions WHERE settled_at IS NULL"
                " ORDER BY created_at DESC, rowid DESC LIMIT ?)",
                [MOST_WAITING],
            )
        return made

    def accept(
        self,
        id: str,
        memories: Memories,
        *,
        text: str | None = None,
        kind: str | None = None,
        sensitivity: Sensitivity | None = None,
    ) -> Learned:
        """The owner says yes, perhaps in other words: it is remembered from now on."""
        waiting = self.get(id)
        learned = memories.learn(
            waiting.text if text is None else text,
            kind=kind or waiting.kind,
            sensitivity=waiting.sensitivity if sensitivity is None else sensitivity,
            source=f"{CHAT}:{waiting.conversation}" if waiting.conversation else OWNER,
            replaces=waiting.replaces if text is None else None,
        )
        with self._place.writing() as connection:
            _settle(connection, [waiting.id])
        return learned

    def decline(self, ids: Sequence[str]) -> int:
        """The owner says no, for good; how many that were. An id that is not known is an error, and
        none is declined then."""
        with self._place.writing() as connection:
            known = list(dict.fromkeys(_find(connection, id).id for id in ids))
            _settle(connection, known)
        return len(known)


def _settle(connection: Connection, ids: Sequence[str]) -> None:
    connection.executemany(
        "UPDATE memory_suggestions SET settled_at = ? WHERE id = ?",
        [[records.now(), id] for id in ids],
    )


def _find(connection: Connection, id: str) -> Suggestion:
    rows: list[Any] = []
    if len(id) >= 4:
        rows = connection.execute(
            f"{_SELECT} WHERE settled_at IS NULL AND substr(id, 1, ?) = ? LIMIT 2", [len(id), id]
        ).fetchall()
    if len(rows) != 1:
        raise SuggestionNotFoundError(t("memory.no_suggestion", id=id), t("memory.suggestion_hint"))
    return _suggestion(rows[0])


def _suggestion(row: Sequence[Any]) -> Suggestion:
    id, kind, text, level, conversation, message, replaces, created_at = row
    return Suggestion(
        id, kind, text, Sensitivity(level), conversation, message, replaces, created_at
    )


def _row(one: Suggestion) -> list[Any]:
    return [
        *(one.id, one.kind, one.text, int(one.sensitivity)),
        *(one.conversation, one.message, one.replaces, one.created_at),
    ]

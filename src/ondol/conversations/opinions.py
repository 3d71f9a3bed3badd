"""What the owner says of answers: right or wrong, why, and how they should have been."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ondol import erasing
from ondol.conversations import rows
from ondol.conversations.place import Place
from ondol.conversations.records import REASONS, Message
from ondol.errors import MessageNotFoundError, UsageError
from ondol.i18n import t


class Opinions:
    """The feedback on the answers of all conversations."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def message(self, id: str) -> Message:
        """The answer ``id``, of whichever conversation. Raises ``MessageNotFoundError``."""
        with self._place.reading() as connection:
            row = connection.execute(
                "SELECT conversation FROM messages WHERE id = ? AND role = 'assistant'", (id,)
            ).fetchone()
            if row is None:
                raise MessageNotFoundError(t("conversations.no_message"))
            return rows.message(connection, row[0], id)

    def give(
        self, id: str, right: bool | None, reasons: Sequence[str] = (), edited: str | None = None
    ) -> Message:
        """Say this of the answer ``id``, in the place of what was said before."""
        unknown = next((code for code in reasons if code not in REASONS), None)
        if unknown is not None:
            told = t("conversations.unknown_reason", reason=unknown[:40])
            raise UsageError(told, ", ".join(REASONS), param="reasons")
        before = self.message(id).feedback
        values = (
            id,
            None if right is None else int(right),
            json.dumps(list(dict.fromkeys(reasons))),
            None if edited is None else rows.plain(edited),
            rows.now(),
        )
        with self._place.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO feedback VALUES (?, ?, ?, ?, ?)", values)
            if before and before.edited:
                erasing.begin(connection)
        if before and before.edited:
            self._place.erase()
        return self.message(id)

    def take_back(self, id: str) -> Message:
        """Say nothing of the answer ``id`` any more; no byte of what was said is kept."""
        before = self.message(id).feedback
        with self._place.writing() as connection:
            connection.execute("DELETE FROM feedback WHERE message = ?", (id,))
            # Codes say nothing of what was said; another wording of an answer does.
            if before and before.edited:
                erasing.begin(connection)
        if before and before.edited:
            self._place.erase()
        return self.message(id)

    def all(self) -> list[Message]:
        """Every answer of which something was said, the latest opinion first."""
        with self._place.reading() as connection:
            found = connection.execute(
                "SELECT m.conversation, m.id FROM feedback f JOIN messages m ON m.id = f.message "
                "ORDER BY f.at DESC, m.number DESC"
            ).fetchall()
            return [rows.message(connection, conversation, id) for conversation, id in found]

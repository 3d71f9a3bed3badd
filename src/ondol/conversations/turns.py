"""The messages of conversations: a tree that grows at its leaves, with a branch beside another
wherever a question was asked anew.

A message's text grows while it is "running". One that a process left so when it was killed is
"stopped", with what was said until then (``recover``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ondol.conversations import rows
from ondol.conversations.place import Place
from ondol.conversations.records import Message, Status
from ondol.conversations.titles import title_of
from ondol.database import Connection
from ondol.errors import UsageError
from ondol.i18n import t

_PATH = """WITH RECURSIVE up(id, parent, depth) AS (
    SELECT id, parent, 0 FROM messages WHERE id = ? AND conversation = ?
    UNION ALL SELECT m.id, m.parent, depth + 1 FROM messages m JOIN up ON m.id = up.parent
) SELECT id FROM up ORDER BY depth DESC"""


class Turns:
    """The messages of all conversations."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def get(self, conversation: str, id: str) -> Message:
        """Raises ``MessageNotFoundError``."""
        with self._place.reading() as connection:
            return rows.message(connection, conversation, id)

    def path(self, conversation: str, id: str | None) -> list[Message]:
        """From the beginning of the conversation to message ``id``, which is the last one."""
        with self._place.reading() as connection:
            if id is None:
                return []
            rows.message(connection, conversation, id)
            order = [one for (one,) in connection.execute(_PATH, (id, conversation)).fetchall()]
            found = {one.id: one for one in rows.messages(connection, conversation)}
        return [found[one] for one in order]

    def ask(self, conversation: str, content: str, parent: str | None) -> tuple[Message, Message]:
        """A question below ``parent`` (``None`` begins anew) and the answer that begins to run. The
        first one gives the conversation its title; the draft has been sent."""
        content = rows.plain(content)
        if not content.strip():
            raise UsageError(t("conversations.empty"), param="content")
        with self._place.writing() as connection:
            known = rows.conversation(connection, conversation)
            if parent is not None:
                rows.message(connection, conversation, parent)
            asked = _new(conversation, parent, "user", content, "done")
            rows.insert_message(connection, asked)
            if not known.title:
                connection.execute(
                    "UPDATE conversations SET title = ? WHERE id = ?",
                    (title_of(content), conversation),
                )
            connection.execute("UPDATE conversations SET draft = '' WHERE id = ?", (conversation,))
            answer = self._begin(connection, conversation, asked.id)
            return rows.message(connection, conversation, asked.id), answer

    def edit(self, conversation: str, id: str, content: str) -> tuple[Message, Message]:
        """A question asked anew in other words: a branch beside the question ``id``."""
        with self._place.reading() as connection:
            before = rows.message(connection, conversation, id)
        if before.role != "user":
            raise UsageError(t("conversations.edit_answers"), param="edit")
        return self.ask(conversation, content, before.parent)

    def regenerate(self, conversation: str, id: str) -> tuple[Message, Message]:
        """Another answer beside the answer ``id``, or below the question ``id``: the question, and
        the answer that begins to run."""
        with self._place.writing() as connection:
            before = rows.message(connection, conversation, id)
            asked = before if before.role == "user" else None
            if asked is None and before.parent is not None:
                asked = rows.message(connection, conversation, before.parent)
            if asked is None:
                raise UsageError(t("conversations.no_question"), param="regenerate")
            return asked, self._begin(connection, conversation, asked.id)

    def resume(self, conversation: str, id: str) -> Message:
        """The answer ``id``, which was cut or stopped, runs again from where it ended."""
        with self._place.writing() as connection:
            before = rows.message(connection, conversation, id)
            if before.role != "assistant" or not before.content.strip():
                raise UsageError(t("conversations.nothing_to_continue"), param="continue")
            connection.execute(
                "UPDATE messages SET status = 'running', error = NULL WHERE id = ?", (id,)
            )
            _touch(connection, conversation, id)
            return rows.message(connection, conversation, id)

    def save(
        self,
        id: str,
        content: str,
        answer: Mapping[str, Any] | None = None,
        *,
        status: Status = "running",
        error: Mapping[str, str] | None = None,
    ) -> Message | None:
        """What there is of an answer by now; ``None`` when its conversation has been deleted."""
        with self._place.writing() as connection:
            row = connection.execute(
                "UPDATE messages SET content = ?, answer = ?, status = ?, error = ? WHERE id = ? "
                "RETURNING conversation",
                (rows.plain(content), rows.written(answer), status, rows.written(error), id),
            ).fetchall()
            if not row:
                return None
            conversation = row[0][0]
            if status != "running":
                connection.execute(
                    "UPDATE conversations SET updated_at = ? WHERE id = ?",
                    (rows.now(), conversation),
                )
            return rows.message(connection, conversation, id)

    def recover(self) -> int:
        """What was running when a process was killed has stopped; how many messages that were. Only
        for who knows that nobody else is giving answers."""
        with self._place.writing() as connection:
            found = connection.execute(
                "UPDATE messages SET status = 'stopped' WHERE status = 'running' RETURNING id"
            )
            return len(found.fetchall())

    def _begin(self, connection: Connection, conversation: str, parent: str) -> Message:
        answer = _new(conversation, parent, "assistant", "", "running")
        rows.insert_message(connection, answer)
        _touch(connection, conversation, answer.id)
        return rows.message(connection, conversation, answer.id)


def _new(conversation: str, parent: str | None, role: Any, content: str, status: Status) -> Message:
    return Message(rows.new_id(), conversation, parent, role, content, rows.now(), status)


def _touch(connection: Connection, conversation: str, leaf: str) -> None:
    connection.execute(
        "UPDATE conversations SET updated_at = ?, leaf = ? WHERE id = ?",
        (rows.now(), leaf, conversation),
    )

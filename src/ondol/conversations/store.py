"""The owner's conversations in the one database: kept, found, changed, and erased for good.

Raises ``ConversationError`` families, ``UsageError`` for a value that cannot be, and what the
database raises. Knows nothing of models: who answers is told here what to keep.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from ondol import erasing
from ondol.conversations import rows
from ondol.conversations.attachments import Attachments
from ondol.conversations.opinions import Opinions
from ondol.conversations.place import Place
from ondol.conversations.prompts import Prompts
from ondol.conversations.quoting import Quoting
from ondol.conversations.records import Conversation, Erased, Message
from ondol.conversations.turns import Turns
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.place import Placed

CHANGEABLE = (
    *("title", "folder", "pinned", "model", "mode", "filter", "wanted", "draft", "leaf"),
    "persona",
)
PAGE = 50
LONGEST_TITLE = 200
MOST_WORDS = 16


class Conversations(Placed):
    """All of them. Safe to use from several threads; ``close`` it. ``turns`` are their messages,
    ``opinions`` what was said of answers, ``attachments`` their files, ``quoting`` what answers
    quote of documents, ``prompts`` the owner's."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.turns = Turns(place)
        self.opinions = Opinions(place)
        self.attachments = Attachments(place)
        self.prompts = Prompts(place)
        self.quoting = Quoting(place)

    @classmethod
    def open(cls, file: Path | None = None) -> Self:
        """Those in the database ``file``, by default the owner's own. Opened when first used."""
        return cls(Place.in_file(file))

    def create(self, **fields: Any) -> Conversation:
        """A new conversation; ``fields`` are of ``CHANGEABLE``, but no leaf: it has no messages."""
        if fields.get("leaf") is not None:
            raise UsageError(t("conversations.bad_leaf"), param="leaf")
        given, now = _values(fields), rows.now()
        given |= {"id": rows.new_id(), "created_at": now, "updated_at": now}
        with self.place.writing() as connection:
            connection.execute(
                f"INSERT INTO conversations ({', '.join(given)}) "
                f"VALUES ({', '.join('?' * len(given))})",
                list(given.values()),
            )
            return rows.conversation(connection, given["id"])

    def get(self, id: str) -> Conversation:
        """Raises ``ConversationNotFoundError``."""
        with self.place.reading() as connection:
            return rows.conversation(connection, id)

    def messages(self, id: str) -> list[Message]:
        """All messages of a conversation, every branch, in the order in which they were said."""
        with self.place.reading() as connection:
            rows.conversation(connection, id)
            return rows.messages(connection, id)

    def page(
        self,
        query: str = "",
        *,
        folder: str | None = None,
        before: str = "",
        limit: int = PAGE,
    ) -> tuple[list[Conversation], str | None]:
        """The pinned ones first, then the latest; those that hold every word of ``query`` in their
        title or in what was said. ``before`` is what the page before gave as the second value,
        which is ``None`` after the last page."""
        conditions, values = ["1"], []
        if folder is not None:
            conditions.append("folder = ?")
            values.append(folder)
        for word in rows.folded(query).split()[:MOST_WORDS]:
            conditions.append(
                "(holds(title, ?) OR EXISTS (SELECT 1 FROM messages m "
                "WHERE m.conversation = c.id AND holds(m.content, ?)))"
            )
            values += [word, word]
        if before:
            conditions.append("(pinned, updated_at, id) < (?, ?, ?)")
            values += _cursor(before)
        with self.place.reading() as connection:
            found = connection.execute(
                f"SELECT {rows.COLUMNS} FROM conversations c WHERE {' AND '.join(conditions)} "
                "ORDER BY pinned DESC, updated_at DESC, id DESC LIMIT ?",
                (*values, limit + 1),
            ).fetchall()
            page = rows.with_attachments(connection, found[:limit])
        if len(found) <= limit or not page:
            return page, None
        return page, f"{int(page[-1].pinned)},{page[-1].updated_at},{page[-1].id}"

    def change(self, id: str, **fields: Any) -> Conversation:
        """Change what is given, of ``CHANGEABLE``. The time of the conversation stays: it says when
        something was said last."""
        given = _values(fields)
        with self.place.writing() as connection:
            rows.conversation(connection, id)
            if given.get("leaf") is not None:
                rows.message(connection, id, given["leaf"])
            if given:
                connection.execute(
                    f"UPDATE conversations SET {', '.join(f'{name} = ?' for name in given)} "
                    "WHERE id = ?",
                    (*given.values(), id),
                )
            return rows.conversation(connection, id)

    def ids(self) -> list[str]:
        """Those of all conversations."""
        with self.place.reading() as connection:
            return [id for (id,) in connection.execute("SELECT id FROM conversations").fetchall()]

    def delete(self, ids: Sequence[str]) -> Erased:
        """Erase conversations with everything in them, down to their bytes; one that is not there
        is a ``ConversationNotFoundError``, and none goes then."""
        wanted = list(dict.fromkeys(ids))
        with self.place.writing() as connection:
            for id in wanted:
                rows.conversation(connection, id)
                connection.execute("DELETE FROM conversations WHERE id = ?", (id,))
            if wanted:
                erasing.begin(connection)
        return Erased(len(wanted), self.place.erase())


def _values(fields: dict[str, Any]) -> dict[str, Any]:
    """``fields`` as their columns keep them."""
    unknown = fields.keys() - set(CHANGEABLE)
    if unknown:
        raise TypeError(f"a conversation has no {sorted(unknown)} to be changed")
    return {name: _value(name, value) for name, value in fields.items()}


def _value(name: str, value: Any) -> Any:
    if name in ("title", "folder"):
        return " ".join(rows.plain(value).split())[:LONGEST_TITLE]
    if name in ("draft", "model", "persona"):
        return rows.plain(value)
    if name == "filter":
        return json.dumps(value or {}, ensure_ascii=False)
    return int(value) if name == "pinned" else value


def _cursor(before: str) -> list[Any]:
    pinned, _, rest = before.partition(",")
    updated_at, _, id = rest.partition(",")
    if pinned not in ("0", "1") or not updated_at or not id:
        raise UsageError(t("conversations.bad_page"), param="before")
    return [int(pinned), updated_at, id]

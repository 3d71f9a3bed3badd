"""Rows of the tables of conversations, read and written inside the caller's transaction."""

from __future__ import annotations

import json
import secrets
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ondol.conversations.records import Attachment, Conversation, Feedback, Message
from ondol.database import Connection
from ondol.errors import ConversationNotFoundError, MessageNotFoundError
from ondol.i18n import t

COLUMNS = (
    "id, title, folder, pinned, created_at, updated_at, model, mode, filter, wanted, draft, "
    "leaf, persona"
)
_MESSAGE = (
    "SELECT m.id, m.conversation, m.parent, m.role, m.content, m.created_at, m.status, m.error, "
    "m.answer, f.right, f.reasons, f.edited, f.at FROM messages m "
    "LEFT JOIN feedback f ON f.message = m.id"
)


def new_id() -> str:
    """An id that nobody can guess and no other row has."""
    return secrets.token_hex(8)


def now() -> str:
    """This moment, ISO 8601 in UTC, fine enough to order by."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def conversation(connection: Connection, id: str) -> Conversation:
    """Raises ``ConversationNotFoundError``."""
    row = connection.execute(f"SELECT {COLUMNS} FROM conversations WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise ConversationNotFoundError(
            t("conversations.not_found"), t("conversations.not_found_hint")
        )
    return with_attachments(connection, [row])[0]


def with_attachments(connection: Connection, rows: Iterable[Sequence[Any]]) -> list[Conversation]:
    """The conversations in rows of ``COLUMNS``."""
    found = list(rows)
    files: dict[str, list[Attachment]] = {}
    for owner, *rest in connection.execute(
        "SELECT conversation, name, size_bytes, status, reason, source FROM attachments "
        "WHERE conversation IN (SELECT value FROM json_each(?)) ORDER BY added_at, name",
        (json.dumps([row[0] for row in found]),),
    ).fetchall():
        files.setdefault(owner, []).append(Attachment(*rest))
    return [_conversation(row, tuple(files.get(row[0], ()))) for row in found]


def message(connection: Connection, conversation: str, id: str) -> Message:
    """A message of that conversation. Raises ``MessageNotFoundError``."""
    rows = connection.execute(
        f"{_MESSAGE} WHERE m.id = ? AND m.conversation = ?", (id, conversation)
    ).fetchall()
    if not rows:
        raise MessageNotFoundError(t("conversations.no_message"))
    return with_siblings(connection, [_message(row) for row in rows])[0]


def messages(connection: Connection, conversation: str) -> list[Message]:
    """All of them, in the order in which they were said."""
    rows = connection.execute(
        f"{_MESSAGE} WHERE m.conversation = ? ORDER BY m.number", (conversation,)
    ).fetchall()
    return with_siblings(connection, [_message(row) for row in rows])


def with_siblings(connection: Connection, found: Sequence[Message]) -> list[Message]:
    """``found``, all of one conversation, with who stands beside each."""
    beside: dict[tuple[str | None, str], list[str]] = {}
    if found:
        for id, parent, role in connection.execute(
            "SELECT id, parent, role FROM messages WHERE conversation = ? ORDER BY number",
            (found[0].conversation,),
        ).fetchall():
            beside.setdefault((parent, role), []).append(id)
    return [replace(one, siblings=tuple(beside[one.parent, one.role])) for one in found]


def insert_message(connection: Connection, one: Message) -> None:
    """Write a new message."""
    connection.execute(
        "INSERT INTO messages (id, conversation, parent, role, content, created_at, status, error, "
        "answer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            one.id,
            one.conversation,
            one.parent,
            one.role,
            one.content,
            one.created_at,
            one.status,
            written(one.error),
            written(one.answer),
        ),
    )


def written(value: Mapping[str, Any] | None) -> str | None:
    """A value as its column keeps it."""
    return None if value is None else json.dumps(value, ensure_ascii=False)


def plain(text: str) -> str:
    """``text`` as it can be kept: lone surrogates are no text."""
    return text.encode("utf-8", "replace").decode("utf-8")


def folded(text: str) -> str:
    """``text`` as it is looked for: case and how Hangul is composed do not matter."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold()


def _conversation(row: Sequence[Any], files: tuple[Attachment, ...]) -> Conversation:
    id, title, folder, pinned, created, updated, model, mode, where, *rest = row
    wanted, draft, leaf, persona = rest
    return Conversation(
        id,
        title,
        folder,
        bool(pinned),
        created,
        updated,
        model,
        mode,
        json.loads(where),
        wanted,
        draft,
        leaf,
        persona,
        files,
    )


def _message(row: Sequence[Any]) -> Message:
    id, conversation, parent, role, content, created, status, error, answer, *said = row
    return Message(
        id,
        conversation,
        parent,
        role,
        content,
        created,
        status,
        json.loads(error) if error else None,
        json.loads(answer) if answer else None,
        _feedback(*said),
    )


def _feedback(right: int | None, reasons: str, edited: str | None, at: str | None) -> Any:
    if at is None:
        return None
    judged = None if right is None else bool(right)
    return Feedback(judged, tuple(json.loads(reasons)), edited, at)

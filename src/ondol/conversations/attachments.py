"""Which files were dropped into which conversation, and whether they could be read. The files and
what was read of them are elsewhere."""

from __future__ import annotations

from typing import Any

from ondol import erasing
from ondol.conversations import rows
from ondol.conversations.place import Place
from ondol.conversations.records import Attachment
from ondol.errors import AttachmentNotFoundError
from ondol.i18n import t


class Attachments:
    """The files of all conversations."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def put(self, conversation: str, one: Attachment) -> Attachment:
        """Write down ``one``, in the place of a file of the same name."""
        with self._place.writing() as connection:
            rows.conversation(connection, conversation)
            values: tuple[Any, ...] = (one.source, one.size_bytes, one.status, one.reason)
            connection.execute(
                "INSERT INTO attachments VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "source = excluded.source, size_bytes = excluded.size_bytes, "
                "status = excluded.status, reason = excluded.reason",
                (conversation, one.name, *values, rows.now()),
            )
        return one

    def get(self, conversation: str, name: str) -> Attachment:
        """Raises ``AttachmentNotFoundError``."""
        with self._place.reading() as connection:
            files = rows.conversation(connection, conversation).attachments
        found = next((one for one in files if one.name == name), None)
        if found is None:
            raise AttachmentNotFoundError(t("conversations.no_attachment", name=name[:100]))
        return found

    def all(self) -> list[tuple[str, Attachment]]:
        """Every file with its conversation."""
        with self._place.reading() as connection:
            found = connection.execute(
                "SELECT conversation, name, size_bytes, status, reason, source FROM attachments"
            ).fetchall()
        return [(row[0], Attachment(*row[1:])) for row in found]

    def remove(self, conversation: str, name: str) -> None:
        """Forget the name of a file; what was read of it is the library's to forget."""
        self.get(conversation, name)
        with self._place.writing() as connection:
            connection.execute(
                "DELETE FROM attachments WHERE conversation = ? AND name = ?", (conversation, name)
            )
            erasing.begin(connection)
        self._place.erase()
